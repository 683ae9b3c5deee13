#include "host/pci_tsm/cca/cca_driver.h"

// The IDE stream between a card and its root port, whose PDEV the port's cards share.
// Source: the posted arm-cca-host/rmi-da.c, cca_pdev_stream_connect() and its two workers,
// which wait for each other where the monitor says STREAM_WAIT.

namespace teeio::tsm {

using rmm::PdevState;

/// pci_ide_stream_alloc(), _register(), _setup() of both ends and tsm_ide_stream_register(),
/// before the monitor hears of the card. The stream's id is its index in the host bridge.
Result<void> CcaDriver::take_stream(Card& card) {
  TEEIO_ASSIGN(card.ide, streams().alloc(*card.pf0, *card.port.port));
  card.stream = static_cast<std::uint8_t>(card.ide->bridge_index);
  TEEIO_TRY(streams().enter(*card.ide, card.stream));
  set_up_stream(card.ide->endpoint, card.stream);
  set_up_stream(card.ide->port, card.stream);
  streams().enter_tsm(*card.ide, number());
  return {};
}

/// A root port's end that has keys is the monitor's, which has not let go of it.
void CcaDriver::give_stream(Card& card) {
  if (card.ide == nullptr) return;
  const hw::IdeStreamState state = card.port.port->stream_state(card.ide->port.block);
  if (state != hw::IdeStreamState::kConfigured) card.ide->port.is_set_up = false;
  streams().release(*card.ide);
}

Result<void> CcaDriver::use_port(Card& card) {
  PortPdev& port = port_pdevs_[card.port.port->bdf()];
  card.port_used = true;
  if (port.users++ > 0) return {};
  TEEIO_ASSIGN(port.pdev, host_.alloc_granule());
  const rmm::PdevParams params{
      .flags = rmm::PdevParams::make_flags(rmm::PdevCategory::kRootPort, false),
      .bridge = rmm::Settings::kBridge,
      .id = card.port.port->bdf().rid(),
      .routing_id = card.port.port->bdf().domain};
  TEEIO_TRY(host_.memory().write(card.pages.params, params.encode()));
  const auto created = host_.rmm().pdev_create(port.pdev, card.pages.params);
  if (!created.ok())
    return std::unexpected(kvm::rmi_error(created, "RMI_PDEV_CREATE of the root port failed"));
  return drive_port(card, port.pdev);
}

void CcaDriver::drop_port(Card& card) {
  if (!card.port_used) return;
  PortPdev& port = port_pdevs_[card.port.port->bdf()];
  if (--port.users > 0 || raw(port.pdev) == 0) return;
  rmm::Rmm& rmm = host_.rmm();
  const auto stop = [&] { return rmm.pdev_stop(port.pdev); };
  (void)host_.insist([&] { return rmm.pdev_abort(port.pdev); });
  if (host_.insist(stop).ok() && drive_port(card, port.pdev))
    (void)host_.insist([&] { return rmm.pdev_destroy(port.pdev); });
  host_.free_granule(port.pdev);
  port = {};
}

/// Both ends in turns: the root port is ready, the end point's keys are made, the root
/// port is connected, the end point is.
Result<void> CcaDriver::drive_stream(Card& card) {
  const Hpa port = port_pdevs_[card.port.port->bdf()].pdev;
  TEEIO_TRY(drive_port(card, port));
  TEEIO_ASSIGN(const Driven keys, drive_pdev(card));
  if (keys != Driven::kStreamWait)
    return fail(Errno::kIo, "the RMM and the device did not agree on keys");
  TEEIO_TRY(drive_port(card, port));
  TEEIO_ASSIGN(const Driven over, drive_pdev(card));
  if (over != Driven::kOver) return fail(Errno::kIo, "the RMM does not end the stream's operation");
  const auto complete = [&] {
    return host_.rmm().pdev_stream_complete(card.pdev, port, card.handle);
  };
  const auto completed = host_.insist(complete);
  if (completed.ok()) return {};
  return std::unexpected(kvm::rmi_error(completed, "RMI_PDEV_STREAM_COMPLETE failed"));
}

Result<void> CcaDriver::connect_stream(Card& card) {
  const rmm::StreamParams params{.type = rmm::kNonCoherent,
                                 .pdev_1 = card.pdev,
                                 .pdev_2 = port_pdevs_[card.port.port->bdf()].pdev,
                                 .stream_id = card.stream};
  TEEIO_TRY(host_.memory().write(card.pages.params, params.encode()));
  const auto begun = host_.rmm().pdev_stream_connect(card.pages.params);
  if (!begun.ok()) return std::unexpected(kvm::rmi_error(begun, "RMI_PDEV_STREAM_CONNECT failed"));
  card.handle = begun.x1;
  auto driven = drive_stream(card);
  card.streaming = driven.has_value();
  if (!driven) (void)host_.insist([&] { return host_.rmm().pdev_abort(card.pdev); });
  return driven;
}

Result<void> CcaDriver::refresh_keys(hw::PciFunction& pf0) {
  Card& card = cards_.of(pf0);
  const Hpa port = port_pdevs_[card.port.port->bdf()].pdev;
  const auto begun = host_.rmm().pdev_stream_key_refresh(card.pdev, port, card.handle);
  if (!begun.ok())
    return std::unexpected(kvm::rmi_error(begun, "RMI_PDEV_STREAM_KEY_REFRESH failed"));
  auto driven = drive_stream(card);
  if (!driven) (void)host_.insist([&] { return host_.rmm().pdev_abort(card.pdev); });
  return driven;
}

void CcaDriver::disconnect_stream(Card& card) {
  if (!card.streaming) return;
  const Hpa port = port_pdevs_[card.port.port->bdf()].pdev;
  const auto begun = host_.insist(
      [&] { return host_.rmm().pdev_stream_disconnect(card.pdev, port, card.handle); });
  if (begun.ok() && !drive_stream(card))
    (void)host_.insist([&] { return host_.rmm().pdev_abort(card.pdev); });
}

}  // namespace teeio::tsm
