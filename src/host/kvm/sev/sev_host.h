#pragma once

#include "firmware/sev/launch.h"
#include "host/kvm/sev/asids.h"
#include "host/kvm/sev/psp_host.h"

namespace teeio::kvm {

/// What SNP VMs of a machine share: the secure processor's driver and the ASIDs.
///
/// Lifetime: one a machine.
class SevHost {
 public:
  SevHost(PspHost& psp, std::uint32_t asids)
      : psp_(psp), asids_(asids, [this] {
          sev::Status status{};
          return psp_.insist(sev::kSnpDfFlush, {}, status);
        }) {}

  [[nodiscard]] PspHost& psp() { return psp_; }
  [[nodiscard]] Asids& asids() { return asids_; }

 private:
  PspHost& psp_;
  Asids asids_;
};

}  // namespace teeio::kvm
