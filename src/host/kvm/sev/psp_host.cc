#include "host/kvm/sev/psp_host.h"

namespace teeio::kvm {

using sev::Status;

Result<void> PspHost::snp_init(bool tio) {
  const bool enable = tio && (psp_.feature_ebx() & sev::kFeatureTio) != 0;
  const std::uint32_t flags = sev::kInitRmp | (enable ? sev::kInitTioEnable : 0);
  Status status{};
  return command(sev::kSnpInitEx, Writer().le(flags).zeros(60).take(), status);
}

Result<void> PspHost::command(std::uint16_t number, ByteView buffer, Status& status) {
  TEEIO_ASSIGN(const Hpa page, memory_.alloc_page());
  const Result<void> written = memory_.write(page, buffer);
  if (written) status = psp_.command(number, page);
  memory_.free_page(page);
  TEEIO_TRY(written);
  if (status == Status::kSuccess) return {};
  return fail(Errno::kIo, "the secure processor refuses the command");
}

Result<void> PspHost::insist(std::uint16_t number, ByteView buffer, Status& status) {
  Result<void> done = command(number, buffer, status);
  for (unsigned tries = 0; status == Status::kResourceLimit && tries < kMaxTries; ++tries)
    done = command(number, buffer, status);
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
  Status status{};
  Result<void> back = insist(sev::kSnpPageReclaim, Writer().le(raw(page)).take(), status);
  if (back) back = make_shared(page);
  if (!back)
    trace_.fact(object::Lane::kKvm, object::Fact::kRefLeaked, "the firmware keeps a page",
                {.a = 1});
  return back;
}

Result<void> PspHost::make_private(Hpa page, Gpa gpa, sev::Asid asid, bool immutable) {
  const auto updated =
      psp_.rmp().update(page, {.assigned = true, .immutable = immutable, .asid = asid, .gpa = gpa});
  if (updated == sev::RmpStatus::kSuccess) return {};
  return fail(Errno::kFault, "RMPUPDATE refuses to assign the page");
}

Result<void> PspHost::make_shared(Hpa page) {
  if (psp_.rmp().update(page, {}) == sev::RmpStatus::kSuccess) return {};
  return fail(Errno::kFault, "RMPUPDATE refuses to make the page shared");
}

}  // namespace teeio::kvm
