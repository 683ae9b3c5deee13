// What a register costs through vfio-user, over a real socket pair: a client's task reads,
// a server's answers. Goal: a read of a DMA engine's register ≤ 1.5 × one of a function that
// answers nothing (zeros).
#include <benchmark/benchmark.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <optional>

#include "base/check.h"
#include "device/dma_engine_card.h"
#include "object/trace.h"
#include "schedule/task.h"
#include "serve/vfio_user/channel.h"
#include "serve/vfio_user/session.h"

namespace teeio::vfio_user {
namespace {

/// A function of one BAR, which answers zeros.
class Nothing final : public hw::PciFunction, private hw::MmioTarget {
 public:
  Nothing() { bars_.at(0) = {.kind = hw::Bar::Kind::kMemory32, .size = 4096, .target = this}; }
  Bdf bdf() const override { return {}; }
  std::uint32_t config_read(std::uint16_t, unsigned) override { return 0; }
  void config_write(std::uint16_t, unsigned, std::uint32_t) override {}
  const std::array<hw::Bar, hw::kBarCount>& bars() const override { return bars_; }
  void reset(hw::ResetKind) override {}
  hw::PciFunction* physical_function() override { return nullptr; }
  void attach(hw::DmaPort&) override {}

 private:
  void mmio_read(std::uint64_t, std::span<std::byte> out) override {
    std::ranges::fill(out, std::byte{0});
  }
  void mmio_write(std::uint64_t, ByteView) override {}
  std::array<hw::Bar, hw::kBarCount> bars_{};
};

struct Card {
  object::Trace trace;
  device::DmaEngineCard card{trace, {.pf = {.bus = 1}, .bars_move = true}};
  hw::PciFunction& function() { return *card.functions().front(); }
};

/// A server's task for one function, and the client's end of its socket.
class Served {
 public:
  explicit Served(hw::PciFunction& pci) : function_(pci) {
    std::array<int, 2> pair{};
    TEEIO_CHECK(::socketpair(AF_UNIX, SOCK_STREAM, 0, pair.data()) == 0, "no sockets");
    socket_ = Fd(pair[1]);
    task_ = schedule::Task::spawn("server", [this, fd = pair[0]] {
      Channel channel{Fd(fd)};
      Session session(function_, channel);
      for (;;) {
        auto message = channel.receive();
        if (!message) return;
        const Answer answer = session.handle(std::move(*message));
        if (!channel.send(answer.bytes, answer.fds)) return;
      }
    });
    ask(Command::kVersion, Writer().le(0U).take());
  }
  ~Served() {
    socket_.reset();
    task_->join();
  }
  Served(const Served&) = delete;
  Served& operator=(const Served&) = delete;

  void ask(Command command, ByteView payload) {
    Bytes message(Header::kSize);
    Header{.id = 1,
           .command = command,
           .size = static_cast<std::uint32_t>(Header::kSize + payload.size())}
        .encode(std::span(message).first<Header::kSize>());
    message.insert(message.end(), payload.begin(), payload.end());
    TEEIO_CHECK(::send(socket_.get(), message.data(), message.size(), 0) ==
                    static_cast<ssize_t>(message.size()),
                "the server is gone");
    TEEIO_CHECK(::recv(socket_.get(), answer_.data(), answer_.size(), 0) > 0, "no answer");
  }
  void read(std::uint32_t region, std::uint64_t offset, std::uint32_t size) {
    ask(Command::kRegionRead, Writer().le(offset).le(region).le(size).take());
  }
  void write(std::uint32_t region, std::uint64_t offset, std::uint64_t value) {
    ask(Command::kRegionWrite, Writer().le(offset).le(region).le(8U).le(value).take());
  }

 private:
  Function function_;
  Fd socket_;
  std::optional<schedule::Task> task_;
  std::array<std::byte, 8192> answer_{};
};

void read_nothing(benchmark::State& state) {
  Nothing nothing;
  Served served(nothing);
  for (auto _ : state) served.read(0, 0, 4);
}
BENCHMARK(read_nothing)->MeasureProcessCPUTime()->UseRealTime();

void read_register(benchmark::State& state) {
  Card card;
  card.function().config_write(4, 2, 2);
  Served served(card.function());
  for (auto _ : state) served.read(0, 0, 4);
}
BENCHMARK(read_register)->MeasureProcessCPUTime()->UseRealTime();

void read_config(benchmark::State& state) {
  Card card;
  Served served(card.function());
  for (auto _ : state) served.read(kConfigRegion, 0, 4);
}
BENCHMARK(read_config)->MeasureProcessCPUTime()->UseRealTime();

void write_register(benchmark::State& state) {
  Card card;
  card.function().config_write(4, 2, 2);
  Served served(card.function());
  for (auto _ : state) served.write(0, 0x40, 1);
}
BENCHMARK(write_register)->MeasureProcessCPUTime()->UseRealTime();

}  // namespace
}  // namespace teeio::vfio_user
