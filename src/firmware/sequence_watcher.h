#pragma once

#include "object/trace.h"
#include "spdm/observer.h"

namespace teeio::firmware {

/// Tells rule R8 which sequence numbers a firmware used in its sessions.
/// Locking: that of the firmware's state.
class SequenceWatcher : public spdm::Observer {
 public:
  explicit SequenceWatcher(object::Trace& trace) : trace_(trace) {}
  void sealed(std::uint32_t /*session*/, std::uint64_t key_digest, std::uint64_t sequence) final {
    trace_.fact(object::Lane::kFirmware, object::Fact::kSequenceUsed, "sequence number",
                {.a = key_digest, .b = sequence});
  }

 private:
  object::Trace& trace_;
};

}  // namespace teeio::firmware
