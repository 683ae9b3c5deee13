#pragma once

#include <cstdint>
#include <cstdio>
#include <expected>
#include <memory>
#include <string>
#include <vector>

#include "base/bytes.h"
#include "serve/platform_message.h"
#include "serve/speaker.h"
#include "wire/pcap.h"

namespace teeio::serve {

/// The world's time, since 1970: what captures are stamped with and certificates' dates are
/// compared to. Nothing that is modelled knows it.
[[nodiscard]] std::uint64_t world_time_ns();

/// Captures can hold packets of it.
[[nodiscard]] bool has_link_type(PlatformTransport transport);

/// Who sent a packet.
enum class PacketSender : std::uint8_t { kRequester, kResponder };

/// What went over the sockets, as files: packets in pcap or pcapng, keys in a key log.
/// Both are flushed after each message, so that a reader may follow them.
///
/// A name that ends in ".pcapng" makes a pcapng file: DOE objects and MCTP messages, each
/// with its direction (inbound is to the device) and whole. Any other makes a classic one,
/// which DMTF's tools read: one kind of packet, whichever comes first, at most 64 KiB of
/// each. In both, a packet that was dropped unanswered has an answer of no bytes. NONE and
/// TCP have no link type and are left out.
///
/// A file that cannot be written any more (a full disk, a pipe whose reader left) ends there, with
/// a line on stderr.
///
/// Lifetime: outlives the devices. Locking: none.
class Capture final : public KeyLog {
 public:
  /// Empty paths: nothing is written. Error, ready to print: a file cannot be made.
  static std::expected<std::unique_ptr<Capture>, std::string> create(const std::string& pcap,
                                                                     const std::string& key_log);

  void packet(PlatformTransport transport, PacketSender sender, ByteView packet);
  [[nodiscard]] bool wanted() const override { return keys_.file != nullptr; }
  void line(const std::string& text) override;

  /// Packets in the file so far: the last one's number, as `teeio decode` counts.
  [[nodiscard]] std::size_t packets() const { return packets_; }
  /// A file lacks something that it should have.
  [[nodiscard]] bool failed() const { return packets_out_.failed || keys_.failed; }

 private:
  struct Close {
    void operator()(std::FILE* file) const { (void)std::fclose(file); }
  };
  struct Output {
    std::string path;
    std::unique_ptr<std::FILE, Close> file;
    bool failed = false;

    void write(ByteView bytes);
  };
  Capture(Output packets, Output keys);
  static std::expected<Output, std::string> open(const std::string& path);
  [[nodiscard]] std::uint32_t interface(wire::LinkType link);
  [[nodiscard]] bool begin_classic(wire::LinkType link);

  Output packets_out_;
  Output keys_;
  const bool pcapng_;
  std::vector<wire::LinkType> links_;  ///< that the file has described
  std::size_t packets_ = 0;
};

}  // namespace teeio::serve
