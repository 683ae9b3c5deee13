#pragma once

#include "object/trace.h"
#include "spdm/observer.h"

namespace teeio::sev {

/// Tells rule R8 which sequence numbers the firmware used in its sessions.
/// Locking: the platform's mutex.
class SequenceWatcher final : public spdm::Observer {
 public:
  explicit SequenceWatcher(object::Trace& trace) : trace_(trace) {}
  void sealed(std::uint32_t /*session*/, std::uint64_t key_digest,
              std::uint64_t sequence) override {
    trace_.fact(object::Lane::kFirmware, object::Fact::kSequenceUsed, "sequence number",
                {.a = key_digest, .b = sequence});
  }

 private:
  object::Trace& trace_;
};

}  // namespace teeio::sev
