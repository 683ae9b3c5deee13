#pragma once

#include <cstdio>
#include <expected>
#include <memory>
#include <optional>
#include <string>

#include "base/bytes.h"
#include "serve/platform_message.h"
#include "serve/speaker.h"

namespace teeio::serve {

/// What went over the sockets, as files: packets in pcap, keys in a key log. Both
/// are flushed after each message, so that a reader may follow them.
///
/// A pcap file has one kind of packet: DOE objects or MCTP messages, whichever
/// comes first. Others, and transports that have no link type, are left out.
///
/// Lifetime: outlives the devices. Locking: none.
class Capture final : public KeyLog {
 public:
  /// Empty paths: nothing is written. Error, ready to print: a file cannot be made.
  static std::expected<std::unique_ptr<Capture>, std::string> create(const std::string& pcap,
                                                                     const std::string& key_log);

  void packet(PlatformTransport transport, ByteView packet);
  [[nodiscard]] bool wanted() const override { return keys_ != nullptr; }
  void line(const std::string& text) override;

 private:
  struct Close {
    void operator()(std::FILE* file) const { (void)std::fclose(file); }
  };
  using File = std::unique_ptr<std::FILE, Close>;
  Capture(File pcap, File keys) : pcap_(std::move(pcap)), keys_(std::move(keys)) {}
  static void write(std::FILE& file, ByteView bytes);

  File pcap_;
  File keys_;
  std::optional<PlatformTransport> transport_;  ///< of the packets in the file
};

}  // namespace teeio::serve
