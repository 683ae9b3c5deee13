#include "serve/capture.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <optional>
#include <system_error>
#include <utility>

#include "base/files.h"
#include "serve/without_pipe_signal.h"
#include "wire/transport_framing.h"

namespace teeio::serve {
namespace {

constexpr std::uint8_t kTagOwner = 0x08;  // of MCTP: set by whoever asks

}  // namespace

std::uint64_t world_time_ns() {
  timespec now{};
  (void)::clock_gettime(CLOCK_REALTIME, &now);
  return static_cast<std::uint64_t>(now.tv_sec) * 1'000'000'000U +
         static_cast<std::uint64_t>(now.tv_nsec);
}

/// Readable by its owner alone: both files together are every session in clear text.
std::expected<Capture::Output, std::string> Capture::open(const std::string& path) {
  Output output{.path = path, .file = nullptr};
  if (path.empty()) return output;
  const int fd = path == "-" ? ::fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 0)
                             : ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd >= 0) output.file.reset(::fdopen(fd, "w"));
  if (output.file == nullptr)
    return std::unexpected(
        fmt::format("{} cannot be written: {}", path, std::generic_category().message(errno)));
  // What could not be written is not tried again when the file is closed.
  (void)std::setvbuf(output.file.get(), nullptr, _IONBF, 0);
  return output;
}

std::expected<std::unique_ptr<Capture>, std::string> Capture::create(const std::string& pcap,
                                                                     const std::string& key_log) {
  auto packets = open(pcap);
  if (!packets) return std::unexpected(packets.error());
  auto keys = open(key_log);
  if (!keys) return std::unexpected(keys.error());
  return std::unique_ptr<Capture>(new Capture(std::move(*packets), std::move(*keys)));
}

/// A file without packets is a capture, too: it has its header.
Capture::Capture(Output packets, Output keys)
    : packets_out_(std::move(packets)),
      keys_(std::move(keys)),
      pcapng_(packets_out_.path.ends_with(".pcapng")) {
  if (packets_out_.file == nullptr) return;
  packets_out_.write(pcapng_ ? wire::pcapng_section() : wire::PcapHeader{}.encode());
}

bool has_link_type(PlatformTransport transport) {
  return transport == PlatformTransport::kMctp || transport == PlatformTransport::kPciDoe;
}

void Capture::Output::write(ByteView bytes) {
  if (file == nullptr || failed) return;
  std::optional<WithoutPipeSignal> without;
  if (path != "-") without.emplace();  // whose reader ends whoever writes there
  if (std::fwrite(bytes.data(), 1, bytes.size(), file.get()) == bytes.size() &&
      std::fflush(file.get()) == 0)
    return;
  failed = true;
  complain_text(fmt::format("teeio: {}: {}; nothing more is written to it\n", path,
                            std::generic_category().message(errno)));
}

std::uint32_t Capture::interface(wire::LinkType link) {
  const auto at = std::ranges::find(links_, link);
  if (at != links_.end()) return static_cast<std::uint32_t>(at - links_.begin());
  packets_out_.write(wire::pcapng_interface(link));
  links_.push_back(link);
  return static_cast<std::uint32_t>(links_.size() - 1);
}

/// The header says DOE until a packet is known; false: the file is of the other kind.
bool Capture::begin_classic(wire::LinkType link) {
  if (!links_.empty()) return links_.front() == link;
  links_.push_back(link);
  if (link == wire::LinkType::kPciDoe) return true;
  if (std::fseek(packets_out_.file.get(), 0, SEEK_SET) == 0)
    packets_out_.write(wire::PcapHeader{link}.encode());
  else  // a pipe cannot take the header back
    packets_out_.failed = true;
  return true;
}

void Capture::packet(PlatformTransport transport, PacketSender sender, ByteView packet) {
  if (packets_out_.file == nullptr || !has_link_type(transport)) return;
  const bool mctp = transport == PlatformTransport::kMctp;
  const auto link = mctp ? wire::LinkType::kMctp : wire::LinkType::kPciDoe;
  if (!pcapng_ && !begin_classic(link)) return;
  const bool asks = sender == PacketSender::kRequester;
  Writer data;
  if (mctp && !packet.empty()) {
    wire::MctpPacketHeader header;
    if (asks) header.flags |= kTagOwner;
    header.append_to(data);
  }
  const Bytes bytes = data.bytes(packet).take();
  const wire::PcapPacket record{
      .time_ns = world_time_ns(),
      .data = bytes,
      .direction = asks ? wire::PcapDirection::kInbound : wire::PcapDirection::kOutbound};
  packets_out_.write(pcapng_ ? wire::pcapng_packet(interface(link), record) : record.encode());
  if (!packets_out_.failed) ++packets_;
}

void Capture::line(const std::string& text) {
  const std::string whole = text + "\n";
  keys_.write(std::as_bytes(std::span(whole)));
}

}  // namespace teeio::serve
