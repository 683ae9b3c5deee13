#include "host/kvm/sev/psp_host.h"

namespace teeio::kvm {

using sev::Status;

Result<void> PspHost::snp_init(bool tio) {
  const bool enable = tio && (psp_.feature_ebx() & sev::kFeatureTio) != 0;
  const std::uint32_t flags = sev::kInitRmp | (enable ? sev::kInitTioEnable : 0);
  Answer answer;
  return command(sev::kSnpInitEx, Writer().le(flags).zeros(60).take(), answer);
}

Result<void> PspHost::command(std::uint16_t number, ByteView buffer, Answer& answer) {
  TEEIO_ASSIGN(const Hpa page, memory_.alloc_page());
  const Result<void> written = memory_.write(page, buffer);
  if (written) answer = psp_.command(number, page);
  memory_.free_page(page);
  TEEIO_TRY(written);
  if (answer == Status::kSuccess) return {};
  return fail(Errno::kIo, "the secure processor refuses the command");
}

Result<void> PspHost::insist(std::uint16_t number, ByteView buffer, Answer& answer) {
  Result<void> done = command(number, buffer, answer);
  for (unsigned tries = 0; answer == Status::kResourceLimit && tries < kMaxTries; ++tries)
    done = command(number, buffer, answer);
  return done;
}

Result<Hpa> PspHost::alloc_firmware_page() {
  TEEIO_ASSIGN(const Hpa page, memory_.alloc_page());
  if (auto owned = make_private(page, Gpa{0}, 0, true); !owned) {
    memory_.free_page(page);
    return std::unexpected(owned.error());
  }
  return page;
}

void PspHost::free_firmware_page(Hpa page) {
  if (reclaim_page(page)) memory_.free_page(page);
}

Result<void> PspHost::reclaim_page(Hpa page) {
  Answer answer;
  Result<void> back = insist(sev::kSnpPageReclaim, Writer().le(raw(page)).take(), answer);
  if (back) back = make_shared(page);
  if (!back)
    trace_.fact(object::Lane::kKvm, object::Fact::kRefLeaked, "the firmware keeps a page",
                {.a = 1});
  return back;
}

void PspHost::add_mmio(Hpa base, std::uint64_t size, Bdf function, std::uint32_t vm) {
  const schedule::Lock lock(lock_);
  mmio_.insert_or_assign(base, Mmio{.size = size, .function = function, .vm = vm});
}

void PspHost::remove_mmio(Hpa base) {
  const schedule::Lock lock(lock_);
  mmio_.erase(base);
}

void PspHost::tell(object::Fact fact, std::string_view name, Hpa page, Gpa gpa) {
  object::EventFields fields;
  {
    const schedule::Lock lock(lock_);
    auto after = mmio_.upper_bound(page);
    if (after == mmio_.begin()) return;
    const auto& [base, mmio] = *std::prev(after);
    if (page - base >= mmio.size) return;
    fields = {.function = mmio.function, .vm = mmio.vm, .a = raw(gpa), .b = raw(page)};
  }
  trace_.fact(object::Lane::kFirmware, fact, name, std::move(fields));
}

Result<void> PspHost::make_private(Hpa page, Gpa gpa, sev::Asid asid, bool immutable) {
  const sev::RmpEntry before = psp_.rmp().entry(page);
  const auto updated =
      psp_.rmp().update(page, {.assigned = true, .immutable = immutable, .asid = asid, .gpa = gpa});
  if (updated != sev::RmpStatus::kSuccess)
    return fail(Errno::kFault, "RMPUPDATE refuses to assign the page");
  if (before.asid != 0) tell(object::Fact::kMmioUnmapped, "MMIO shared", page, before.gpa);
  if (asid != 0) tell(object::Fact::kMmioMapped, "MMIO private", page, gpa);
  return {};
}

Result<void> PspHost::make_shared(Hpa page) {
  const sev::RmpEntry before = psp_.rmp().entry(page);
  if (psp_.rmp().update(page, {}) != sev::RmpStatus::kSuccess)
    return fail(Errno::kFault, "RMPUPDATE refuses to make the page shared");
  if (before.asid != 0) tell(object::Fact::kMmioUnmapped, "MMIO shared", page, before.gpa);
  return {};
}

Result<void> PspHost::split(Hpa page) {
  if (psp_.rmp().entry(page).size == sev::RmpSize::k4K) return {};
  const Hpa base{raw(page) & ~(sev::kRmp2M - 1)};
  if (psp_.rmp().psmash(base) == sev::RmpStatus::kSuccess) return {};
  return fail(Errno::kFault, "PSMASH refuses to split the RMP entry");
}

}  // namespace teeio::kvm
