#pragma once

#include <string_view>

#include "firmware/sequence_watcher.h"
#include "wire/spdm.h"

namespace teeio::tdx {

/// Also knows by name what the module last said to a device, for the trace: the host that
/// carries it sees ciphertext. Locking: State::mutex.
class SpdmWatcher final : public firmware::SequenceWatcher {
 public:
  using SequenceWatcher::SequenceWatcher;

  void sent(std::uint32_t /*session*/, ByteView spdm) override {
    const auto header = wire::SpdmHeader::decode(spdm);
    if (header) last_ = wire::spdm_name(header->code);
  }
  /// "KEY_EXCHANGE"; empty before the first message.
  [[nodiscard]] std::string_view last() const { return last_; }

 private:
  std::string_view last_;
};

}  // namespace teeio::tdx
