#include "host/kvm/tdx/tdx_vm.h"

#include <utility>

#include "base/check.h"
#include "host/kvm/gmem.h"
#include "schedule/task.h"

namespace teeio::kvm {
namespace {

constexpr std::uint64_t kExtendChunk = 256;  // bytes a MR.EXTEND measures

schedule::TaskLocal<std::uint64_t> t_hw_error;

}  // namespace

TdxVm::~TdxVm() = default;

void TdxVm::begin_build_call() { t_hw_error.set(0); }

std::uint64_t TdxVm::hw_error() { return t_hw_error.get(); }

Error TdxVm::refused(const tdx::LeafResult& result, std::string_view why) {
  t_hw_error.set(result.status.rax());
  return leaf_error(result, why);
}

Result<Hpa> TdxVm::lend_page() {
  TEEIO_ASSIGN(const Hpa page, host_.memory().alloc_page());
  const schedule::Lock lock(lent_lock_);
  lent_.push_back(page);
  return page;
}

void TdxVm::take_back(Hpa page) {
  {
    const schedule::Lock lock(lent_lock_);
    std::erase(lent_, page);
  }
  host_.memory().free_page(page);
}

Result<void> TdxVm::init_vm(const tdx::TdParameters& parameters) {
  const schedule::Lock lock(build_lock_);
  if (state_.load() != State::kUninitialized)
    return fail(Errno::kInval, "the TD is initialised already");
  TEEIO_ASSIGN(hkid_, host_.alloc_hkid());
  if (auto built = build_tdr(parameters); !built) {
    const std::uint64_t hw_error = t_hw_error.get();
    destroy(vm_);
    t_hw_error.set(hw_error);
    return built;
  }
  state_.store(State::kInitialized);
  return {};
}

Result<void> TdxVm::build_tdr(const tdx::TdParameters& parameters) {
  tdx::Module& module = host_.module();
  TEEIO_ASSIGN(status_, host_.memory().alloc_page());
  TEEIO_ASSIGN(const Hpa tdr, lend_page());
  if (const auto r = module.tdh_mng_create(tdr, hkid_, vm_.number()); !r.ok()) {
    take_back(tdr);
    return std::unexpected(refused(r, "TDH.MNG.CREATE failed"));
  }
  tdr_ = tdr;
  if (const auto r = host_.call([&] { return module.tdh_mng_key_config(tdr_); }); !r.ok())
    return std::unexpected(refused(r, "TDH.MNG.KEY.CONFIG failed"));
  for (std::uint32_t i = 0; i < tdx::kTdcsPages; ++i) {
    TEEIO_ASSIGN(const Hpa page, lend_page());
    if (const auto r = module.tdh_mng_addcx(tdr_, page); !r.ok())
      return std::unexpected(refused(r, "TDH.MNG.ADDCX failed"));
  }
  if (const auto r = module.tdh_mng_init(tdr_, parameters); !r.ok())
    return std::unexpected(refused(r, "TDH.MNG.INIT failed"));
  return {};
}

namespace {

/// Source: TDX module base spec, "Initial state of guest GPRs", "CPU mode", "CRs".
hw::FlatStart initial_state(std::uint64_t rcx) {
  hw::FlatStart start{.cr0 = 0x31,    // PE, ET, NE
                      .cr4 = 0x2040,  // MCE, VMXE
                      .efer = 0x901,  // SCE, LME, NXE
                      .registers = {}};
  start.registers.rip = 0xffff'fff0;
  start.registers.rbx = 48;  // guest physical address width
  start.registers.rcx = rcx;
  start.registers.r8 = rcx;
  return start;
}

}  // namespace

std::vector<Hpa> TdxVm::vcpu_handles() {
  handles_turn_.touch(0, schedule::Touch::How::kRead);
  const schedule::RawLockGuard guard(handles_lock_);
  std::vector<Hpa> all;
  for (const auto& [id, tdvpr] : vcpu_handles_) all.push_back(tdvpr);
  return all;
}

Result<void> TdxVm::init_vcpu(Vcpu& vcpu, std::uint64_t rcx) {
  const schedule::Lock lock(build_lock_);
  if (state_.load() != State::kInitialized)
    return fail(Errno::kInval, "a vCPU is initialised between INIT_VM and FINALIZE_VM");
  {
    handles_turn_.touch(0, schedule::Touch::How::kRead);
    const schedule::RawLockGuard guard(handles_lock_);
    if (vcpu_handles_.contains(vcpu.id())) return fail(Errno::kInval, "the vCPU is initialised");
  }
  if (vcpu.cpu() != nullptr) TEEIO_TRY(vcpu.cpu()->open());
  tdx::Module& module = host_.module();
  TEEIO_ASSIGN(const Hpa tdvpr, lend_page());
  if (const auto r = module.tdh_vp_create(tdr_, tdvpr); !r.ok()) {
    take_back(tdvpr);
    return std::unexpected(refused(r, "TDH.VP.CREATE failed"));
  }
  for (std::uint32_t i = 0; i < tdx::kTdvpsPages; ++i) {
    TEEIO_ASSIGN(const Hpa page, lend_page());
    if (const auto r = module.tdh_vp_addcx(tdvpr, page); !r.ok())
      return std::unexpected(refused(r, "TDH.VP.ADDCX failed"));
  }
  // tdh_vp_init() of arch/x86/virt/vmx/tdx/tdx.c: version 1, the vCPU's number as x2APIC ID.
  if (const auto r = module.tdh_vp_init(tdvpr, rcx, {}, {.number = 1, .x2apic_id = vcpu.id()});
      !r.ok())
    return std::unexpected(refused(r, "TDH.VP.INIT failed"));
  {
    handles_turn_.touch(0, schedule::Touch::How::kWrite);
    const schedule::RawLockGuard guard(handles_lock_);
    vcpu_handles_.emplace(vcpu.id(), tdvpr);
  }
  vcpu.set_firmware_handle(tdvpr);
  if (vcpu.cpu() != nullptr) vcpu.cpu()->start_flat(initial_state(rcx));
  return {};
}

Result<void> TdxVm::init_mem_page(Vcpu& vcpu, Gpa gpa, ByteView contents, bool measure) {
  const schedule::Lock lock(build_lock_);
  if (raw(vcpu.firmware_handle()) == 0 || state_.load() != State::kInitialized)
    return fail(Errno::kInval, "initial memory is added between INIT_VCPU and FINALIZE_VM");
  TEEIO_CHECK(contents.size() == kPageSize, "initial memory comes page by page");
  const schedule::ReadLock srcu(vm_.srcu());
  Slot* slot = vm_.find_slot(gpa);
  if (slot == nullptr || slot->gmem == nullptr)
    return fail(Errno::kInval, "no guest_memfd backs the page");
  return slot->gmem->populate(slot->gmem_offset + (gpa - slot->start),
                              [&](Hpa page) { return add_page(gpa, page, contents, measure); });
}

/// tdx_gmem_post_populate(), after __kvm_gmem_populate()'s look at the attributes. EIO for a
/// page that is mapped: kvm_tdp_mmu_map_private_pfn().
Result<void> TdxVm::add_page(Gpa gpa, Hpa page, ByteView contents, bool measure) {
  if (!vm_.is_private(gpa)) return fail(Errno::kInval, "the page is not private");
  if (lookup_private(gpa)) return fail(Errno::kIo, "the page was added already");
  TEEIO_TRY(ensure_table(gpa));
  TEEIO_ASSIGN(const Hpa source, host_.memory().alloc_page());
  TEEIO_CHECK(host_.memory().write(source, contents).has_value(), "a page of RAM takes a page");
  const auto added =
      host_.call([&] { return host_.module().tdh_mem_page_add(tdr_, gpa, page, source); });
  host_.memory().free_page(source);
  if (!added.ok()) return std::unexpected(refused(added, "TDH.MEM.PAGE.ADD failed"));
  vm_.mmu().adopt_private(gpa, page);
  for (std::uint64_t at = 0; measure && at < kPageSize; at += kExtendChunk)
    if (const auto r = host_.module().tdh_mr_extend(tdr_, gpa + at); !r.ok())
      return std::unexpected(refused(r, "TDH.MR.EXTEND failed"));
  return {};
}

Result<void> TdxVm::finalize() {
  const schedule::Lock lock(build_lock_);
  if (state_.load() != State::kInitialized)
    return fail(Errno::kInval, "the TD is not initialised, or finalised already");
  if (const auto r = host_.call([&] { return host_.module().tdh_mr_finalize(tdr_); }); !r.ok())
    return std::unexpected(refused(r, "TDH.MR.FINALIZE failed"));
  state_.store(State::kRunnable);
  return {};
}

Result<void> TdxVm::vcpu_pre_run(Vcpu& vcpu) {
  if (raw(vcpu.firmware_handle()) == 0 || state_.load() != State::kRunnable)
    return fail(Errno::kInval, "the TD or its vCPU is not ready to run");
  return {};
}

Result<void> TdxVm::vcpu_enter(Vcpu& vcpu) {
  const auto r = host_.call([&] { return host_.module().begin_vp_enter(vcpu.firmware_handle()); });
  if (r.ok()) return {};
  if (r.status == tdx::Code::kTdFatal) vm_.bug("TDH.VP.ENTER: the TD is fatal");
  return std::unexpected(refused(r, "TDH.VP.ENTER failed"));
}

void TdxVm::vcpu_leave(Vcpu& vcpu, const hw::CpuExit&) {
  host_.module().end_vp_enter(vcpu.firmware_handle(), tdx::TdExit::kOrdinary);
}

/// tdx_mmu_release_hkid(), then tdx_reclaim_td_control_pages(): keys first, so
/// that no page of the TD can be read any more when it comes back.
void TdxVm::destroy(Vm&) {
  if (hkid_ == 0) return;
  tdx::Module& module = host_.module();
  bool released = raw(tdr_) == 0;
  if (!released) {
    for (const Hpa tdvpr : vcpu_handles())
      (void)host_.call([&] { return module.tdh_vp_flush(tdvpr); });
    const auto flushed = host_.call([&] { return module.tdh_mng_vpflushdone(tdr_); });
    (void)host_.call([&] { return module.tdh_phymem_cache_wb(); });
    const auto freed = host_.call([&] { return module.tdh_mng_key_freeid(tdr_); });
    released = flushed.ok() && freed.ok();
  }
  if (!released) {
    // As Linux: the key id and the TD's pages are leaked, and said to be.
    host_.trace().fact(object::Lane::kKvm, object::Fact::kRefLeaked,
                       "the TD's key id could not be released", {.vm = vm_.number(), .a = 1});
    return;
  }
  host_.free_hkid(hkid_);
  hkid_ = 0;
  if (raw(status_) != 0) host_.memory().free_page(std::exchange(status_, Hpa{0}));
  std::vector<Hpa> lent;
  {
    const schedule::Lock lock(lent_lock_);
    lent.swap(lent_);
  }
  // Children first; the TDR, lent first of all, comes back last.
  for (auto page = lent.rbegin(); page != lent.rend(); ++page) {
    const auto r = host_.call([&] { return module.tdh_phymem_page_reclaim(*page); });
    if (r.ok()) host_.memory().free_page(*page);
  }
  tdr_ = Hpa{0};
}

}  // namespace teeio::kvm
