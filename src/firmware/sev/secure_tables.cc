#include "firmware/sev/secure_tables.h"

namespace teeio::sev {
namespace {

std::unexpected<hw::SecureRefusal> refuse(hw::SecureRefusal::Kind kind, std::string_view why) {
  return std::unexpected(hw::SecureRefusal{.kind = kind, .why = why});
}

}  // namespace

std::expected<hw::SecureSide::Entry, hw::SecureRefusal> SecureTables::entry(std::uint16_t rid) {
  const auto found = guard_.entry(rid);
  if (!found)
    return refuse(hw::SecureRefusal::Kind::kNoEntry, "the requester has no secure device entry");
  if (!guard_.passes(root_, found->asid))
    return refuse(hw::SecureRefusal::Kind::kFenced, "the guest's ASID is fenced");
  Entry entry{.asid = static_cast<std::uint16_t>(found->asid),
              .readable = found->read,
              .writable = found->write};
  if (found->vtom_enabled) entry.shared_from = found->vtom;
  return entry;
}

std::expected<hw::KeyId, hw::SecureRefusal> SecureTables::check(const Entry& entry, Gpa gpa,
                                                                Hpa page, hw::DmaAccess) {
  const bool shared = gpa >= entry.shared_from;
  const hw::TBit side = shared ? hw::TBit::kShared : hw::TBit::kTrusted;
  if (const auto fault = rmp_.check_device(side, entry.asid, gpa, page))
    return refuse(hw::SecureRefusal::Kind::kRmp, rmp_fault_text(*fault));
  return shared ? hw::KeyId::kShared : hw::KeyId{entry.asid};
}

void SecureTables::request_failed(std::uint16_t rid) {
  const auto found = guard_.entry(rid);
  if (found)
    guard_.violation(root_, rid, found->asid, "a trusted request did not reach the guest's page");
}

}  // namespace teeio::sev
