#include <algorithm>
#include <array>

#include "host/kvm/vm.h"
#include "host/pci_tsm/sev/sev_driver.h"
#include "wire/tdisp.h"

namespace teeio::tsm {
namespace {

using sev::DataObject;
using sev::TioCommand;
using wire::TdiState;

/// req blob of TSM_REQ_READ_OBJECT.
enum class Object : std::uint32_t { kReport = 0, kEvidence, kCertificates, kMeasurements, kVca };

/// The layout of spdm::encode_evidence() with the chain put in: both come from the firmware.
Bytes evidence_of(ByteView chain, ByteView measurements) {
  constexpr std::size_t kHead = 48;  // four sizes and the nonce
  if (measurements.size() < kHead) return {};
  return Writer()
      .le(static_cast<std::uint32_t>(chain.size()))
      .bytes(measurements.subspan(4, kHead - 4))
      .bytes(chain)
      .bytes(measurements.subspan(kHead))
      .take();
}

}  // namespace

/// tdi_run().
Result<void> SevDriver::run(Bound& bound) {
  TEEIO_ASSIGN(const std::uint32_t state, tdi_state(bound));
  if (state == static_cast<std::uint32_t>(TdiState::kRun)) return {};
  if (state != static_cast<std::uint32_t>(TdiState::kConfigLocked))
    return fail(Errno::kFault, "the TDI is not locked");
  sev::TioOperands in = about(bound);
  in.run_flags = sev::kRunForce;
  TEEIO_TRY(bound.card->dsm->command(TioCommand::kTdiBind, in));
  bound.report = bound.card->dsm->output(DataObject::Id::kReport);
  bound.unfence = true;
  return {};
}

/// guest_request() with PCI_TSM_REQ_STATE_CHANGE: run, or unbind in firmware without force.
Result<void> SevDriver::set_state(Bound& bound, std::uint32_t state) {
  if (state == static_cast<std::uint32_t>(TdiState::kRun)) return run(bound);
  if (state == static_cast<std::uint32_t>(TdiState::kConfigUnlocked)) {
    TEEIO_TRY(bound.card->dsm->command(TioCommand::kTdiUnbind, about(bound)));
    bound.needs_unbind = false;
    return {};
  }
  if (state != static_cast<std::uint32_t>(TdiState::kConfigLocked))
    return fail(Errno::kInval, "there is no such TDI state");
  // Bind has locked it.
  TEEIO_ASSIGN(const std::uint32_t now, tdi_state(bound));
  if (now != state) return fail(Errno::kFault, "the TDI is not locked: bind it anew");
  return {};
}

/// TIO_GUEST_REQUEST: the host carries what it cannot read.
Result<Bytes> SevDriver::message(Bound& bound, ByteView payload) {
  TioDsm& dsm = *bound.card->dsm;
  TEEIO_TRY(dsm.put_guest_request(payload));
  TEEIO_TRY(dsm.command(TioCommand::kGuestRequest, about(bound)));
  return dsm.guest_response();
}

Result<Bytes> SevDriver::object(const Bound& bound, ByteView payload) {
  Reader in(payload);
  const auto which = static_cast<Object>(in.le<std::uint32_t>());
  const auto offset = in.le<std::uint32_t>();
  const Card& card = *bound.card;
  Bytes data;
  if (which == Object::kReport)
    data = bound.report;
  else if (which == Object::kEvidence)
    data = evidence_of(card.certificates, card.measurements);
  else if (which == Object::kCertificates)
    data = card.certificates;
  else if (which == Object::kMeasurements)
    data = card.measurements;
  else if (which == Object::kVca)
    return fail(Errno::kOpNotSupp, "the firmware does not give the agreement with the device");
  else
    return fail(Errno::kInval, "there is no such object");
  const std::size_t skip = std::min<std::size_t>(offset, data.size());
  data.erase(data.begin(), data.begin() + static_cast<std::ptrdiff_t>(skip));
  return data;
}

Result<Bytes> SevDriver::answer(Bound& bound, const GuestRequest& request) {
  Reader in(request.payload);
  switch (request.op) {
    case RequestOp::kSetTdiState: {
      const auto state = in.le<std::uint32_t>();
      if (!in.ok()) return fail(Errno::kInval, "the request names no TDI state");
      TEEIO_TRY(set_state(bound, state));
      return Bytes{};
    }
    case RequestOp::kReadObject:
      return object(bound, request.payload);
    case RequestOp::kRegenObject: {
      std::array<std::byte, 32> nonce{};
      if (request.payload.size() < nonce.size())
        return fail(Errno::kInval, "the request has no nonce");
      std::ranges::copy(request.payload.first(nonce.size()), nonce.begin());
      TEEIO_TRY(measure(*bound.card, nonce));
      return Bytes{};
    }
    case RequestOp::kObjectInfo: {
      if (!request.payload.empty()) return message(bound, request.payload);
      TEEIO_ASSIGN(const std::uint32_t state, tdi_state(bound));
      return Writer().le(state).take();
    }
    case RequestOp::kValidateMmio:
    case RequestOp::kSevEnableDma:
    case RequestOp::kSevDisableDma:
      return message(bound, request.payload);
  }
  return fail(Errno::kInval, "SEV-TIO has no such guest request");
}

GuestOutcome SevDriver::guest_request(hw::PciFunction& function, const Tdi&, kvm::Vm&,
                                      const GuestRequest& request) {
  Bound& bound = bound_.of(function.bdf());
  auto payload = answer(bound, request);
  if (payload) payload->resize(std::min(payload->size(), request.response_limit));
  return {std::move(payload), static_cast<std::uint64_t>(bound.card->dsm->status())};
}

}  // namespace teeio::tsm
