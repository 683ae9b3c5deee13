#pragma once

#include <expected>
#include <memory>
#include <string>

#include "decode/capture.h"
#include "serve/capture.h"
#include "serve/validate/link.h"

namespace teeio::cli {

/// What `teeio validate` keeps and shows of what it exchanges.
///
/// Lifetime: outlives the cases. Locking: none.
class ValidateWatch final : public serve::validate::Watch {
 public:
  /// Files as serve::Capture takes them. `verbose`: each message is a comment line on
  /// stdout. Error, ready to print: a file cannot be made.
  static std::expected<std::unique_ptr<ValidateWatch>, std::string> create(
      const std::string& pcap, const std::string& key_log, bool verbose);

  void packet(serve::PlatformTransport transport, serve::PacketSender sender,
              ByteView packet) override;
  void keys(const wire::KeyLogLine& line) override;
  [[nodiscard]] std::size_t packets() const override { return packets_; }
  /// A file lacks something.
  [[nodiscard]] bool failed() const { return files_->failed(); }

 private:
  ValidateWatch(std::unique_ptr<serve::Capture> files, bool verbose)
      : files_(std::move(files)), verbose_(verbose) {}

  std::unique_ptr<serve::Capture> files_;
  const bool verbose_;
  decode::Capture decoder_{wire::LinkType::kPciDoe, {}, {}};
  std::size_t packets_ = 0;
  std::uint64_t start_ns_ = 0;
};

}  // namespace teeio::cli
