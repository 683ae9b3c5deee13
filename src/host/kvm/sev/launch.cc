#include "firmware/sev/launch.h"

#include <algorithm>
#include <cstring>

#include "host/kvm/gmem.h"
#include "host/kvm/kvm.h"
#include "host/kvm/sev/sev_vm.h"

// snp_launch_start(), snp_launch_update(), snp_launch_finish() of Linux arch/x86/kvm/svm/sev.c.

namespace teeio::kvm {
namespace {

using sev::LaunchPage;

/// SNP_POLICY_MASK_VALID: ABI version, SMT, bit 17, debug, single socket.
constexpr std::uint64_t kPolicyValid = 0xffff | 1U << 16U | 1U << 17U | 1U << 19U | 1U << 20U;
constexpr Gpa kInitialVmsa{0xffff'ffff'f000};

/// Where a VMSA has what the VMM set. Source: Linux asm/svm.h, struct sev_es_save_area; the
/// places in the special registers are those of struct kvm_sregs.
struct Place {
  std::size_t in_vmsa, in_special;
};
constexpr Place kSpecial[] = {{0xd0, 264}, {0x148, 248}, {0x150, 240}, {0x158, 224}};
constexpr std::size_t kSegments = 6;  // in the VMM's order cs, ds, es, fs, gs, ss
constexpr std::size_t kVmsaSegments[kSegments] = {0x10, 0x30, 0x00, 0x40, 0x50, 0x20};
constexpr std::size_t kSegmentBytes = 24;

void put(std::span<std::byte> vmsa, std::size_t at, std::uint64_t value) {
  std::memcpy(vmsa.data() + at, &value, sizeof value);
}

/// sev_es_sync_vmsa(): the registers that the VMM has set, and the rest as after reset.
Bytes vmsa_of(hw::Cpu& cpu, std::uint64_t sev_features) {
  Bytes vmsa(kPageSize);
  std::array<std::byte, 312> special{};
  (void)cpu.get_special(special);
  const hw::CpuRegisters regs = cpu.registers();
  for (std::size_t i = 0; i < kSegments; ++i) {
    const ByteView segment = ByteView(special).subspan(i * kSegmentBytes, kSegmentBytes);
    Reader in(segment);
    const auto base = in.le<std::uint64_t>();
    const auto limit = in.le<std::uint32_t>();
    const auto selector = in.le<std::uint16_t>();
    put(vmsa, kVmsaSegments[i], std::uint64_t{limit} << 32U | selector);
    put(vmsa, kVmsaSegments[i] + 8, base);
  }
  for (const Place& place : kSpecial)
    std::memcpy(vmsa.data() + place.in_vmsa, special.data() + place.in_special, 8);
  const std::pair<std::size_t, std::uint64_t> general[] = {
      {0x170, regs.rflags}, {0x178, regs.rip}, {0x1d8, regs.rsp},    {0x1f8, regs.rax},
      {0x308, regs.rcx},    {0x310, regs.rdx}, {0x318, regs.rbx},    {0x328, regs.rbp},
      {0x330, regs.rsi},    {0x338, regs.rdi}, {0x340, regs.r8},     {0x348, regs.r9},
      {0x350, regs.r10},    {0x358, regs.r11}, {0x360, regs.r12},    {0x368, regs.r13},
      {0x370, regs.r14},    {0x378, regs.r15}, {0x3b0, sev_features}};
  for (const auto& [at, value] : general) put(vmsa, at, value);
  return vmsa;
}

}  // namespace

/// sev_issue_cmd(), with the firmware's answer for the program.
Result<void> SevVm::command(std::uint16_t number, Bytes buffer, FirmwareAnswer& answer) {
  PspHost::Answer said;
  auto done = host_.psp().command(number, buffer, said);
  if (said) answer = std::to_underlying(*said);
  return done;
}

/// snp_context_create().
Result<void> SevVm::create_context(FirmwareAnswer& answer) {
  const auto page = host_.psp().alloc_firmware_page();
  if (!page) return std::unexpected(page.error());
  if (auto made = command(sev::kSnpGctxCreate, Writer().le(raw(*page)).take(), answer); !made) {
    host_.psp().free_firmware_page(*page);
    return made;
  }
  host_.psp().psp().name_guest(*page, vm_.number());
  gctx_.store(raw(*page));
  return {};
}

/// snp_decommission_context().
void SevVm::free_context() {
  const Hpa gctx{gctx_.load()};
  if (raw(gctx) == 0) return;
  PspHost::Answer answer;
  if (!host_.psp().insist(sev::kSnpDecommission, Writer().le(raw(gctx)).take(), answer)) return;
  host_.psp().free_firmware_page(gctx);
  gctx_.store(0);
}

Result<void> SevVm::launch_start(std::uint64_t policy, ByteView gosvw, std::uint16_t flags,
                                 FirmwareAnswer& answer) {
  const schedule::Lock lock(build_lock_);
  answer.reset();
  if (!initialised()) return fail(Errno::kNoTty, "KVM_SEV_INIT2 comes first");
  if (gctx_.load() != 0) return fail(Errno::kInval, "the guest's launch has begun already");
  if (flags != 0) return fail(Errno::kInval, "KVM_SEV_SNP_LAUNCH_START has no flags");
  if ((policy & ~kPolicyValid) != 0) return fail(Errno::kInval, "an unknown policy bit is set");
  if ((policy & sev::kPolicyMustBeOne) == 0)
    return fail(Errno::kInval, "bit 17 of the policy must be one");
  if (!create_context(answer)) return fail(Errno::kNoTty, "the firmware makes no guest context");
  const std::uint64_t gctx = gctx_.load();
  auto done = command(
      sev::kSnpLaunchStart,
      Writer().le(gctx).le(policy).le(std::uint64_t{0}).le(std::uint64_t{0}).bytes(gosvw).take(),
      answer);
  if (done) done = command(sev::kSnpActivate, Writer().le(gctx).le(asid()).take(), answer);
  if (!done) free_context();
  return done;
}

Result<void> SevVm::firmware_takes(Hpa page, LaunchPage type, FirmwareAnswer& answer) {
  const std::uint32_t flags = std::uint32_t{std::to_underlying(type)} << 1U;
  auto done = command(
      sev::kSnpLaunchUpdate,
      Writer().le(gctx_.load()).le(flags).le(0U).le(raw(page)).le(std::uint64_t{0}).take(), answer);
  if (!done && !host_.psp().reclaim_page(page))
    vm_.bug("the firmware keeps a page whose launch it refused");
  return done;
}

/// A turn of kvm_gmem_populate() with sev_gmem_post_populate().
Result<void> SevVm::update_page(Gpa gpa, LaunchPage type, const ReadSource& contents,
                                std::uint64_t index, FirmwareAnswer& answer) {
  Bytes bytes(kPageSize);
  if (type != LaunchPage::kZero) TEEIO_TRY(contents(index, bytes));
  const schedule::ReadLock srcu(vm_.srcu());
  Slot* slot = vm_.find_slot(gpa);
  if (slot == nullptr || slot->gmem == nullptr)
    return fail(Errno::kInval, "no guest_memfd backs the page");
  return slot->gmem->populate(slot->gmem_offset + (gpa - slot->start),
                              [&](Hpa page) -> Result<void> {
                                if (!vm_.is_private(gpa))
                                  return fail(Errno::kInval, "the page is not private");
                                if (host_.psp().rmp().entry(page).assigned)
                                  return fail(Errno::kExist, "the page is the guest's already");
                                TEEIO_TRY(host_.psp().memory().write(page, bytes));
                                TEEIO_TRY(host_.psp().make_private(page, gpa, asid(), true));
                                return firmware_takes(page, type, answer);
                              });
}

Result<std::uint64_t> SevVm::launch_update(Gpa start, std::uint64_t pages, LaunchPage type,
                                           const ReadSource& contents, FirmwareAnswer& answer) {
  const schedule::Lock lock(build_lock_);
  answer.reset();
  if (gctx_.load() == 0) return fail(Errno::kInval, "KVM_SEV_SNP_LAUNCH_START comes first");
  {
    const schedule::ReadLock srcu(vm_.srcu());
    const Slot* slot = vm_.find_slot(start);
    if (slot == nullptr || slot->gmem == nullptr)
      return fail(Errno::kInval, "no guest_memfd backs the page");
    pages = std::min(pages, (slot->size - (start - slot->start)) >> kPageShift);
  }
  // kvm_gmem_populate() wants at least one; each of its errors is EIO, and has an answer of the
  // firmware's: 0 if that was not asked.
  const auto refuse = [&answer](std::string_view why) {
    answer = answer.value_or(0);
    return fail(Errno::kIo, why);
  };
  if (pages == 0) return refuse("the range is empty");
  std::uint64_t done = 0;
  Result<void> last;
  while (done < pages) {
    last = update_page(start + done * kPageSize, type, contents, done, answer);
    if (!last) break;
    ++done;
  }
  // What went well counts; only the first page's failure is the call's.
  if (!last && done == 0) return refuse(last.error().why);
  answer.reset();
  return done;
}

/// snp_launch_update_vmsa(), and sev_es_sync_vmsa(): each save area once, whatever came of the
/// launch's end.
Result<void> SevVm::launch_vmsas(FirmwareAnswer& answer) {
  constexpr std::uint64_t kSnpActive = 1;  // SVM_SEV_FEAT_SNP_ACTIVE
  std::vector<std::uint32_t> ids;
  {
    const schedule::Lock lock(vcpus_lock_);
    for (const auto& [id, state] : vcpus_) ids.push_back(id);
  }
  for (const std::uint32_t id : ids) {
    VcpuState* state = nullptr;
    {
      const schedule::Lock lock(vcpus_lock_);
      const auto found = vcpus_.find(id);
      if (found == vcpus_.end()) continue;
      state = &found->second;
    }
    Vcpu& vcpu = *state->vcpu;
    const schedule::Lock lock(vcpu.mutex());
    if (state->in_firmware) return fail(Errno::kInval, "the vCPU's save area is measured already");
    if (vcpu.is_debugged()) return fail(Errno::kInval, "a vCPU's debug registers are in use");
    hw::Cpu* cpu = vcpu.cpu();
    if (cpu != nullptr) TEEIO_TRY(cpu->open());
    const Bytes vmsa = cpu != nullptr ? vmsa_of(*cpu, kSnpActive) : Bytes(kPageSize);
    TEEIO_TRY(host_.psp().memory().write(state->vmsa, vmsa));
    TEEIO_TRY(host_.psp().make_private(state->vmsa, kInitialVmsa, asid(), true));
    TEEIO_TRY(firmware_takes(state->vmsa, LaunchPage::kVmsa, answer));
    state->in_firmware = true;
    protected_.store(true);
  }
  return {};
}

namespace {

/// A copy of what a program gave, where the firmware can read it: psp_copy_user_blob().
class Blob {
 public:
  explicit Blob(hw::PhysicalMemory& memory) : memory_(memory) {}
  ~Blob() {
    if (raw(page_) != 0) memory_.free_page(page_);
  }
  Blob(const Blob&) = delete;
  Blob& operator=(const Blob&) = delete;

