#include "cli/validate_watch.h"

#include <fmt/format.h>

#include <utility>

#include "decode/print.h"
#include "schedule/task.h"
#include "wire/transport_framing.h"

namespace teeio::cli {

std::expected<std::unique_ptr<ValidateWatch>, std::string> ValidateWatch::create(
    const std::string& pcap, const std::string& key_log, bool verbose) {
  auto files = serve::Capture::create(pcap, key_log);
  if (!files) return std::unexpected(files.error());
  return std::unique_ptr<ValidateWatch>(new ValidateWatch(std::move(*files), verbose));
}

void ValidateWatch::packet(serve::PlatformTransport transport, serve::PacketSender sender,
                           ByteView packet) {
  const bool mctp = transport == serve::PlatformTransport::kMctp;
  if (!mctp && transport != serve::PlatformTransport::kPciDoe) return;  // no capture has it
  files_->packet(transport, sender, packet);
  ++packets_;
  if (!verbose_) return;
  Writer data;
  if (mctp && !packet.empty()) wire::MctpPacketHeader{}.append_to(data);
  const Bytes bytes = data.bytes(packet).take();
  const bool asks = sender == serve::PacketSender::kRequester;
  const std::uint64_t now = schedule::now_ns();
  if (start_ns_ == 0) start_ns_ = now;
  const wire::PcapPacket record{
      .time_ns = now,
      .data = bytes,
      .link = mctp ? wire::LinkType::kMctp : wire::LinkType::kPciDoe,
      .direction = asks ? wire::PcapDirection::kInbound : wire::PcapDirection::kOutbound};
  decode::Text lines;
  for (const decode::Message& message : decoder_.read(record))
    decode::append_text(lines.add("# "), message, start_ns_, decode::Detail::kLine);
  fmt::print("{}", lines.view());
}

void ValidateWatch::keys(const wire::KeyLogLine& line) {
  if (files_->wanted()) files_->line(line.text());
  if (verbose_) decoder_.add_key(line);
}

}  // namespace teeio::cli
