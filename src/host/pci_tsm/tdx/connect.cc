#include "base/check.h"
#include "host/pci_tsm/doe.h"
#include "host/pci_tsm/ide.h"
#include "host/pci_tsm/tdx/tdx_driver.h"

namespace teeio::tsm {
namespace {

using tdx::KmObject;
using tdx::KmParameters;

/// The steps of connect that leave something to undo, in their order.
enum Step : std::uint8_t {
  kNothing = 0,
  kPage,
  kSessionCreated,
  kSessionConnected,
  kStreamAllocated,
  kStreamCreated,
};

constexpr KmParameters::SubStream kSubStreams[] = {KmParameters::SubStream::kPosted,
                                                   KmParameters::SubStream::kNonPosted,
                                                   KmParameters::SubStream::kCompletion};
constexpr KmParameters::Direction kDirections[] = {KmParameters::Direction::kRx,
                                                   KmParameters::Direction::kTx};

/// The root port's slot for a key: each stream has its own, by key set and sub-stream.
std::uint64_t key_slot(std::size_t block, const KmParameters& which) {
  constexpr std::uint64_t kSubStreamCount = std::size(kSubStreams);
  return tdx::kKeySlotsOfStream * block + kSubStreamCount * which.key_set +
         static_cast<std::uint64_t>(which.sub_stream);
}

}  // namespace

Result<void> TdxDriver::connect(hw::PciFunction& pf0) {
  const Port* port = nullptr;
  for (const Port& candidate : ports_)
    if (pf0.bdf().bus >= candidate.port->secondary_bus() &&
        pf0.bdf().bus <= candidate.port->subordinate_bus())
      port = &candidate;
  if (port == nullptr) return fail(Errno::kNxio, "no root port of TDX Connect leads to the device");

  std::uint32_t session = 0;
  for (const auto& [bdf, other] : cards_)
    if (other.port.iommu == port->iommu) session = std::max(session, other.session + 1);
  Card& card =
      cards_.emplace(pf0.bdf(), Card{.pf0 = &pf0, .port = *port, .session = session}).first->second;
  auto connected = connect_session(card);
  if (connected) connected = connect_stream(card);
  if (!connected) {
    undo_connect(card);
    cards_.erase(pf0.bdf());
  }
  return connected;
}

Result<void> TdxDriver::connect_session(Card& card) {
  tdx::Module& module = host_.module();
  TEEIO_ASSIGN(card.message, alloc_page());
  card.steps = kPage;
  TEEIO_ASSIGN(const Hpa page, alloc_page());
  const auto created =
      host_.once([&] { return module.tdh_spdm_create(card.port.iommu, card.session, page); });
  if (!created.ok()) {
    host_.memory().free_page(page);
    return std::unexpected(kvm::leaf_error(created, "TDH.SPDM.CREATE failed"));
  }
  card.steps = kSessionCreated;
  for (;;) {
    const auto step = host_.extension_once(
        [&] { return module.tdh_spdm_connect(card.port.iommu, card.session, card.message); });
    if (!step.ok()) return std::unexpected(kvm::leaf_error(step, "TDH.SPDM.CONNECT failed"));
    if (step.message_bytes() == 0) break;
    TEEIO_TRY(carry(card, step.message_bytes()));
  }
  card.steps = kSessionConnected;
  return {};
}

/// Takes the data object in the message page to the device and puts the answer
/// in its place: all that the host sees of a session.
Result<void> TdxDriver::carry(Card& card, std::size_t bytes) {
  if (bytes > kPageSize) return fail(Errno::kIo, "the firmware's message is larger than its page");
  Bytes object(bytes);
  TEEIO_TRY(host_.memory().read(card.message, object));
  TEEIO_ASSIGN(const Bytes answer, doe_exchange(*card.pf0, object));
  if (answer.size() > kPageSize) return fail(Errno::kIo, "the device's answer is too large");
  return host_.memory().write(card.message, answer);
}

/// Source: posted tdx-host.c: the module makes the stream out of what Linux allocated, and
/// sets the root port's end up; the end point's is the host's.
Result<void> TdxDriver::connect_stream(Card& card) {
  TEEIO_ASSIGN(card.ide, streams().alloc(*card.pf0, *card.port.port));
  card.steps = kStreamAllocated;
  // The module would name it: one name a host bridge, since the link has it.
  card.stream = static_cast<std::uint8_t>(card.ide->bridge_index + 1);
  TEEIO_TRY(create_stream(card));
  card.steps = kStreamCreated;
  TEEIO_TRY(streams().enter(*card.ide, card.stream));
  card.ide->endpoint.default_stream = true;
  set_up_stream(card.ide->endpoint, card.stream);
  TEEIO_TRY(program_keys(card));
  streams().enter_tsm(*card.ide, number());
  return enable_stream(card.ide->endpoint, card.stream);
}

/// The module takes one range of addresses: the prefetchable window, where there is one.
Result<void> TdxDriver::create_stream(Card& card) {
  const StreamEnd& end = card.ide->port;
  tdx::IdeStreamConfig config{.root_port = card.port.index,
                              .register_block = static_cast<std::uint8_t>(end.block),
                              .stream_id = card.stream,
                              .rid_base = end.requesters.first,
                              .rid_limit = end.requesters.last};
  if (!end.addresses.empty()) {
    config.address_base = Hpa{end.addresses.back().base};
    config.address_limit = Hpa{end.addresses.back().last};
  }
  TEEIO_ASSIGN(const Hpa page, alloc_page());
  const auto created = host_.once([&] {
    return host_.module().tdh_ide_stream_create(card.port.iommu, card.session, config, page);
  });
  if (created.ok()) return {};
  host_.memory().free_page(page);
  return std::unexpected(kvm::leaf_error(created, "TDH.IDE.STREAM.CREATE failed"));
}

Result<void> TdxDriver::program_keys(Card& card) {
  for (const KmObject object : {KmObject::kKeyProg, KmObject::kSetGo})
    for (const auto sub_stream : kSubStreams)
      for (const auto direction : kDirections)
        TEEIO_TRY(exchange_key(card, object, {.sub_stream = sub_stream, .direction = direction}));
  return {};
}

Result<void> TdxDriver::exchange_key(Card& card, KmObject object, const KmParameters& which) {
  const std::uint64_t slot =
      object == KmObject::kKeyProg ? key_slot(card.ide->port.block, which) : 0;
  const auto request = host_.once([&] {
    return host_.module().tdh_ide_km_request(card.port.iommu, card.stream, object, which, slot,
                                             card.message);
  });
  if (!request.ok())
    return std::unexpected(kvm::leaf_error(request, "TDH.IDE.STREAM.IDEKMREQ failed"));
  TEEIO_TRY(carry(card, request.message_bytes()));
  // Also for set-up: a request that stays pending would block the undoing.
  const auto response = host_.call([&] {
    return host_.module().tdh_ide_km_response(card.port.iommu, card.stream, card.message);
  });
  if (!response.ok())
    return std::unexpected(kvm::leaf_error(response, "TDH.IDE.STREAM.IDEKMRSP failed"));
  return {};
}

/// The posted driver reads the number of streams of each key configuration unit out of the
/// KEYP table; here the units are the root ports'.
void TdxDriver::size_pools(IdeStreams& streams) {
  std::map<std::uint16_t, std::size_t> sum;
  for (const Port& port : ports_) sum[port.port->bdf().domain] += port.port->streams();
  for (const auto& [domain, count] : sum) streams.set_pool(domain, static_cast<unsigned>(count));
}

void TdxDriver::disconnect(hw::PciFunction& pf0) {
  const auto at = cards_.find(pf0.bdf());
  TEEIO_CHECK(at != cards_.end(), "a card is disconnected that was not connected");
  undo_connect(at->second);
  cards_.erase(at);
}

/// STOP keys, STREAM.BLOCK, STREAM.DELETE, SPDM.DISCONNECT, SPDM.DELETE. Pages
/// of a refused step are leaked, as Linux does.
void TdxDriver::undo_connect(Card& card) {
  tdx::Module& module = host_.module();
  if (card.steps >= kStreamCreated) {
    if (!card.stream_blocked) {
      for (const auto sub_stream : kSubStreams)
        for (const auto direction : kDirections)
          (void)exchange_key(card, KmObject::kSetStop,
                             {.sub_stream = sub_stream, .direction = direction});
      block_stream(card);
    }
    const auto deleted =
        host_.call([&] { return module.tdh_ide_stream_delete(card.port.iommu, card.stream); });
    if (deleted.ok()) host_.memory().free_page(Hpa{deleted.rcx});
  }
  if (card.steps >= kStreamAllocated) streams().release(*card.ide);
  if (card.steps >= kSessionConnected) disconnect_session(card);
  if (card.steps >= kSessionCreated) {
    const auto deleted =
        host_.call([&] { return module.tdh_spdm_delete(card.port.iommu, card.session); });
    if (deleted.ok()) host_.memory().free_page(Hpa{deleted.rcx});
  }
  if (card.steps >= kPage) host_.memory().free_page(card.message);
  card.steps = kNothing;
}

/// The device is told, if it listens; the module forgets the session in any case.
void TdxDriver::disconnect_session(Card& card) {
  tdx::Module& module = host_.module();
  for (;;) {
    const auto step = host_.extension(
        [&] { return module.tdh_spdm_disconnect(card.port.iommu, card.session, card.message); });
    if (!step.ok()) break;
    if (step.message_bytes() == 0) return;
    if (!carry(card, step.message_bytes())) break;
  }
  (void)host_.extension([&] { return module.tdh_spdm_disconnect(card.port.iommu, card.session); });
}

void TdxDriver::block_stream(Card& card) {
  if (card.stream_blocked) return;
  const auto blocked =
      host_.call([&] { return host_.module().tdh_ide_stream_block(card.port.iommu, card.stream); });
  card.stream_blocked = blocked.ok() || blocked.status == tdx::Code::kIdeStreamBlocked;
}

TdxDriver::Card* TdxDriver::card_of(hw::PciFunction& function) {
  for (auto& [bdf, card] : cards_) {
    const RidRange rids = rid_range(*card.pf0);
    const std::uint16_t rid = function.bdf().rid();
    if (bdf.domain == function.bdf().domain && rid >= rids.first && rid <= rids.last) return &card;
  }
  return nullptr;
}

}  // namespace teeio::tsm