  Result<void> fill(const std::function<Result<Bytes>()>& read) {
    TEEIO_ASSIGN(const Bytes bytes, read());
    TEEIO_ASSIGN(page_, memory_.alloc_page());
    return memory_.write(page_, bytes);
  }
  [[nodiscard]] std::uint64_t address() const { return raw(page_); }

 private:
  hw::PhysicalMemory& memory_;
  Hpa page_{0};
};

}  // namespace

Result<void> SevVm::launch_finish(const Finish& finish, FirmwareAnswer& answer) {
  const schedule::Lock lock(build_lock_);
  answer.reset();
  if (!initialised()) return fail(Errno::kNoTty, "KVM_SEV_INIT2 comes first");
  if (gctx_.load() == 0) return fail(Errno::kInval, "KVM_SEV_SNP_LAUNCH_START comes first");
  TEEIO_TRY(launch_vmsas(answer));
  Blob block(host_.psp().memory());
  Blob authentication(host_.psp().memory());
  std::uint64_t flags = finish.vcek_disabled ? 4U : 0U;
  if (finish.id_block) {
    TEEIO_TRY(block.fill(finish.read_block));
    TEEIO_TRY(authentication.fill(finish.read_authentication));
    flags |= finish.author_key ? 3U : 1U;
  }
  const Bytes buffer = Writer()
                           .le(gctx_.load())
                           .le(block.address())
                           .le(authentication.address())
                           .le(flags)
                           .bytes(finish.host_data)
                           .take();
  TEEIO_TRY(command(sev::kSnpLaunchFinish, buffer, answer));
  finished_.store(true);
  return {};
}

}  // namespace teeio::kvm
