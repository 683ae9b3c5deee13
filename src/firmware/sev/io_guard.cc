#include "firmware/sev/io_guard.h"

#include <array>

namespace teeio::sev {

using How = schedule::Touch::How;

namespace {

// Places in the entry's 64-bit words.
constexpr std::uint64_t kValid = 1U << 0U;                 // word 0
constexpr std::uint64_t kRead = std::uint64_t{1} << 61U;   // word 0
constexpr std::uint64_t kWrite = std::uint64_t{1} << 62U;  // word 0
constexpr unsigned kVmplShift = 49;                        // word 3: bit 17 of its upper half
constexpr std::uint64_t kVmpl = std::uint64_t{3} << kVmplShift;
constexpr std::uint64_t kVtomEnable = 1U << 0U;  // word 5
constexpr std::uint64_t kVtom = 0xffff'fffeU;    // word 5: address 51:21
constexpr unsigned kVtomShift = 21;
constexpr std::size_t kWords = SecureDte::kSize / sizeof(std::uint64_t);

/// What a guest may set of each word.
constexpr std::array<std::uint64_t, kWords> kGuestBits = {kValid | kRead | kWrite, 0, 0, kVmpl, 0,
                                                          kVtomEnable | kVtom,     0, 0};

}  // namespace

Result<SecureDte> SecureDte::decode(ByteView in) {
  if (in.size() != kSize) return fail(Errno::kInval, "an sDTE has 64 bytes");
  Reader reader(in);
  std::array<std::uint64_t, kWords> words{};
  for (std::size_t i = 0; i < kWords; ++i) {
    words[i] = reader.le<std::uint64_t>();
    if ((words[i] & ~kGuestBits[i]) != 0)
      return fail(Errno::kInval, "the guest sets a bit of its sDTE that is not its own");
  }
  return SecureDte{.valid = (words[0] & kValid) != 0,
                   .read = (words[0] & kRead) != 0,
                   .write = (words[0] & kWrite) != 0,
                   .vmpl = static_cast<std::uint8_t>((words[3] & kVmpl) >> kVmplShift),
                   .vtom_enabled = (words[5] & kVtomEnable) != 0,
                   .vtom = Gpa{((words[5] & kVtom) >> 1U) << kVtomShift}};
}

Bytes SecureDte::encode() const {
  std::array<std::uint64_t, kWords> words{};
  words[0] = (valid ? kValid : 0) | (read ? kRead : 0) | (write ? kWrite : 0);
  words[3] = (std::uint64_t{vmpl} << kVmplShift) & kVmpl;
  words[5] = (vtom_enabled ? kVtomEnable : 0) | (((raw(vtom) >> kVtomShift) << 1U) & kVtom);
  Writer writer;
  for (const std::uint64_t word : words) writer.le(word);
  return writer.take();
}

void IoGuard::touch(Part table, std::uint64_t key, How how) const {
  turn_.touch(schedule::part(table, key), how);
}

/// One that the generation counts.
void IoGuard::changed(Part table, std::uint64_t key) {
  touch(table, key, How::kWrite);
  touch(kAny, 0, How::kUpdate);
  ++generation_;
}

std::optional<SecureDte> IoGuard::entry(std::uint16_t rid) const {
  touch(kEntries, rid, How::kRead);
  const schedule::RawLockGuard guard(lock_);
  const auto found = entries_.find(rid);
  return found == entries_.end() ? std::nullopt : std::optional(found->second);
}

Fence IoGuard::fence(std::uint32_t root, Asid asid) const {
  touch(kFences, asid, How::kRead);
  const schedule::RawLockGuard guard(lock_);
  const auto found = fences_.find({root, asid});
  return found == fences_.end() ? Fence::kDefault : found->second.fence;
}

void IoGuard::violation(std::uint32_t root, std::uint16_t rid, Asid asid, std::string_view why) {
  {
    const schedule::RawLockGuard guard(lock_);
    if (fence(root, asid) != Fence::kOpen) return;
    fences_[{root, asid}] = {.fence = Fence::kError, .offender = rid};
    changed(kFences, asid);
  }
  auto call = trace_.call(object::Lane::kDevice, object::Lane::kFirmware, "ASID fence",
                          {.function = Bdf::from_rid(rid), .a = asid});
  call.refuse("fenced", why);
}

std::uint64_t IoGuard::generation() const {
  touch(kAny, 0, How::kRead);
  const schedule::RawLockGuard guard(lock_);
  return generation_;
}

void IoGuard::write(std::uint16_t rid, const SecureDte& entry) {
  const schedule::RawLockGuard guard(lock_);
  changed(kEntries, rid);
  if (entry.valid)
    entries_[rid] = entry;
  else
    entries_.erase(rid);
}

void IoGuard::assign(std::uint16_t rid, Asid asid) {
  touch(kOwners, rid, How::kWrite);
  const schedule::RawLockGuard guard(lock_);
  if (asid != 0)
    owners_[rid] = asid;
  else
    owners_.erase(rid);
}

bool IoGuard::mmio_passes(std::uint32_t root, std::uint16_t rid) const {
  turn_.take(schedule::part(kOwners, rid), How::kRead);
  const schedule::RawLockGuard guard(lock_);
  const auto owner = owners_.find(rid);
  return owner == owners_.end() || fence(root, owner->second) != Fence::kError;
}

void IoGuard::open(std::uint32_t root, Asid asid) {
  const schedule::RawLockGuard guard(lock_);
  fences_[{root, asid}] = {.fence = Fence::kOpen};
  changed(kFences, asid);
}

void IoGuard::forget(Asid asid) {
  const schedule::RawLockGuard guard(lock_);
  std::erase_if(fences_, [&](const auto& at) { return at.first.second == asid; });
  changed(kFences, asid);
}

std::optional<std::uint16_t> IoGuard::offender(std::uint32_t root, Asid asid) const {
  touch(kFences, asid, How::kRead);
  const schedule::RawLockGuard guard(lock_);
  const auto found = fences_.find({root, asid});
  if (found == fences_.end() || found->second.fence != Fence::kError) return std::nullopt;
  return found->second.offender;
}

std::size_t IoGuard::entries() const {
  touch(kAny, 0, How::kRead);
  const schedule::RawLockGuard guard(lock_);
  return entries_.size();
}

}  // namespace teeio::sev
