#include "host/pci_tsm/sev/sev_driver.h"
#include "hw/find_capability.h"

namespace teeio::tsm {
namespace {

using sev::DataObject;
using sev::TioCommand;

/// PCI_EXP_LNKCAP_PN.
std::uint16_t port_number(hw::RootPort& port) {
  constexpr std::uint16_t kLinkCapabilities = 0x0c;
  const auto express = hw::find_capability(port, hw::kCapabilityPcie);
  if (!express) return 0;
  const std::uint32_t link =
      port.config_read(static_cast<std::uint16_t>(*express + kLinkCapabilities), 4);
  return static_cast<std::uint16_t>(link >> 24U);
}

}  // namespace

Result<void> SevDriver::init() {
  TEEIO_ASSIGN(const Hpa page, psp_.alloc_firmware_page());
  const auto steps = [&]() -> Result<void> {
    kvm::PspHost::Answer answer;
    sev::TioOperands in;
    in.status_page = page;
    const auto issue = [&](TioCommand command) {
      return psp_.command(static_cast<std::uint16_t>(command), in.encode(sev::tio_layout(command)),
                          answer);
    };
    const auto look = [&]() -> Result<void> {
      TEEIO_TRY(issue(TioCommand::kStatus));
      Bytes bytes(sev::TioStatus::kSize);
      TEEIO_TRY(psp_.memory().read(page, bytes));
      TEEIO_ASSIGN(sizes_, sev::TioStatus::decode(bytes));
      return {};
    };
    TEEIO_TRY(look());
    if (sizes_.flags == 0) return fail(Errno::kNoEnt, "the firmware has no SEV-TIO");
    if ((sizes_.flags & sev::TioStatus::kInitDone) != 0)
      return fail(Errno::kBusy, "SEV-TIO is initialised already");
    TEEIO_TRY(issue(TioCommand::kInit));
    return look();
  };
  const Result<void> done = steps();
  psp_.free_firmware_page(page);
  return done;
}

Result<void> SevDriver::connect(hw::PciFunction& pf0) {
  hw::RootPort* const* const port = port_above(ports_, pf0);
  if (port == nullptr) return fail(Errno::kNxio, "no root port leads to the device");
  return cards_.connect(
      {.pf0 = &pf0, .port = *port, .dsm = std::make_unique<TioDsm>(psp_, pf0, sizes_)},
      [this](Card& card) { return connect_steps(card); },
      [this](Card& card) { undo_connect(card); });
}

/// dsm_connect().
Result<void> SevDriver::connect_steps(Card& card) {
  TioDsm& dsm = *card.dsm;
  TEEIO_TRY(take_stream(card));
  TEEIO_TRY(dsm.alloc());
  sev::TioOperands create;
  create.device_id = card.pf0->bdf().rid();
  create.segment = static_cast<std::uint8_t>(card.pf0->bdf().domain);
  create.root_port_id = port_number(*card.port);
  TEEIO_TRY(dsm.command(TioCommand::kDevCreate, create));
  card.created = true;
  set_up_stream(card.ide->endpoint, card.stream);
  set_up_stream(card.ide->port, card.stream);
  sev::TioOperands connect;
  connect.tc_mask = 1;
  connect.stream_ids.fill(0xff);
  connect.stream_ids[0] = card.stream;
  TEEIO_TRY(dsm.command(TioCommand::kDevConnect, connect));
  card.certificates = dsm.output(DataObject::Id::kCertificate);
  TEEIO_TRY(measure(card, {}));
  enable_streams(card);
  return streams().enter(*card.ide, card.stream);
}

/// stream_alloc() and what stream_setup() has of its own: every requester at both ends,
/// configuration requests at the root port's, trusted ones only at the end point's. Its id is
/// its index in the host bridge.
Result<void> SevDriver::take_stream(Card& card) {
  auto allocated = streams().alloc(*card.pf0, *card.port);
  if (!allocated) return fail(Errno::kFault, allocated.error().why);
  card.ide = *allocated;
  card.stream = static_cast<std::uint8_t>(card.ide->bridge_index);
  constexpr RidRange kAll{0, 0xffff};
  card.ide->endpoint.requesters = card.ide->port.requesters = kAll;
  card.ide->endpoint.default_stream = true;
  card.ide->endpoint.configuration = card.ide->port.tee_limited = false;
  card.ide->endpoint.tee_limited = card.ide->port.configuration = true;
  return {};
}

/// stream_enable(), the end point first since configuration requests travel in the stream
/// (PCIe Base Spec 6.33.8). An end that does not become Secure takes both back;
/// dsm_connect() does not look.
void SevDriver::enable_streams(Card& card) {
  StreamEnd& endpoint = card.ide->endpoint;
  StreamEnd& port = card.ide->port;
  const bool secure = enable_stream(endpoint, card.stream) && enable_stream(port, card.stream);
  if (secure) return;
  if (port.is_enabled) disable_stream(port);
  disable_stream(endpoint);
}

Result<void> SevDriver::measure(Card& card, const std::array<std::byte, 32>& nonce) {
  sev::TioOperands in;
  in.flags = sev::kRawMeasurements;
  in.nonce = nonce;
  TEEIO_TRY(card.dsm->command(TioCommand::kDevMeasurements, in));
  card.measurements = card.dsm->output(DataObject::Id::kMeasurement);
  return {};
}

/// sev_tio_ide_refresh(), which dsm_connect() calls for a card that is connected.
Result<void> SevDriver::refresh_keys(hw::PciFunction& pf0) {
  return cards_.of(pf0).dsm->command(TioCommand::kRollKey);
}

void SevDriver::disconnect(hw::PciFunction& pf0) {
  cards_.disconnect(pf0, [this](Card& card) { undo_connect(card); });
}

/// dsm_disconnect(). DEV_DISCONNECT finds nothing to do for a card that did not get there.
/// RECLAIM goes through, unless a TDI could not be reclaimed: then the pages are leaked.
void SevDriver::undo_connect(Card& card) {
  TioDsm& dsm = *card.dsm;
  if (card.created) {
    sev::TioOperands in;
    if (!dsm.command(TioCommand::kDevDisconnect, in)) {
      in.flags = sev::kForce;
      (void)dsm.insist(TioCommand::kDevDisconnect, in);
    }
    (void)dsm.insist(TioCommand::kDevReclaim);
  }
  if (card.ide != nullptr) streams().release(*card.ide);
}

}  // namespace teeio::tsm
