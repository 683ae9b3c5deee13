#include "host/kvm/sev/sev_vm.h"

#include "base/check.h"
#include "host/kvm/sev/msrs.h"

namespace teeio::kvm {
namespace {

constexpr std::uint16_t kGhcbVersionMax = 2;  // GHCB_VERSION_MAX, GHCB_VERSION_DEFAULT

std::uint64_t frame_of(Gpa page) { return raw(page) >> kPageShift; }

}  // namespace

/// __sev_guest_init().
Result<void> SevVm::init2(std::uint64_t vmsa_features, std::uint32_t flags,
                          std::uint16_t ghcb_version, FirmwareAnswer& answer) {
  const schedule::Lock lock(build_lock_);
  answer.reset();
  if (initialised()) return fail(Errno::kInval, "the VM is initialised already");
  {
    const schedule::Lock vcpus(vcpus_lock_);
    if (!vcpus_.empty()) return fail(Errno::kInval, "the VM has vCPUs already");
  }
  if (flags != 0) return fail(Errno::kInval, "KVM_SEV_INIT2 has no flags");
  if (vmsa_features != 0) return fail(Errno::kInval, "the VMSA feature is not supported");
  if (ghcb_version > kGhcbVersionMax) return fail(Errno::kInval, "there is no such GHCB version");
  ghcb_version_ = ghcb_version != 0 ? ghcb_version : kGhcbVersionMax;
  TEEIO_ASSIGN(const sev::Asid asid, host_.asids().alloc());
  const auto request = host_.psp().memory().alloc_page();
  const auto response =
      request ? host_.psp().alloc_firmware_page() : std::unexpected(request.error());
  if (!response) {
    if (request) host_.psp().memory().free_page(*request);
    host_.asids().free(asid);
    answer = 0;  // SNP_INIT_EX, which went well
    return std::unexpected(response.error());
  }
  request_page_ = *request;
  response_page_ = *response;
  asid_.store(asid);
  return {};
}

// The nested table.

std::optional<SevVm::Nested> SevVm::nested(Gpa page) {
  nested_turn_.touch(frame_of(page), schedule::Touch::How::kRead);
  const schedule::RawLockGuard guard(nested_lock_);
  const auto found = nested_.find(frame_of(page));
  return found == nested_.end() ? std::nullopt : std::optional(found->second);
}

/// sev_gmem_prepare(): a page that the guest has for the first time becomes its own, with an
/// entry of 4 KiB, as Linux 7.3 has it, whose guest_memfds are of order 0; one that it has had
/// keeps what PVALIDATE has said of it. A larger entry that somebody has made is in the way of
/// 4 KiB: sev_handle_rmp_fault() splits it, and the fault is repeated.
Result<void> SevVm::gmem_prepare(Gpa gpa, Hpa page) {
  if (!initialised()) return {};
  if (host_.psp().rmp().entry(page).assigned) {
    (void)host_.psp().split(page);
    return {};
  }
  if (!host_.psp().make_private(page, gpa, asid(), false))
    return fail(Errno::kInval, "the RMP refuses to make a page private");
  return {};
}

/// sev_gmem_invalidate().
void SevVm::gmem_invalidate(Hpa page) {
  if (!host_.psp().rmp().entry(page).assigned) return;
  (void)host_.psp().split(page);
  (void)host_.psp().make_shared(page);
}

/// MMIO of a dma-buf slot becomes the guest's with its mapping, for it has no guest_memfd
/// behind it: what KVM_SEV_SNP_MMIO_RMP_UPDATE of the posted patches does for a range that
/// the VMM maps (docs/divergences.md).
Result<void> SevVm::map_private(Gpa gpa, Hpa page, PageKind kind) {
  if (kind == PageKind::kMmio) {
    const sev::RmpEntry entry = host_.psp().rmp().entry(page);
    const bool own = entry.assigned && entry.asid == asid() && entry.gpa == gpa;
    if (!own) TEEIO_TRY(host_.psp().make_private(page, gpa, asid(), false));
  }
  nested_turn_.touch(frame_of(gpa), schedule::Touch::How::kWrite);
  const schedule::RawLockGuard guard(nested_lock_);
  nested_.insert_or_assign(frame_of(gpa), Nested{.page = page, .kind = kind});
  return {};
}

Result<void> SevVm::remove_private(Gpa gpa, PageKind kind) {
  const auto mapping = nested(gpa);
  {
    nested_turn_.touch(frame_of(gpa), schedule::Touch::How::kWrite);
    const schedule::RawLockGuard guard(nested_lock_);
    nested_.erase(frame_of(gpa));
  }
  if (!mapping || kind != PageKind::kMmio) return {};
  const sev::RmpEntry entry = host_.psp().rmp().entry(mapping->page);
  if (!entry.assigned || entry.asid != asid()) return {};
  return host_.psp().make_shared(mapping->page);
}

std::optional<hw::GuestMapping> SevVm::lookup_private(Gpa page) {
  const auto mapping = nested(page);
  if (!mapping) return std::nullopt;
  if (host_.psp().rmp().check_guest(asid(), page, mapping->page, sev::RmpAccess::kRead))
    return std::nullopt;
  return hw::GuestMapping{.address = mapping->page,
                          .writable = !host_.psp().rmp().entry(mapping->page).vmsa,
                          .mmio = mapping->kind == PageKind::kMmio,
                          .key = hw::KeyId{static_cast<std::uint16_t>(asid())}};
}

/// A page that the guest has not validated is a #VC of its own; any other mismatch is a
/// nested page fault for KVM.
bool SevVm::raises_exception(Gpa page) {
  const auto mapping = nested(page);
  if (!mapping) return false;
  const auto fault =
      host_.psp().rmp().check_guest(asid(), page, mapping->page, sev::RmpAccess::kRead);
  return fault == sev::RmpFault::kNotValidated;
}

// vCPUs.

SevVm::VcpuState& SevVm::state_of(Vcpu& vcpu) {
  const schedule::Lock lock(vcpus_lock_);
  return vcpus_.at(vcpu.id());
}

/// sev_vcpu_create(), sev_es_vcpu_reset().
Result<void> SevVm::vcpu_created(Vcpu& vcpu) {
  VcpuState state{.vcpu = &vcpu};
  if (initialised()) {
    if (vcpu.cpu() != nullptr) TEEIO_TRY(vcpu.cpu()->open());
    TEEIO_ASSIGN(state.vmsa, host_.psp().memory().alloc_page());
    if (vcpu.cpu() != nullptr) {
      vcpu.cpu()->set_private_bit(kPrivate);
      vcpu.cpu()->set_msr(kMsrGhcb, ghcb_sev_info(ghcb_version_));
      vcpu.cpu()->set_msr(kMsrSevStatus, kSevStatusSnp);
    }
  }
  const schedule::Lock lock(vcpus_lock_);
  TEEIO_CHECK(vcpus_.emplace(vcpu.id(), state).second, "two vCPUs have one number");
  return {};
}

/// sev_free_vcpu().
void SevVm::vcpu_freed(Vcpu& vcpu) {
  VcpuState state;
  {
    const schedule::Lock lock(vcpus_lock_);
    const auto at = vcpus_.find(vcpu.id());
    state = at->second;
    vcpus_.erase(at);
  }
  if (raw(state.vmsa) == 0) return;
  if (!state.in_firmware || host_.psp().make_shared(state.vmsa))
    host_.psp().memory().free_page(state.vmsa);
}

/// svm_vcpu_pre_run(), pre_sev_run(). Before LAUNCH_FINISH the save area is not the guest's,
/// and VMRUN would fail.
Result<void> SevVm::vcpu_pre_run(Vcpu&) {
  if (!initialised()) return fail(Errno::kInval, "KVM_SEV_INIT2 comes first");
  if (!finished_.load()) return fail(Errno::kInval, "the guest's launch is not finished");
  return {};
}

/// sev_vm_destroy().
void SevVm::destroy(Vm& vm) {
  if (!initialised()) return;
  host_.psp().free_firmware_page(response_page_);
  host_.psp().memory().free_page(request_page_);
  free_context();
  if (gctx_.load() != 0) {
    // As Linux: the ASID is leaked with the context, and said to be.
    host_.psp().trace().fact(object::Lane::kKvm, object::Fact::kRefLeaked,
                             "the guest's context could not be released",
                             {.vm = vm.number(), .a = 1});
    return;
  }
  host_.asids().free(asid_.exchange(0));
}

}  // namespace teeio::kvm
