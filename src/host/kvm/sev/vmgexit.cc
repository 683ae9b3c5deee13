#include <algorithm>
#include <expected>
#include <optional>

#include "host/kvm/kvm.h"
#include "host/kvm/sev/msrs.h"
#include "host/kvm/sev/sev_vm.h"

// VMGEXIT: sev_handle_vmgexit() of Linux arch/x86/kvm/svm/sev.c.

namespace teeio::kvm {
namespace {

using Field = Ghcb::Field;

constexpr std::uint64_t kInfoMask = 0xfff;
constexpr std::uint64_t kFrame = 0x000f'ffff'ffff'f000;
/// HV features: SNP and SEV-TIO. The guest's own vCPUs are not created by it here.
constexpr std::uint64_t kFeatures = 1U << 0U | 1U << 7U;

// Requests of the MSR protocol, and their answers. Source: GHCB specification, 2.3.1.
enum : std::uint64_t {
  kMsrSevInfo = 0x002,
  kMsrPreferredGpa = 0x010,
  kMsrRegisterGpa = 0x012,
  kMsrPageState = 0x014,
  kMsrFeatures = 0x080,
  kMsrTerminate = 0x100,
};
constexpr std::uint64_t kNoPreference = kFrame;

// Exit codes. Source: Linux arch/x86/include/uapi/asm/svm.h, and for SEV-TIO AMD's public
// tree, AMDESE/linux-kvm.
enum : std::uint64_t {
  kExitHlt = 0x78,
  kExitIo = 0x7b,
  kExitMmioRead = 0x8000'0001,
  kExitMmioWrite = 0x8000'0002,
  kExitPageState = 0x8000'0010,
  kExitGuestRequest = 0x8000'0011,
  kExitExtendedGuestRequest = 0x8000'0012,
  kExitTioGuestRequest = 0x8000'0020,
  kExitTioOp = 0x8000'0021,
  kExitFeatures = 0x8000'fffd,
  kExitTerminate = 0x8000'fffe,
};
/// svm_vmgexit_bad_input(): 2 in SW_EXITINFO1, and which in SW_EXITINFO2.
constexpr std::uint64_t kBadInput = 2;
enum : std::uint64_t {
  kInvalidUsage = 2,
  kInvalidScratch = 3,
  kMissingInput = 4,
  kInvalidInput = 5,
  kInvalidEvent = 6
};

void bad_input(Ghcb& ghcb, std::uint64_t reason) {
  ghcb.set(Field::kExitInfo1, kBadInput);
  ghcb.set(Field::kExitInfo2, reason);
}

void set_ghcb_msr(Vcpu& vcpu, std::uint64_t value) { vcpu.cpu()->set_msr(kMsrGhcb, value); }

/// KVM_MAP_GPA_RANGE_ENCRYPTED, KVM_MAP_GPA_RANGE_PAGE_SZ_2M; 4 KiB pages are 0.
constexpr std::uint64_t kMapEncrypted = 1U << 4U;
constexpr std::uint64_t kMap2M = 1U << 0U;
constexpr std::uint64_t kHypercallMapGpaRange = 12;  // KVM_HC_MAP_GPA_RANGE
constexpr std::uint64_t kStatePrivate = 1;
constexpr std::uint64_t kStateShared = 2;

void ask_for_state(VcpuExit& exit, Gpa gpa, std::uint64_t pages, bool is_private,
                   std::uint64_t size = 0) {
  exit.reason = VcpuExit::Reason::kHypercall;
  exit.number = kHypercallMapGpaRange;
  exit.args[0] = raw(gpa);
  exit.args[1] = pages;
  exit.args[2] = (is_private ? kMapEncrypted : 0) | size;
}

/// An entry of struct psc_buffer.
struct StateEntry {
  static constexpr std::uint64_t kDone = 0xfff;

  explicit StateEntry(std::uint64_t word)
      : gfn((word & kFrame) >> kPageShift),
        pages((word >> 56U & 1U) != 0 ? kPagesOfLarge : 1),
        done(word & kDone),
        operation(word >> 52U & 0xfU) {}
  [[nodiscard]] bool large() const { return pages == kPagesOfLarge; }
  [[nodiscard]] bool valid() const { return done <= pages && gfn % pages == 0; }

  static constexpr std::uint64_t kPagesOfLarge = 512;
  std::uint64_t gfn;
  std::uint64_t pages;
  std::uint64_t done;  ///< cur_page: pages of it
  std::uint64_t operation;
};

/// Entries that one exit, or none, sees to.
struct StateRange {
  std::uint16_t first, count;
  Gpa gpa;
  std::uint64_t pages;
  std::uint64_t operation;
  bool large;  ///< what the first entry says
};

/// The guest's struct psc_buffer: a header and entries, a word each.
/// Source: GHCB specification, "SNP Page State Change"; Linux asm/sev-common.h.
class StateChanges {
 public:
  static constexpr std::size_t kWord = 8;  ///< bytes

