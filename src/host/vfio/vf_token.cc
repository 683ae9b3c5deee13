#include "host/vfio/vf_token.h"

#include "base/check.h"
#include "host/vfio/awake.h"
#include "host/vfio/device.h"
#include "hw/capabilities.h"

namespace teeio::vfio {

Result<void> VfToken::admit_vf(const std::optional<Uuid>& token) {
  if (!token) return fail(Errno::kAcces, "the VF's PF is on vfio-pci: its VF token is needed");
  const schedule::Lock lock(lock_);
  if (token_ != token) return fail(Errno::kAcces, "this is not the VF token of the VF's PF");
  return {};
}

Result<void> VfToken::admit_pf(const std::optional<Uuid>& token) {
  const schedule::Lock lock(lock_);
  if (users_ == 0) {
    if (token) token_ = token;
    return {};
  }
  if (!token) return fail(Errno::kAcces, "VFs of this PF are in use: their VF token is needed");
  if (token_ != token)
    return fail(Errno::kAcces, "VFs of this PF are in use with another VF token");
  return {};
}

void VfToken::set(const Uuid& token) {
  const schedule::Lock lock(lock_);
  token_ = token;
}

void VfToken::use() {
  const schedule::Lock lock(lock_);
  ++users_;
}

void VfToken::put() {
  const schedule::Lock lock(lock_);
  TEEIO_CHECK(users_ > 0, "a VF is closed more often than opened");
  --users_;
}

/// vfio_pci_core_match_token_uuid().
Result<void> Device::match_token(const std::optional<Uuid>& token) {
  if (pci().physical_function() != nullptr) {
    if (wiring_.token_of_pf != nullptr) return wiring_.token_of_pf->admit_vf(token);
    if (token) return fail(Errno::kInval, "the VF was not made through vfio-pci: it has no token");
    return {};
  }
  if (own_token_) return own_token_->admit_pf(token);
  if (token) return fail(Errno::kInval, "the function is neither a PF nor a VF");
  return {};
}

Result<void> Device::check_unbound() {
  {
    const schedule::ReadLock lock(memory_lock_);
    if (!bound_) return {};
  }
  return leave_bound("a change of its VFs");
}

/// vfio_pci_core_sriov_configure(): a PF that sleeps is woken first.
Result<void> Device::set_virtual_functions(std::uint16_t count) {
  const Awake awake(*this);
  for (;;) {
    {
      const schedule::WriteLock lock(memory_lock_);
      if (!bound_) {
        set_power_state(0);
        hw::set_virtual_functions(pci(), count);
        return {};
      }
    }
    TEEIO_TRY(leave_bound("a change of its VFs"));
  }
}

}  // namespace teeio::vfio
