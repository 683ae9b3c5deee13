#include "serve/capture.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <time.h>

#include <utility>

#include "wire/pcap.h"
#include "wire/transport_framing.h"

namespace teeio::serve {
namespace {

/// A capture says when, in the world's time; nothing else here knows it.
std::uint64_t world_time_ns() {
  timespec now{};
  (void)::clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U +
         static_cast<std::uint64_t>(now.tv_nsec);
}

}  // namespace

std::expected<std::unique_ptr<Capture>, std::string> Capture::create(const std::string& pcap,
                                                                     const std::string& key_log) {
  // Readable by their owner alone: both together are every session in clear text.
  const auto open = [](const std::string& path) {
    const int fd =
        path.empty() ? -1 : ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    return fd < 0 ? File() : File(::fdopen(fd, "w"));
  };
  File packets = open(pcap);
  File keys = open(key_log);
  if (packets == nullptr && !pcap.empty())
    return std::unexpected(fmt::format("{} cannot be written", pcap));
  if (keys == nullptr && !key_log.empty())
    return std::unexpected(fmt::format("{} cannot be written", key_log));
  return std::unique_ptr<Capture>(new Capture(std::move(packets), std::move(keys)));
}

void Capture::write(std::FILE& file, ByteView bytes) {
  (void)std::fwrite(bytes.data(), 1, bytes.size(), &file);
  (void)std::fflush(&file);
}

void Capture::packet(PlatformTransport transport, ByteView packet) {
  const bool mctp = transport == PlatformTransport::kMctp;
  if (pcap_ == nullptr || packet.empty() || (!mctp && transport != PlatformTransport::kPciDoe))
    return;
  if (!transport_) {
    transport_ = transport;
    write(*pcap_,
          wire::PcapHeader{mctp ? wire::LinkType::kMctp : wire::LinkType::kPciDoe}.encode());
  }
  if (*transport_ != transport) return;
  Writer data;
  if (mctp) wire::MctpPacketHeader{}.append_to(data);
  const Bytes bytes = data.bytes(packet).take();
  write(*pcap_, wire::PcapPacket{.time_ns = world_time_ns(), .data = bytes}.encode());
}

void Capture::line(const std::string& text) {
  write(*keys_, std::as_bytes(std::span(text)));
  write(*keys_, std::as_bytes(std::span("\n", 1)));
}

}  // namespace teeio::serve
