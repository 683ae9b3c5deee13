#pragma once

#include "entry/call.h"
#include "host/kvm/vcpu_file.h"
#include "host/kvm/vm_file.h"

namespace teeio::entry {

/// Whose file a call came on; precondition: the call's row is of that kind of file.
[[nodiscard]] inline kvm::Vm& vm_of(Call& call) {
  return static_cast<kvm::VmFile&>(call.file).vm();
}
[[nodiscard]] inline kvm::Vcpu& vcpu_of(Call& call) {
  return static_cast<kvm::VcpuFile&>(call.file).vcpu();
}

}  // namespace teeio::entry
