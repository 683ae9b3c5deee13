#include "host/pci_tsm/doe.h"
#include "host/pci_tsm/ide.h"
#include "host/pci_tsm/tdx/tdx_driver.h"

namespace teeio::tsm {
namespace {

/// The steps of connect that leave something to undo, in their order.
enum Step : std::uint8_t {
  kNothing = 0,
  kPage,
  kSessionCreated,
  kSessionConnected,
  kStreamAllocated,
  kStreamCreated,
};

std::unique_ptr<ConnectApi> make_connect(kvm::TdxHost& host, tdx::Api api) {
  return api == tdx::Api::kG2 ? make_connect_g2(host) : make_connect_g3(host);
}

}  // namespace

Result<void> carry(kvm::TdxHost& host, const TdxCard& card, Hpa request, std::size_t bytes,
                   Hpa answer) {
  if (bytes > kPageSize) return fail(Errno::kIo, "the firmware's message is larger than its page");
  Bytes object(bytes);
  TEEIO_TRY(host.memory().read(request, object));
  TEEIO_ASSIGN(const Bytes answered, doe_exchange(*card.pf0, object));
  if (answered.size() > kPageSize) return fail(Errno::kIo, "the device's answer is too large");
  return host.memory().write(answer, answered);
}

TdxDriver::TdxDriver(kvm::TdxHost& host, std::vector<Port> ports, tdx::Api api)
    : host_(host), ports_(std::move(ports)), connect_(make_connect(host, api)) {}

Result<void> TdxDriver::connect(hw::PciFunction& pf0) {
  const Port* const port = port_above(ports_, pf0, &Port::port);
  if (port == nullptr) return fail(Errno::kNxio, "no root port of TDX Connect leads to the device");

  const auto taken = [&](std::uint32_t number) {
    return std::ranges::any_of(cards_, [&](const auto& at) {
      return at.second.port.iommu == port->iommu && at.second.number == number;
    });
  };
  std::uint32_t number = 0;
  while (taken(number)) ++number;
  const auto steps = [this](Card& card) -> Result<void> {
    TEEIO_TRY(connect_session(card));
    return connect_stream(card);
  };
  return cards_.connect({.pf0 = &pf0, .port = *port, .number = number}, steps,
                        [this](Card& card) { undo_connect(card); });
}

Result<void> TdxDriver::connect_session(Card& card) {
  TEEIO_ASSIGN(card.message, alloc_page());
  card.steps = kPage;
  TEEIO_TRY(connect_->create_session(card));
  card.steps = kSessionCreated;
  TEEIO_TRY(connect_->connect_session(card));
  card.steps = kSessionConnected;
  return {};
}

/// Source: posted tdx-host.c: the module makes the stream out of what Linux allocated, and
/// sets the root port's end up; the end point's is the host's.
Result<void> TdxDriver::connect_stream(Card& card) {
  TEEIO_ASSIGN(card.ide, streams().alloc(*card.pf0, *card.port.port));
  card.steps = kStreamAllocated;
  TEEIO_TRY(connect_->create_stream(card));
  card.steps = kStreamCreated;
  TEEIO_TRY(streams().enter(*card.ide, card.stream));
  card.ide->endpoint.default_stream = connect_->default_stream();
  set_up_stream(card.ide->endpoint, card.stream);
  TEEIO_TRY(connect_->program_keys(card));
  streams().enter_tsm(*card.ide, number());
  return enable_stream(card.ide->endpoint, card.stream);
}

/// The posted driver reads the number of streams of each key configuration unit out of the
/// KEYP table; here the units are the root ports'.
void TdxDriver::size_pools(IdeStreams& streams) {
  std::map<std::uint16_t, std::size_t> sum;
  for (const Port& port : ports_) sum[port.port->bdf().domain] += port.port->streams();
  for (const auto& [domain, count] : sum) streams.set_pool(domain, static_cast<unsigned>(count));
}

Result<void> TdxDriver::refresh_keys(hw::PciFunction& pf0) {
  Card& card = cards_.of(pf0);
  if (card.stream_blocked) return fail(Errno::kIo, "the IDE stream is blocked");
  return connect_->refresh_keys(card);
}

void TdxDriver::disconnect(hw::PciFunction& pf0) {
  cards_.disconnect(pf0, [this](Card& card) { undo_connect(card); });
}

/// STOP keys, STREAM.BLOCK, STREAM.DELETE, SPDM.DISCONNECT, SPDM.DELETE. Pages
/// of a refused step are leaked, as Linux does.
void TdxDriver::undo_connect(Card& card) {
  if (card.steps >= kStreamCreated) {
    if (!card.stream_blocked) {
      connect_->stop_keys(card);
      block_stream(card);
    }
    connect_->delete_stream(card);
  }
  if (card.steps >= kStreamAllocated) streams().release(*card.ide);
  if (card.steps >= kSessionConnected) connect_->disconnect_session(card);
  if (card.steps >= kSessionCreated) connect_->delete_session(card);
  for (const Hpa page : {card.message, card.answer})
    if (raw(page) != 0) host_.memory().free_page(page);
  card.steps = kNothing;
}

void TdxDriver::block_stream(Card& card) {
  if (card.stream_blocked) return;
  const auto blocked = connect_->block_stream(card);
  card.stream_blocked = blocked.ok() || blocked.status == tdx::Code::kIdeStreamBlocked;
}

}  // namespace teeio::tsm
