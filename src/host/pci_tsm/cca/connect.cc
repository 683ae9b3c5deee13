#include "base/check.h"
#include "host/pci_tsm/cca/drive.h"
#include "host/pci_tsm/doe.h"
#include "host/pci_tsm/ide.h"

namespace teeio::tsm {

using rmm::PdevState;

Result<void> CcaDriver::connect(hw::PciFunction& pf0) {
  const hw::RootPort* port = nullptr;
  for (const hw::RootPort* candidate : ports_)
    if (pf0.bdf().bus >= candidate->secondary_bus() &&
        pf0.bdf().bus <= candidate->subordinate_bus())
      port = candidate;
  if (port == nullptr) return fail(Errno::kNxio, "no root port leads to the device");
  std::uint8_t stream = 1;
  for (const auto& [bdf, other] : cards_)
    stream = std::max<std::uint8_t>(stream, static_cast<std::uint8_t>(other.stream + 1));
  Card& card = cards_.emplace(pf0.bdf(), Card{.pf0 = &pf0, .stream = stream}).first->second;
  auto connected = connect_steps(card, port->bdf());
  if (!connected) {
    undo_connect(card);
    cards_.erase(pf0.bdf());
  }
  return connected;
}

Result<void> CcaDriver::connect_steps(Card& card, Bdf port) {
  TEEIO_ASSIGN(card.message, host_.memory().alloc_page());
  TEEIO_ASSIGN(card.pdev, host_.alloc_granule());
  const RidRange rids = rid_range(*card.pf0);
  const auto created =
      host_.rmm().pdev_create(card.pdev, {.function = card.pf0->bdf(),
                                          .rid_base = rids.first,
                                          .rid_top = static_cast<std::uint16_t>(rids.last + 1)});
  if (!created.ok()) return std::unexpected(kvm::rmi_error(created, "RMI_PDEV_CREATE failed"));
  card.created = true;
  TEEIO_TRY(drive_pdev(card, PdevState::kReady));
  TEEIO_TRY(setup_endpoint_stream(*card.pf0, card.stream, port.rid()));
  card.endpoint_set = true;
  const auto streaming = host_.rmm().pdev_stream_connect(card.pdev, port, card.stream);
  if (!streaming.ok())
    return std::unexpected(kvm::rmi_error(streaming, "RMI_PDEV_STREAM_CONNECT failed"));
  TEEIO_TRY(drive_pdev(card, PdevState::kReady));
  card.streaming = true;
  enable_endpoint_stream(*card.pf0, card.stream);
  return {};
}

/// Takes the data object in the message page to the device and puts the answer
/// in its place; gives its size.
Result<std::size_t> CcaDriver::carry(Card& card, std::size_t bytes) {
  Bytes object(bytes);
  TEEIO_TRY(host_.memory().read(card.message, object));
  TEEIO_ASSIGN(const Bytes answer, doe_exchange(*card.pf0, object));
  if (answer.size() > kPageSize) return fail(Errno::kIo, "the device's answer is too large");
  TEEIO_TRY(host_.memory().write(card.message, answer));
  return answer.size();
}

/// A PDEV that does not get there is aborted, so that it can be stopped. A busy monitor
/// is asked again: it has taken nothing yet, and where no session ends with the attempt,
/// keys that the device has taken already would be in the way of the next.
Result<void> CcaDriver::drive_pdev(Card& card, PdevState wanted) {
  const auto driven = drive(card, [&](rmm::HostComm host) {
    return host_.insist(
        [&] { return host_.rmm().pdev_communicate(card.pdev, card.message, host); });
  });
  if (driven && host_.rmm().pdev_get_state(card.pdev).x1 == static_cast<std::uint64_t>(wanted))
    return {};
  (void)host_.insist([&] { return host_.rmm().pdev_abort(card.pdev); });
  if (!driven) return driven;
  return fail(Errno::kIo, "the RMM and the device did not agree: the PDEV is in ERROR");
}

void CcaDriver::disconnect(hw::PciFunction& pf0) {
  const auto at = cards_.find(pf0.bdf());
  TEEIO_CHECK(at != cards_.end(), "a card is disconnected that was not connected");
  undo_connect(at->second);
  cards_.erase(at);
}

/// STREAM_DISCONNECT, STOP, DESTROY, each driven. A VDEV that could not be
/// destroyed keeps the PDEV, whose granule is then leaked.
void CcaDriver::undo_connect(Card& card) {
  rmm::Rmm& rmm = host_.rmm();
  const auto disconnect = [&] { return rmm.pdev_stream_disconnect(card.pdev); };
  if (card.streaming && host_.insist(disconnect).ok()) (void)drive_pdev(card, PdevState::kReady);
  if (card.endpoint_set) teardown_endpoint_stream(*card.pf0);
  const auto stop = [&] {
    return host_.insist([&] { return rmm.pdev_stop(card.pdev); }).ok() &&
           drive_pdev(card, PdevState::kStopped);
  };
  // A second try, since an exchange that failed says nothing about the next.
  if (card.created && (stop() || stop()))
    (void)host_.insist([&] { return rmm.pdev_destroy(card.pdev); });
  if (raw(card.pdev) != 0) host_.free_granule(card.pdev);
  if (raw(card.message) != 0) host_.memory().free_page(card.message);
}

CcaDriver::Card* CcaDriver::card_of(hw::PciFunction& function) {
  for (auto& [bdf, card] : cards_) {
    const RidRange rids = rid_range(*card.pf0);
    const std::uint16_t rid = function.bdf().rid();
    if (bdf.domain == function.bdf().domain && rid >= rids.first && rid <= rids.last) return &card;
  }
  return nullptr;
}

}  // namespace teeio::tsm
