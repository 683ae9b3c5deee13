#include "firmware/sev/rmp.h"

#include <algorithm>

#include "base/check.h"
#include "firmware/sev/platform.h"

namespace teeio::sev {
namespace {

constexpr Hpa region_of(Hpa page) { return Hpa{raw(page) & ~(kRmp2M - 1)}; }

/// Whether an entry is of the guest's page at `gpa`.
std::optional<RmpFault> mismatch(const RmpEntry& entry, Hpa base, Asid asid, Gpa gpa, Hpa page) {
  if (!entry.assigned || entry.asid != asid || asid == 0) return RmpFault::kNotAssigned;
  if (entry.gpa + (page_of(page) - base) != page_of(gpa)) return RmpFault::kWrongGpa;
  return std::nullopt;
}

}  // namespace

std::string_view rmp_fault_text(RmpFault fault) {
  switch (fault) {
    case RmpFault::kAssigned:
      return "RMP: the page is assigned";
    case RmpFault::kNotAssigned:
      return "RMP: the page is not the guest's";
    case RmpFault::kWrongGpa:
      return "RMP: the page is the guest's at another address";
    case RmpFault::kNotValidated:
      return "RMP: the guest has not validated the page";
    case RmpFault::kImmutable:
      return "RMP: the firmware works on the page";
    case RmpFault::kVmsa:
      return "RMP: the page is a vCPU's save area";
    case RmpFault::kSizeMismatch:
      return "RMP: the entry is larger than the page";
  }
  return "RMP: unknown fault";
}

void Rmp::touch(Hpa page, schedule::Touch::How how) const {
  if (monitor_ == nullptr) return;
  monitor_->touch(schedule::part(kRmpRegions, raw(region_of(page))), schedule::Touch::How::kRead);
  monitor_->touch(schedule::part(kRmpPages, raw(page_of(page))), how);
}

/// All pages of an entry of 2 MiB: whether there is one, if it is only read.
void Rmp::touch_region(Hpa page, schedule::Touch::How how) const {
  if (monitor_ == nullptr) return;
  monitor_->touch(schedule::part(kRmpRegions, raw(region_of(page))), how);
}

/// Which entries an ASID has; 0, the host's and the firmware's, is asked for by nobody.
void Rmp::touch_keys(Asid asid, schedule::Touch::How how) const {
  if (monitor_ != nullptr && asid != 0) monitor_->touch(schedule::part(kRmpKeys, asid), how);
}

/// An entry of this ASID comes, or goes.
void Rmp::touch_entry(Asid asid) const {
  if (monitor_ != nullptr)
    monitor_->touch(schedule::part(kRmpCount), schedule::Touch::How::kUpdate);
  touch_keys(asid, schedule::Touch::How::kUpdate);
}

const Rmp::Slot* Rmp::find(Hpa page) const {
  touch(page, schedule::Touch::How::kRead);
  const auto exact = slots_.find(raw(page_of(page)));
  if (exact != slots_.end()) return &exact->second;
  const auto large = slots_.find(raw(region_of(page)));
  return large != slots_.end() && large->second.entry.size == RmpSize::k2M ? &large->second
                                                                           : nullptr;
}

Rmp::Slot* Rmp::find(Hpa page) {
  Slot* const found = const_cast<Slot*>(static_cast<const Rmp&>(*this).find(page));
  touch(page, schedule::Touch::How::kWrite);
  if (found != nullptr && found->entry.size == RmpSize::k2M)
    touch_region(page, schedule::Touch::How::kWrite);
  return found;
}

Rmp::Slot& Rmp::assigned_slot(Hpa page) {
  Slot* slot = find(page);
  TEEIO_CHECK(slot != nullptr, "the firmware changes the entry of a page of the host's");
  return *slot;
}

bool Rmp::covers(Hpa page) const {
  const bool ram = page >= hw::PhysicalMemory::kRamBase && page < hw::PhysicalMemory::kWindowBase &&
                   !memory_.direct(page).empty();
  return ram || memory_.is_mmio(page);
}

/// A 4 KiB page inside of a 2 MiB entry, or the reverse.
bool Rmp::overlaps(Hpa page, const RmpUpdate& wanted) const {
  if (wanted.size == RmpSize::k4K) {
    const Slot* slot = find(page);
    return slot != nullptr && slot->entry.size == RmpSize::k2M;
  }
  touch_region(page, schedule::Touch::How::kWrite);  // it reads 512 pages
  const auto first = slots_.lower_bound(raw(page));
  return first != slots_.end() && first->first < raw(page) + kRmp2M &&
         first->second.entry.size == RmpSize::k4K;
}

RmpStatus Rmp::refusal(Hpa page, const RmpUpdate& wanted) const {
  const std::uint64_t size = bytes_of_size(wanted.size);
  const bool aligned = raw(page) % size == 0 && (wanted.asid == 0 || raw(wanted.gpa) % size == 0);
  const bool sound = wanted.asid <= kMaxAsid && (wanted.assigned || wanted.asid == 0) &&
                     (wanted.asid != 0 || raw(wanted.gpa) == 0);
  if (!aligned || !sound) return RmpStatus::kFailInput;
  for (std::uint64_t at = 0; at < size; at += kPageSize)
    if (!covers(page + at)) return RmpStatus::kFailInput;
  if (overlaps(page, wanted)) return RmpStatus::kFailOverlap;
  const Slot* slot = find(page);
  if (slot != nullptr && slot->entry.immutable) return RmpStatus::kFailPermission;
  return RmpStatus::kSuccess;
}

RmpStatus Rmp::update(Hpa page, const RmpUpdate& wanted) {
  const schedule::Instant instant(monitor_);
  const schedule::RawLockGuard guard(lock_);
  if (const RmpStatus refused = refusal(page, wanted); refused != RmpStatus::kSuccess)
    return refused;
  if (!wanted.assigned) {
    erase(page);
    return RmpStatus::kSuccess;
  }
  touch(page, schedule::Touch::How::kWrite);
  if (const auto old = slots_.find(raw(page)); old != slots_.end())
    touch_entry(old->second.entry.asid);
  touch_entry(wanted.asid);
  slots_[raw(page)] = Slot{.entry = {.assigned = true,
                                     .immutable = wanted.immutable,
                                     .size = wanted.size,
                                     .asid = wanted.asid,
                                     .gpa = wanted.gpa}};
  // Plain text stays for the firmware to encrypt; what a guest's key has encrypted is lost.
  const bool launch = wanted.immutable || wanted.asid == 0;
  for (std::uint64_t at = 0; at < bytes_of_size(wanted.size); at += kPageSize) {
    const bool plain = memory_.key_of(page + at) == hw::KeyId::kShared;
    memory_.give_page(page + at, hw::KeyId{static_cast<std::uint16_t>(wanted.asid)},
                      launch && plain ? hw::Content::kKept : hw::Content::kLost);
  }
  return RmpStatus::kSuccess;
}

void Rmp::lose_key(Asid asid) {
  const schedule::RawLockGuard guard(lock_);
  touch_keys(asid, schedule::Touch::How::kRead);  // an entry that comes later loses nothing
  const hw::KeyId key{static_cast<std::uint16_t>(asid)};
  for (const auto& [first, slot] : slots_) {
    if (slot.entry.asid != asid) continue;
    touch(Hpa{first}, schedule::Touch::How::kWrite);
    for (std::uint64_t at = 0; at < bytes_of_size(slot.entry.size); at += kPageSize) {
      memory_.give_page(Hpa{first} + at, kFirmwareKey);
      memory_.give_page(Hpa{first} + at, key);
    }
  }
}

RmpStatus Rmp::psmash(Hpa page) {
  const schedule::Instant instant(monitor_);
  const schedule::RawLockGuard guard(lock_);
  touch_region(page, schedule::Touch::How::kRead);
  const auto at = slots_.find(raw(page));
  if (at == slots_.end() || at->second.entry.size != RmpSize::k2M) return RmpStatus::kFailInput;
  if (at->second.entry.immutable) return RmpStatus::kFailPermission;
  touch_region(page, schedule::Touch::How::kWrite);
  touch_entry(at->second.entry.asid);
  Slot slot = at->second;
  slot.entry.size = RmpSize::k4K;
  for (std::uint64_t offset = 0; offset < kRmp2M; offset += kPageSize) {
    slots_[raw(page) + offset] = slot;
    if (slot.entry.asid != 0) slot.entry.gpa = slot.entry.gpa + kPageSize;
  }
  return RmpStatus::kSuccess;
}

std::expected<Rmp::Validated, RmpFault> Rmp::pvalidate(Asid asid, Gpa gpa, Hpa page, RmpSize size,
                                                       bool validate) {
  const schedule::Instant instant(monitor_);
  const schedule::RawLockGuard guard(lock_);
  const std::uint64_t bytes = bytes_of_size(size);
  if (raw(gpa) % bytes != 0) return Validated{.status = GuestStatus::kFailInput};
  Slot* slot = find(page);
  if (slot == nullptr) return std::unexpected(RmpFault::kNotAssigned);
  RmpEntry& entry = slot->entry;
  const Hpa base = entry.size == RmpSize::k2M ? region_of(page) : page_of(page);
  if (const auto wrong = mismatch(entry, base, asid, gpa, page)) return std::unexpected(*wrong);
  if (entry.immutable) return std::unexpected(RmpFault::kImmutable);
  if (entry.size == RmpSize::k2M && size == RmpSize::k4K)
    return std::unexpected(RmpFault::kSizeMismatch);
  if (entry.size != size) return Validated{.status = GuestStatus::kFailSizeMismatch};
  return Validated{.changed = std::exchange(entry.validated, validate) != validate};
}

std::expected<GuestStatus, RmpFault> Rmp::rmpadjust(Asid asid, Gpa gpa, Hpa page, RmpSize size,
                                                    bool vmsa) {
  const schedule::Instant instant(monitor_);
  const schedule::RawLockGuard guard(lock_);
  if (raw(gpa) % bytes_of_size(size) != 0 || (vmsa && size == RmpSize::k2M))
    return GuestStatus::kFailInput;
  if (const auto wrong = check_owner(asid, gpa, page, RmpAccess::kRead))
    return std::unexpected(*wrong);
  RmpEntry& entry = assigned_slot(page).entry;
  if (entry.size == RmpSize::k2M && size == RmpSize::k4K)
    return std::unexpected(RmpFault::kSizeMismatch);
  if (entry.size != size) return GuestStatus::kFailSizeMismatch;
  entry.vmsa = vmsa;
  return GuestStatus::kSuccess;
}

std::optional<RmpFault> Rmp::check_guest(Asid asid, Gpa gpa, Hpa page, RmpAccess access) const {
  const schedule::Instant instant(monitor_);
  const schedule::RawLockGuard guard(lock_);
  if (const Slot* slot = find(page);
      slot != nullptr && slot->entry.size == RmpSize::k2M && slot->entry.asid == asid && asid != 0)
    return RmpFault::kSizeMismatch;
  return check_owner(asid, gpa, page, access);
}

/// Whatever the sizes are: an IOMMU takes a smaller page than the entry's.
std::optional<RmpFault> Rmp::check_owner(Asid asid, Gpa gpa, Hpa page, RmpAccess access) const {
  const schedule::RawLockGuard guard(lock_);
  const Slot* slot = find(page);
  if (slot == nullptr) return RmpFault::kNotAssigned;
  const RmpEntry& entry = slot->entry;
  const Hpa base = entry.size == RmpSize::k2M ? region_of(page) : page_of(page);
  if (const auto wrong = mismatch(entry, base, asid, gpa, page)) return wrong;
  if (entry.immutable) return RmpFault::kImmutable;
  if (!entry.validated) return RmpFault::kNotValidated;
  if (entry.vmsa && access == RmpAccess::kWrite) return RmpFault::kVmsa;
  return std::nullopt;
}

std::optional<RmpFault> Rmp::check_host(Hpa page, RmpAccess access) const {
  const schedule::Instant instant(monitor_);
  if (access == RmpAccess::kRead) return std::nullopt;
  const schedule::RawLockGuard guard(lock_);
  if (find(page) != nullptr) return RmpFault::kAssigned;
  return std::nullopt;
}

std::optional<RmpFault> Rmp::check_device(hw::TBit t, Asid asid, Gpa gpa, Hpa page) const {
  const schedule::Instant instant(monitor_);
  if (t == hw::TBit::kTrusted) return check_owner(asid, gpa, page, RmpAccess::kWrite);
  return check_host(page, RmpAccess::kWrite);
}

void Rmp::make_context(Hpa page) {
  const schedule::RawLockGuard guard(lock_);
  TEEIO_CHECK(state(page) == PageState::kFirmware, "a context page must be the firmware's");
  assigned_slot(page).context = true;
  memory_.give_page(page, kFirmwareKey, hw::Content::kLost);
}

void Rmp::leave_context(Hpa page) {
  const schedule::RawLockGuard guard(lock_);
  TEEIO_CHECK(state(page) == PageState::kContext, "a page is no context page");
  assigned_slot(page).context = false;
  memory_.give_page(page, hw::KeyId::kShared, hw::Content::kLost);
}

void Rmp::hand_to_guest(Hpa page, bool vmsa) {
  const schedule::RawLockGuard guard(lock_);
  TEEIO_CHECK(state(page) == PageState::kPreGuest, "a page is launched that is not Pre-Guest");
  RmpEntry& entry = assigned_slot(page).entry;
  entry.immutable = false;
  entry.validated = true;
  entry.vmsa = vmsa;
}

void Rmp::reclaim(Hpa page) {
  const schedule::RawLockGuard guard(lock_);
  const PageState before = state(page);
  TEEIO_CHECK(before == PageState::kFirmware || before == PageState::kPreGuest,
              "a page is reclaimed that the firmware has not");
  RmpEntry& entry = assigned_slot(page).entry;
  if (before == PageState::kPreGuest) {
    entry.immutable = false;
    return;
  }
  const RmpSize size = entry.size;
  entry = {.assigned = true, .size = size};
  for (std::uint64_t at = 0; at < bytes_of_size(size); at += kPageSize)
    memory_.give_page(page + at, hw::KeyId::kShared, hw::Content::kLost);
}

void Rmp::let_go(Hpa page) {
  const schedule::RawLockGuard guard(lock_);
  TEEIO_CHECK(state(page) == PageState::kFirmware, "a page is let go that is not the firmware's");
  assigned_slot(page).entry.immutable = false;
}

void Rmp::set_validated(Hpa page, bool validated) {
  const schedule::RawLockGuard guard(lock_);
  Slot& slot = assigned_slot(page);
  TEEIO_CHECK(slot.entry.asid != 0, "a page is validated that is no guest's");
  slot.entry.validated = validated;
}

void Rmp::erase(Hpa page) {
  touch(page, schedule::Touch::How::kWrite);
  const auto at = slots_.find(raw(page));
  if (at == slots_.end()) return;
  const std::uint64_t bytes = bytes_of_size(at->second.entry.size);
  const hw::Content content =
      at->second.entry.asid == 0 && !at->second.context ? hw::Content::kKept : hw::Content::kLost;
  touch_entry(at->second.entry.asid);
  slots_.erase(at);
  for (std::uint64_t offset = 0; offset < bytes; offset += kPageSize)
    memory_.give_page(page + offset, hw::KeyId::kShared, content);
}

RmpEntry Rmp::entry(Hpa page) const {
  const schedule::Instant instant(monitor_);
  const schedule::RawLockGuard guard(lock_);
  const Slot* slot = find(page);
  return slot == nullptr ? RmpEntry{} : slot->entry;
}

PageState Rmp::state(Hpa page) const {
  const schedule::Instant instant(monitor_);
  const schedule::RawLockGuard guard(lock_);
  const Slot* slot = find(page);
  if (slot == nullptr) return PageState::kHypervisor;
  if (slot->context) return PageState::kContext;
  const RmpEntry& entry = slot->entry;
  if (entry.asid == 0) return entry.immutable ? PageState::kFirmware : PageState::kReclaim;
  if (entry.immutable) return PageState::kPreGuest;
  return entry.validated ? PageState::kGuestValid : PageState::kGuestInvalid;
}

bool Rmp::has_pages(Asid asid) const {
  const schedule::Instant instant(monitor_);
  touch_keys(asid, schedule::Touch::How::kRead);
  const schedule::RawLockGuard guard(lock_);
  return std::ranges::any_of(slots_, [&](const auto& at) { return at.second.entry.asid == asid; });
}

std::size_t Rmp::assigned() const {
  const schedule::Instant instant(monitor_);
  if (monitor_ != nullptr) monitor_->touch(schedule::part(kRmpCount), schedule::Touch::How::kRead);
  const schedule::RawLockGuard guard(lock_);
  return slots_.size();
}

}  // namespace teeio::sev
