// Links: serve
// What a peer sends to `teeio serve`, in spdm-emu's framing or DSP0287's, in pieces: however it is
// cut, the same packets reach the device, the same bytes go back, and the same is said of it.
#include <algorithm>

#include "fuzzer.h"
#include "serve/connection.h"

namespace teeio::fuzz {
namespace {

using serve::PlatformCommand;
using serve::PlatformTransport;

/// Keeps what it is asked, and answers with some of it.
class Device final : public serve::ConnectionOwner {
 public:
  Bytes answer(PlatformTransport transport, ByteView packet) override {
    note(static_cast<std::uint8_t>(transport), packet);
    const ByteView half = packet.first(packet.size() / 2);
    return {half.begin(), half.end()};
  }
  Bytes answer_tdisp(ByteView message) override {
    note(kTdisp, message);
    return Bytes(17);
  }
  void want_encapsulated(PlatformTransport /*transport*/, PlatformCommand command,
                         ByteView payload) override {
    note(static_cast<std::uint8_t>(command), payload);
  }
  void log(const std::string& line) override {
    const auto text = std::as_bytes(std::span(line));
    note(kLog, text);
  }

  Bytes heard;

 private:
  static constexpr std::uint8_t kTdisp = 0x40, kLog = 0x41;
  void note(std::uint8_t what, ByteView bytes) {
    heard.push_back(std::byte{what});
    heard.insert(heard.end(), bytes.begin(), bytes.end());
  }
};

struct Outcome {
  Bytes heard;
  Bytes out;
  serve::Connection::Next next = serve::Connection::Next::kGoOn;
  bool operator==(const Outcome&) const = default;
};

Outcome spoken(std::optional<PlatformTransport> only, ByteView bytes, std::size_t piece) {
  Device device;
  serve::Connection connection(device, only);
  Outcome outcome;
  while (!bytes.empty() && outcome.next == serve::Connection::Next::kGoOn) {
    const std::size_t size = std::min(piece, bytes.size());
    auto step = connection.receive(bytes.first(size));
    bytes = bytes.subspan(size);
    outcome.out.insert(outcome.out.end(), step.out.begin(), step.out.end());
    outcome.next = step.next;
  }
  if (outcome.next == serve::Connection::Next::kGoOn) connection.peer_closed();
  outcome.heard = std::move(device.heard);
  return outcome;
}

}  // namespace

/// Which transport alone is taken (0 to 3, else any), the size of the pieces, and what is sent.
void run(ByteView input) {
  Reader reader(input);
  const auto chosen = reader.le<std::uint8_t>();
  const auto piece = reader.le<std::uint8_t>();
  if (!reader.ok()) return;
  const auto only = chosen <= static_cast<std::uint8_t>(PlatformTransport::kTcp)
                        ? std::optional(PlatformTransport{chosen})
                        : std::nullopt;
  const Outcome whole = spoken(only, reader.rest(), input.size());
  const Outcome cut = spoken(only, reader.rest(), std::max<std::size_t>(piece, 1));
  TEEIO_CHECK(whole == cut, "bytes that come in pieces are understood otherwise");
}

}  // namespace teeio::fuzz