  /// `at`: where it begins in the GHCB. Precondition: the header has its place there.
  StateChanges(Ghcb& ghcb, std::size_t at) : ghcb_(ghcb), at_(at) {}
  [[nodiscard]] std::uint16_t current() const { return header(0); }
  [[nodiscard]] std::uint16_t last() const { return header(2); }
  /// Entries that there may be.
  [[nodiscard]] std::size_t room() const { return (Ghcb::kSharedBufferEnd - at_) / kWord - 1; }

  /// What is to be done from an entry on; nullopt: nothing. Done entries on the way are counted
  /// in the header. An error is the guest's: VMGEXIT_PSC_ERROR_INVALID_ENTRY.
  /// Source: snp_do_psc(). Precondition: last() < room().
  std::expected<std::optional<StateRange>, std::uint64_t> next(std::uint16_t index) {
    constexpr std::uint64_t kInvalidEntry = std::uint64_t{1} << 32U | 2;
    for (; index <= last(); ++index) {
      const StateEntry entry = at(index);
      if (!entry.valid()) return std::unexpected(kInvalidEntry);
      if (entry.done != entry.pages) return range(index, entry);
      put(0, current() + 1U, sizeof(std::uint16_t));
    }
    return std::nullopt;
  }
  /// __snp_complete_one_psc(): all of their pages are done, and the header says so.
  void complete(std::uint16_t first, std::uint16_t count) {
    for (std::size_t i = first; i < std::size_t{first} + count; ++i)
      put(kWord * (i + 1), (word(i) & ~StateEntry::kDone) | at(i).pages, kWord);
    put(0, std::uint64_t{first} + count, sizeof(std::uint16_t));
  }

 private:
  /// With the neighbours that follow, of one size and operation, and not begun with. One that
  /// is begun with goes by 4 KiB. What follows it is reckoned from its first page, as in Linux.
  [[nodiscard]] StateRange range(std::uint16_t index, const StateEntry& entry) const {
    StateRange found{.first = index,
                     .count = 1,
                     .gpa = Gpa{(entry.gfn + entry.done) << kPageShift},
                     .pages = entry.pages - entry.done,
                     .operation = entry.operation,
                     .large = entry.large()};
    const bool by_large = entry.large() && entry.done == 0;
    for (std::size_t i = index + 1U; i <= last(); ++i) {
      const StateEntry more = at(i);
      if (more.operation != entry.operation || more.gfn != entry.gfn + found.pages ||
          more.done != 0 || more.large() != by_large)
        break;
      ++found.count;
      found.pages += more.pages;
    }
    return found;
  }
  [[nodiscard]] std::uint16_t header(std::size_t offset) const {
    return Reader(ghcb_.shared(at_ + offset, 2)).le<std::uint16_t>();
  }
  [[nodiscard]] std::uint64_t word(std::size_t index) const {
    return Reader(ghcb_.shared(at_ + kWord * (index + 1), kWord)).le<std::uint64_t>();
  }
  [[nodiscard]] StateEntry at(std::size_t index) const { return StateEntry(word(index)); }
  void put(std::size_t offset, std::uint64_t value, std::size_t bytes) {
    std::ranges::copy(bytes_of(value).first(bytes),
                      ghcb_.shared_writable(at_ + offset, bytes).begin());
  }

