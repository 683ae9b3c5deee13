
#include "firmware/rmm/device_key.h"
#include "host/pci_tsm/cca/cca_driver.h"
#include "host/pci_tsm/ide.h"

namespace teeio::tsm {

using rmm::PdevState;

namespace {

/// The key of a card that shows no certificate (its channel authenticates nobody), since
/// the monitor wants one: the generator of P-256.
rmm::PublicKeyParams any_key() {
  constexpr std::uint8_t kGenerator[] = {
      0x04, 0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5,
      0x63, 0xa4, 0x40, 0xf2, 0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4,
      0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96, 0x4f, 0xe3, 0x42, 0xe2, 0xfe, 0x1a,
      0x7f, 0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b, 0xce, 0x33,
      0x57, 0x6b, 0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5};
  const auto bytes = std::as_bytes(std::span(kGenerator));
  return {.key = Bytes(bytes.begin(), bytes.end()),
          .key_length = sizeof(kGenerator),
          .metadata_length = 0,
          .algorithm = 1};
}

}  // namespace

/// Stream IDs count from 0: the source of the monitor locks devices to stream 0.
Result<void> CcaDriver::connect(hw::PciFunction& pf0) {
  const CcaPort* const port = port_above(ports_, pf0, &CcaPort::port);
  if (port == nullptr) return fail(Errno::kNxio, "no root port leads to the device");
  return cards_.connect(
      {.pf0 = &pf0, .port = *port}, [this](Card& card) { return connect_steps(card); },
      [this](Card& card) { undo_connect(card); });
}

/// Source: the posted arm-cca-host/arm-cca.c, cca_tsm_connect().
Result<void> CcaDriver::connect_steps(Card& card) {
  TEEIO_TRY(alloc_pages(card.pages));
  TEEIO_TRY(take_stream(card));
  TEEIO_TRY(host_.use_stream_table(card.port.psmmu, rid_range(*card.pf0).first));
  card.table = true;
  TEEIO_TRY(create_pdev(card));
  TEEIO_TRY(pdev_ready(card, PdevState::kNeedsKey));
  TEEIO_TRY(name_key(card));
  TEEIO_TRY(pdev_ready(card, PdevState::kReady));
  TEEIO_TRY(use_port(card));
  TEEIO_TRY(connect_stream(card));
  return enable_stream(card.ide->endpoint, card.stream);
}

Result<void> CcaDriver::create_pdev(Card& card) {
  TEEIO_ASSIGN(card.pdev, host_.alloc_granule());
  const RidRange rids = rid_range(*card.pf0);
  const rmm::PdevParams params{
      .flags = rmm::PdevParams::make_flags(rmm::PdevCategory::kOffChip, true),
      .bridge = rmm::Settings::kBridge,
      .id = card.pf0->bdf().rid(),
      .routing_id = card.pf0->bdf().domain,
      .slot = 0,
      .rid_base = rids.first,
      .rid_top = rids.last + 1U,
      .hash = static_cast<std::uint8_t>(rmm::HashAlgorithm::kSha512)};
  TEEIO_TRY(host_.memory().write(card.pages.params, params.encode()));
  const auto created = host_.finish(host_.rmm().pdev_create(card.pdev, card.pages.params));
  if (!created.ok()) return std::unexpected(kvm::rmi_error(created, "RMI_PDEV_CREATE failed"));
  card.created = true;
  return {};
}

/// The key in the certificates, which the monitor leaves to others to verify.
Result<void> CcaDriver::name_key(Card& card) {
  const Bytes& chain = card.objects[static_cast<std::size_t>(rmm::CommExit::Object::kCertificate)];
  rmm::PublicKeyParams key = any_key();
  if (!chain.empty()) {
    TEEIO_ASSIGN(key, rmm::device_key(chain));
  }
  TEEIO_TRY(host_.memory().write(card.pages.params, key.encode()));
  const auto named = host_.rmm().pdev_set_pubkey(card.pdev, card.pages.params);
  if (named.ok()) return {};
  return std::unexpected(kvm::rmi_error(named, "RMI_PDEV_SET_PUBKEY failed"));
}

/// A PDEV that does not get there is aborted, so that it can be stopped.
Result<void> CcaDriver::pdev_ready(Card& card, PdevState wanted) {
  const auto driven = drive_pdev(card);
  if (driven && host_.rmm().pdev_get_state(card.pdev).x1 == static_cast<std::uint64_t>(wanted))
    return {};
  (void)host_.insist([&] { return host_.rmm().pdev_abort(card.pdev); });
  if (!driven) return std::unexpected(driven.error());
  return fail(Errno::kIo, "the RMM and the device did not agree: the PDEV is in ERROR");
}

void CcaDriver::disconnect(hw::PciFunction& pf0) {
  cards_.disconnect(pf0, [this](Card& card) { undo_connect(card); });
}

/// STREAM_DISCONNECT, STOP, DESTROY, each driven. A VDEV that could not be
/// destroyed keeps the PDEV, whose granules are then leaked.
void CcaDriver::undo_connect(Card& card) {
  rmm::Rmm& rmm = host_.rmm();
  disconnect_stream(card);
  give_stream(card);
  const auto stop = [&] {
    return host_.insist([&] { return rmm.pdev_stop(card.pdev); }).ok() &&
           pdev_ready(card, PdevState::kStopped).has_value();
  };
  // A second try, since an exchange that failed says nothing about the next.
  if (card.created && (stop() || stop()))
    (void)host_.finish(host_.insist([&] { return rmm.pdev_destroy(card.pdev); }));
  drop_port(card);
  if (card.table) host_.drop_stream_table(card.port.psmmu, rid_range(*card.pf0).first);
  if (raw(card.pdev) != 0) host_.free_granule(card.pdev);
  free_pages(card.pages);
}

}  // namespace teeio::tsm
