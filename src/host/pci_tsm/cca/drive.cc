#include "host/pci_tsm/cca/cca_driver.h"
#include "host/pci_tsm/doe.h"
#include "wire/doe.h"

// Communications: the host carries the monitor's messages to the card, reads none of
// them, and keeps what it is told to keep. Source: the posted arm-cca-host/rmi-da.c,
// _do_dev_communicate() and cache_object().

namespace teeio::tsm {

using rmm::CommEnter;
using rmm::CommExit;
using rmm::VdevState;

Result<void> CcaDriver::alloc_pages(Pages& pages) {
  for (Hpa* page : {&pages.data, &pages.request, &pages.response, &pages.params}) {
    TEEIO_ASSIGN(*page, host_.memory().alloc_page());
  }
  return {};
}

void CcaDriver::free_pages(const Pages& pages) {
  for (const Hpa page : {pages.data, pages.request, pages.response, pages.params})
    if (raw(page) != 0) host_.memory().free_page(page);
}

/// Takes the message to the device and puts the answer into the response's page; gives
/// its size.
Result<std::size_t> CcaDriver::carry(Card& card, const CommExit& step) {
  if (step.request_length > kPageSize) return fail(Errno::kIo, "the monitor's message is too long");
  Bytes message(step.request_length);
  TEEIO_TRY(host_.memory().read(card.pages.request, message));
  const auto type = step.protocol == CommExit::Protocol::kSpdm ? wire::DoeType::kSpdm
                                                               : wire::DoeType::kSecuredSpdm;
  TEEIO_ASSIGN(
      const Bytes answer,
      doe_exchange(
          *card.pf0,
          wire::DoeObject{wire::kPciSigVendorId, std::to_underlying(type), message}.encode()));
  TEEIO_ASSIGN(const wire::DoeObject object, wire::DoeObject::decode(answer));
  if (object.payload.empty() || object.payload.size() > kPageSize ||
      object.type != std::to_underlying(type))
    return fail(Errno::kIo, "the device's answer is too large, or of another kind");
  TEEIO_TRY(host_.memory().write(card.pages.response, object.payload));
  return object.payload.size();
}

Result<void> CcaDriver::keep(Card& card, const CommExit& step, Objects& into) {
  const auto take = [&](Hpa page, std::uint64_t offset, std::uint64_t length) -> Result<void> {
    if (offset > kPageSize || length > kPageSize - offset)
      return fail(Errno::kIo, "the monitor names bytes beyond the page");
    Bytes bytes(length);
    TEEIO_TRY(host_.memory().read(page + offset, bytes));
    Bytes& object = into[static_cast<std::size_t>(step.object)];
    object.insert(object.end(), bytes.begin(), bytes.end());
    return {};
  };
  if ((step.flags & CommExit::kCacheRequest) != 0)
    TEEIO_TRY(take(card.pages.request, step.cache_request_offset, step.cache_request_length));
  if ((step.flags & CommExit::kCacheResponse) != 0)
    TEEIO_TRY(take(card.pages.response, step.cache_response_offset, step.cache_response_length));
  return {};
}

/// Until the monitor wants no more, or the stream's other end has to be driven. That an
/// exchange failed shows in the object's state. Errors: the refusal of a COMMUNICATE call.
template <class Communicate>
Result<CcaDriver::Driven> CcaDriver::drive(Card& card, Objects& into, Communicate communicate) {
  hw::PhysicalMemory& memory = host_.memory();
  CommEnter enter{.request = card.pages.request, .response = card.pages.response};
  for (;;) {
    TEEIO_TRY(memory.write(card.pages.data, enter.encode()));
    const rmm::RmiResult result = communicate();
    if (!result.ok()) return std::unexpected(kvm::rmi_error(result, "RMI COMMUNICATE failed"));
    Bytes bytes(CommExit::kSize);
    TEEIO_TRY(memory.read(card.pages.data + CommExit::kOffset, bytes));
    const CommExit step = CommExit::decode(bytes);
    TEEIO_TRY(keep(card, step, into));
    if ((step.flags & CommExit::kStreamWait) != 0) return Driven::kStreamWait;
    if (step.flags == 0) return Driven::kOver;
    enter.status = CommEnter::kNone;
    enter.response_length = 0;
    if ((step.flags & CommExit::kSend) == 0) continue;
    const auto answered = carry(card, step);
    enter.status = answered ? CommEnter::kResponse : CommEnter::kError;
    enter.response_length = answered.value_or(0);
  }
}

/// A busy monitor is asked again: it has taken nothing yet, and where no session ends
/// with the attempt, keys that the device has taken already would be in the way of the
/// next.
Result<CcaDriver::Driven> CcaDriver::drive_pdev(Card& card) {
  return drive(card, card.objects, [&] {
    return host_.insist([&] { return host_.rmm().pdev_communicate(card.pdev, card.pages.data); });
  });
}

Result<void> CcaDriver::drive_port(Card& card, Hpa pdev) {
  Objects nothing;
  auto driven = drive(card, nothing, [&] {
    return host_.insist([&] { return host_.rmm().pdev_communicate(pdev, card.pages.data); });
  });
  if (driven) return {};
  return std::unexpected(driven.error());
}

/// A VDEV that does not get there is in ERROR; aborted, it can be unlocked. RMI_BUSY, too, ends
/// it so: rmi-da.c, _do_dev_communicate() makes it EBUSY, upon which do_dev_communicate() calls
/// rmi_vdev_abort().
Result<void> CcaDriver::drive_vdev(const Bound& bound, Bdf function, Hpa rd, VdevState wanted) {
  rmm::Rmm& rmm = host_.rmm();
  Card& card = *bound.card;
  const auto driven = drive(card, card.of_function[function], [&] {
    return rmm.vdev_communicate(rd, card.pdev, bound.vdev, card.pages.data);
  });
  if (driven && rmm.vdev_get_state(bound.vdev).x1 == static_cast<std::uint64_t>(wanted)) return {};
  (void)host_.insist([&] { return rmm.vdev_abort(rd, card.pdev, bound.vdev); });
  if (!driven) return std::unexpected(driven.error());
  return fail(Errno::kIo, "the RMM and the device did not agree: the VDEV is in ERROR");
}

}  // namespace teeio::tsm