  Ghcb& ghcb_;
  std::size_t at_;
};

}  // namespace

/// sev_handle_vmgexit_msr_protocol().
VmOps::GuestCallAction SevVm::msr_protocol(Vcpu& vcpu, VcpuExit& exit, std::uint64_t request) {
  VcpuState& state = state_of(vcpu);
  switch (request & kInfoMask) {
    case kMsrSevInfo:
      set_ghcb_msr(vcpu, ghcb_sev_info(ghcb_version_));
      return GuestCallAction::kResume;
    case kMsrPreferredGpa:
      set_ghcb_msr(vcpu, kNoPreference | (kMsrPreferredGpa + 1));
      return GuestCallAction::kResume;
    case kMsrRegisterGpa:
      state.registered = Gpa{request & kFrame};
      set_ghcb_msr(vcpu, (request & kFrame) | (kMsrRegisterGpa + 1));
      return GuestCallAction::kResume;
    case kMsrPageState: {
      const std::uint64_t operation = request >> 52U & 0xfU;
      if (operation != kStatePrivate && operation != kStateShared) {
        set_ghcb_msr(vcpu, std::uint64_t{1} << 32U | (kMsrPageState + 1));
        return GuestCallAction::kResume;
      }
      state.ghcb = Gpa{0};  // the answer goes into the MSR
      ask_for_state(exit, Gpa{request & kFrame}, 1, operation == kStatePrivate);
      return GuestCallAction::kExit;
    }
    case kMsrFeatures:
      set_ghcb_msr(vcpu, kFeatures << 12U | (kMsrFeatures + 1));
      return GuestCallAction::kResume;
    case kMsrTerminate:
      exit.reason = VcpuExit::Reason::kVendor;
      exit.number = std::to_underlying(SevExit::kTerminate);
      exit.args[0] = request;
      return GuestCallAction::kExit;
    default:
      return GuestCallAction::kResume;  // the MSR stays as it is
  }
}

VmOps::GuestCallAction SevVm::vmgexit(Vcpu& vcpu, VcpuExit& exit) {
  const std::uint64_t msr = vcpu.cpu()->msr(kMsrGhcb).value_or(0);
  if ((msr & kInfoMask) != 0) return msr_protocol(vcpu, exit, msr);
  if (msr == 0) return GuestCallAction::kResume;
  const Gpa page{msr & kFrame};
  const auto mapping = vm_.mmu().lookup(page, hw::GuestAccess::kWrite);
  if (!mapping)
    return mapping.error() == hw::GuestMemory::Miss::kFault ? retry_after_fault(vcpu, page, exit)
                                                            : GuestCallAction::kResume;
  auto ghcb = Ghcb::read(host_.psp().memory(), *mapping);
  if (!ghcb) return GuestCallAction::kResume;
  VcpuState& state = state_of(vcpu);
  if (state.registered != page) {
    // KVM_RUN gives EINVAL; here an exit that no VMM takes for progress.
    exit.reason = VcpuExit::Reason::kInternalError;
    return GuestCallAction::kExit;
  }
  state.ghcb = page;
  const GuestCallAction action = dispatch(vcpu, state, *ghcb, exit);
  // A fault repeats the whole request.
  if (action != GuestCallAction::kFault) (void)ghcb->write(host_.psp().memory(), *mapping);
  return action;
}

/// sev_es_validate_vmgexit() and the switch of sev_handle_vmgexit().
VmOps::GuestCallAction SevVm::dispatch(Vcpu& vcpu, VcpuState& state, Ghcb& ghcb, VcpuExit& exit) {
  const auto code = ghcb.get(Field::kExitCode);
  const auto info1 = ghcb.get(Field::kExitInfo1);
  const auto info2 = ghcb.get(Field::kExitInfo2);
  if (ghcb.usage() != 0) return bad_input(ghcb, kInvalidUsage), GuestCallAction::kResume;
  if (!code || !info1 || !info2) return bad_input(ghcb, kMissingInput), GuestCallAction::kResume;
  // svm_vmgexit_success(): what is not overwritten below.
  ghcb.set(Field::kExitInfo1, 0);
  ghcb.set(Field::kExitInfo2, 0);
  switch (*code) {
    case kExitHlt:
      exit.reason = VcpuExit::Reason::kHalt;
      return GuestCallAction::kExit;
    case kExitIo:
      exit.args[0] = *info1;
      return io(state, ghcb, exit);
    case kExitMmioRead:
    case kExitMmioWrite:
      exit.gpa = Gpa{*info1};
      exit.args[0] = *info2;
      return mmio(state, ghcb, exit, *code == kExitMmioWrite);
    case kExitPageState:
      return page_state_change(state, ghcb, exit);
    case kExitGuestRequest:
    case kExitExtendedGuestRequest:
    case kExitTioGuestRequest:
      exit.args[4] = *info1;
      exit.args[5] = *info2;
      if (*code == kExitTioGuestRequest) return tio_guest_request(vcpu, ghcb, exit);
      if (*code == kExitExtendedGuestRequest) return extended_guest_request(vcpu, ghcb, exit);
      return guest_request(vcpu, ghcb, exit);
    case kExitTioOp:
      exit.args[0] = *info1 & 0xffff'ffffU;
      exit.args[1] = *info1 >> 32U;
      return tio_op(ghcb, exit);
    case kExitFeatures:
      ghcb.set(Field::kExitInfo2, kFeatures);
      return GuestCallAction::kResume;
    case kExitTerminate:
      exit.reason = VcpuExit::Reason::kVendor;
      exit.number = std::to_underlying(SevExit::kTerminate);
      exit.args[0] = raw(state.ghcb);
      return GuestCallAction::kExit;
    default:
      bad_input(ghcb, kInvalidEvent);
      return GuestCallAction::kResume;
  }
}

/// SVM_EXIT_IOIO. Source: APM volume 2, 15.10.2, EXITINFO1.
VmOps::GuestCallAction SevVm::io(VcpuState&, Ghcb& ghcb, VcpuExit& exit) {
  const std::uint64_t info = exit.args[0];
  constexpr std::uint64_t kIn = 1U << 0U;
  constexpr std::uint64_t kString = 1U << 2U;
  const auto size = static_cast<std::uint8_t>(info >> 4U & 7U);  // one-hot: 1, 2 or 4 bytes
  const auto rax = ghcb.get(Field::kRax);
  exit.write = (info & kIn) == 0;
  if ((info & kString) != 0 || (size != 1 && size != 2 && size != 4) || (exit.write && !rax))
    return bad_input(ghcb, kInvalidInput), GuestCallAction::kResume;
  exit.reason = VcpuExit::Reason::kIo;
  exit.number = kExitIo;
  exit.size = size;
  exit.port = static_cast<std::uint16_t>(info >> 16U);
  exit.data = rax.value_or(0) & ((std::uint64_t{1} << (8U * size)) - 1);
  return GuestCallAction::kExit;
}

/// SVM_VMGEXIT_MMIO_READ and _WRITE: through the GHCB's own buffer.
VmOps::GuestCallAction SevVm::mmio(VcpuState& state, Ghcb& ghcb, VcpuExit& exit, bool write) {
  const std::uint64_t size = exit.args[0];
  const std::uint64_t scratch = ghcb.get(Field::kScratch).value_or(0);
  const std::uint64_t offset = scratch - raw(state.ghcb);
  const bool sized = size == 1 || size == 2 || size == 4 || size == 8;
  if (!sized) return bad_input(ghcb, kInvalidInput), GuestCallAction::kResume;
  if (scratch < raw(state.ghcb) || offset < Ghcb::kSharedBuffer ||
      offset > Ghcb::kSharedBufferEnd - size)
    return bad_input(ghcb, kInvalidScratch), GuestCallAction::kResume;
  exit.reason = VcpuExit::Reason::kMmio;
  exit.number = write ? kExitMmioWrite : kExitMmioRead;
  exit.size = static_cast<std::uint8_t>(size);
  exit.write = write;
  Bytes bytes(8);
  if (write) std::ranges::copy(ghcb.shared(offset, size), bytes.begin());
  exit.data = Reader(bytes).le<std::uint64_t>();
  state.scratch = offset;
  return GuestCallAction::kExit;
}

/// SVM_VMGEXIT_PSC of sev_handle_vmgexit(): where the buffer is.
VmOps::GuestCallAction SevVm::page_state_change(VcpuState& state, Ghcb& ghcb, VcpuExit& exit) {
  const std::uint64_t scratch = ghcb.get(Field::kScratch).value_or(0);
  state.scratch = scratch - raw(state.ghcb);
  if (scratch < raw(state.ghcb) || state.scratch < Ghcb::kSharedBuffer ||
      state.scratch > Ghcb::kSharedBufferEnd - StateChanges::kWord)
    return bad_input(ghcb, kInvalidScratch), GuestCallAction::kResume;
  return begin_psc(state, ghcb, exit);
}

/// snp_begin_psc(): the next range goes to the VMM, until none is left.
VmOps::GuestCallAction SevVm::begin_psc(VcpuState& state, Ghcb& ghcb, VcpuExit& exit) {
  constexpr std::uint64_t kInvalidHeader = std::uint64_t{1} << 32U | 1;
  StateChanges changes(ghcb, state.scratch);
  const auto refuse = [&](std::uint64_t why) {
    ghcb.set(Field::kExitInfo2, why);
    return GuestCallAction::kResume;
  };
  if (changes.last() >= changes.room()) return refuse(kInvalidHeader);
  std::uint16_t index = changes.current();
  for (;;) {
    const auto found = changes.next(index);
    if (!found) return refuse(found.error());
    if (!*found) return GuestCallAction::kResume;
    const StateRange& range = **found;
    state.psc_index = range.first;
    state.psc_count = range.count;
    if (range.operation == kStatePrivate || range.operation == kStateShared) {
      ask_for_state(exit, range.gpa, range.pages, range.operation == kStatePrivate,
                    range.large ? kMap2M : 0);
      return GuestCallAction::kExit;
    }
    changes.complete(range.first, range.count);  // SMASH, UNSMASH: nothing to do
    index = static_cast<std::uint16_t>(range.first + range.count);
  }
}

/// snp_complete_one_psc(): after a range comes the next, before the guest runs. What the VMM
/// could not do ends the request; the header says how far it came.
VmOps::GuestCallAction SevVm::finish_psc(VcpuState& state, Ghcb& ghcb, bool good, VcpuExit& exit) {
  constexpr std::uint64_t kGeneric = std::uint64_t{0x100} << 32U;  // VMGEXIT_PSC_ERROR_GENERIC
  if (!good) return ghcb.set(Field::kExitInfo2, kGeneric), GuestCallAction::kResume;
  StateChanges(ghcb, state.scratch).complete(state.psc_index, state.psc_count);
  return begin_psc(state, ghcb, exit);
}

}  // namespace teeio::kvm
