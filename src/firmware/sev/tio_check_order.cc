#include <algorithm>

#include "firmware/sev/tio.h"
#include "firmware/sev/tio_checks.h"
#include "schedule/task.h"

// Which check refuses a command: the order of tio_checks.cc, where it is nobody's knowledge
// one of the explorer's.

namespace teeio::sev {

bool TioChecks::can_look(Tio& tio, TioCall& c, TioCheckId id) {
  using enum TioCheckId;
  switch (id) {
    case kTdiOfDevice:
      return c.tdi != nullptr && c.device != nullptr;
    case kIdle:
    case kCreated:
    case kConnected:
    case kSession:
    case kStream:
    case kNoBoundTdi:
    case kNoTdi:
      return c.device != nullptr;
    case kBindable:
    case kSameGuest:
    case kBound:
    case kLocked:
    case kUnbound:
      return c.tdi != nullptr;
    case kGuestLaunched:
    case kGuestActive:
      return c.guest != nullptr;
    case kOffenderGone:
      return c.device != nullptr && c.guest != nullptr;
    case kBufferPages:
      return holds(tio, c, kBuffers);
    case kMessage:
      return c.guest != nullptr && holds(tio, c, kRequestPage);
    case kMessageAuthentic:
      return can_look(tio, c, kMessage) && holds(tio, c, kMessage);
    case kEnabled:
    case kNotInit:
    case kInit:
    case kReserved:
    case kFlags:
    case kStatusPage:
    case kDeviceContext:
    case kTdiContext:
    case kNewDevicePages:
    case kNewTdiPages:
    case kRootPort:
    case kNewDevice:
    case kNewTdi:
    case kBuffers:
    case kTrafficClass:
    case kCertificateSlot:
    case kGuest:
    case kGuestIdFree:
    case kLockFlags:
    case kAsid:
    case kRequestPage:
    case kResponsePage:
      return true;
  }
  return true;
}

/// The check that refuses; nullptr: none does. Where the order is the model's choice, and more
/// than one fails, it is the explorer's: each that has a status of its own may answer.
const TioCheck* Tio::failed_check(TioCall& c) {
  std::vector<const TioCheck*> failed;
  for (const TioCheck& check : tio_checks(c.command)) {
    const bool chosen = check.source == kModelsChoice;
    if (!failed.empty() &&
        (!chosen || !TioChecks::can_look(*this, c, check.id) ||
         std::ranges::find(failed, check.status, &TioCheck::status) != failed.end()))
      continue;
    if (TioChecks::holds(*this, c, check.id)) continue;
    failed.push_back(&check);
    if (!chosen) break;
  }
  if (failed.empty()) return nullptr;
  const auto count = static_cast<std::uint32_t>(failed.size());
  return failed[count == 1 ? 0 : schedule::choose(count, kWhichCheckAnswers)];
}

}  // namespace teeio::sev
