#pragma once

#include <string_view>

#include "object/trace.h"
#include "spdm/observer.h"
#include "wire/spdm.h"

namespace teeio::tdx {

/// Knows by name what the module last said to a device, for the trace: the host
/// that carries it sees ciphertext. Tells rule R8 which sequence numbers were used. Locking:
/// State::mutex.
class SpdmWatcher final : public spdm::Observer {
 public:
  explicit SpdmWatcher(object::Trace& trace) : trace_(trace) {}

  void sent(std::uint32_t /*session*/, ByteView spdm) override {
    const auto header = wire::SpdmHeader::decode(spdm);
    if (header) last_ = wire::spdm_name(header->code);
  }
  void sealed(std::uint32_t /*session*/, std::uint64_t key_digest,
              std::uint64_t sequence) override {
    trace_.fact(object::Lane::kFirmware, object::Fact::kSequenceUsed, "sequence number",
                {.a = key_digest, .b = sequence});
  }
  /// "KEY_EXCHANGE"; empty before the first message.
  [[nodiscard]] std::string_view last() const { return last_; }

 private:
  object::Trace& trace_;
  std::string_view last_;
};

}  // namespace teeio::tdx
