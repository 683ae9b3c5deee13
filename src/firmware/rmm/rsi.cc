#include "base/check.h"
#include "firmware/rmm/rsi_call.h"

// The realm's own calls about devices: TF-RMM runtime/rsi/vdev.c and memory.c. A call
// leaves the realm for its VDEV's address; REC_ENTER finishes it.

namespace teeio::rmm {
namespace {

using object::Fact;

bool is_protected(Gpa base, Gpa top) {
  return base < top && raw(top) - 1 < Rtt::kProtected && is_page_aligned(raw(base) | raw(top));
}

Bytes to_bytes(const crypto::Digest& digest) {
  return {digest.view().begin(), digest.view().end()};
}

}  // namespace

Rec& Rmm::calling(Hpa at) {
  mutex_.assert_held();
  const auto rec = recs_.find(raw(at));
  TEEIO_CHECK(rec != recs_.end(), "a realm's call comes from its REC");
  return rec->second;
}

/// initiate_vdev_id_mapping().
RsiResult Rmm::request(Rec& rec, Rec::Call call, std::uint64_t vdev_id) {
  rec.pending = Rec::Pending::kVdevRequest;
  rec.call = call;
  rec.vdev_id = vdev_id;
  rec.vdev = Hpa{0};
  return rec.result = {.code = RsiCode::kIncomplete};
}

RsiResult Rmm::rsi_vdev_get_info(Hpa at, std::uint64_t vdev_id, std::uint64_t address) {
  const schedule::Section section(mutex_, schedule::Section::kByParts);
  RsiCall call(*this, row::kRsiVdevGetInfo);
  Rec& rec = calling(at);
  if (!takes_devices(rec)) return rec.result = call.refuse("da");
  if (address % 512 != 0) return rec.result = call.refuse("aligned");
  if (address >= Rtt::kProtected) return rec.result = call.refuse("protected");
  return request(rec, Rec::Call::kGetInfo, vdev_id);
}

RsiResult Rmm::rsi_vdev_validate_mapping(Hpa at, const Mapping& mapping) {
  const schedule::Section section(mutex_, schedule::Section::kByParts);
  RsiCall call(*this, row::kRsiVdevValidateMapping);
  Rec& rec = calling(at);
  if (!takes_devices(rec)) return rec.result = call.refuse("da");
  if (!is_protected(mapping.base, mapping.top) || !is_page_aligned(raw(mapping.pa)))
    return rec.result = call.refuse("range");
  rec.base = mapping.base;
  rec.top = mapping.top;
  rec.pa = mapping.pa;
  rec.nonces = mapping.nonces;
  return request(rec, Rec::Call::kValidateMapping, mapping.vdev_id);
}

RsiResult Rmm::rsi_vdev_dma_enable(Hpa at, std::uint64_t vdev_id, const Nonces& nonces) {
  const schedule::Section section(mutex_, schedule::Section::kByParts);
  RsiCall call(*this, row::kRsiVdevDmaEnable);
  Rec& rec = calling(at);
  if (!takes_devices(rec)) return rec.result = call.refuse("da");
  rec.nonces = nonces;
  return request(rec, Rec::Call::kDmaEnable, vdev_id);
}

RsiResult Rmm::rsi_vdev_dma_disable(Hpa at, std::uint64_t vdev_id) {
  const schedule::Section section(mutex_, schedule::Section::kByParts);
  RsiCall call(*this, row::kRsiVdevDmaDisable);
  Rec& rec = calling(at);
  if (!takes_devices(rec)) return rec.result = call.refuse("da");
  return request(rec, Rec::Call::kDmaDisable, vdev_id);
}

RsiResult Rmm::rsi_ipa_state_set(Hpa at, Gpa base, Gpa top, std::uint64_t ripas,
                                 bool change_destroyed) {
  const schedule::Section section(mutex_, schedule::Section::kByParts);
  RsiCall call(*this, row::kRsiIpaStateSet);
  Rec& rec = calling(at);
  if (ripas > static_cast<std::uint64_t>(Ripas::kRam)) return rec.result = call.refuse("ripas");
  if (!is_protected(base, top)) return rec.result = call.refuse("range");
  rec.set_ripas = {.base = base,
                   .top = top,
                   .addr = base,
                   .wanted = Ripas(ripas),
                   .change_destroyed = change_destroyed};
  return rec.result = {.code = RsiCode::kIncomplete};
}

RsiResult Rmm::rsi_result(Hpa at) {
  const schedule::Section section(mutex_, schedule::Section::kByParts);
  const auto rec = std::as_const(recs_).find(raw(at));
  return rec == recs_.end() ? RsiResult{.code = RsiCode::kState} : rec->second.result;
}

VdevInfo Rmm::rsi_info(Hpa at) {
  const schedule::Section section(mutex_, schedule::Section::kByParts);
  const auto rec = std::as_const(recs_).find(raw(at));
  return rec == recs_.end() ? VdevInfo{} : rec->second.info;
}

/// complete_vdev_id_mapping(), and why the realm is left again. Precondition: one waits.
RecExit Rmm::complete_request(Rec& rec) {
  const bool named = rec.pending == Rec::Pending::kVdevComplete;
  // complete_vdev_id_mapping() has put RSI_ERROR_INPUT where it looks for the call's number now.
  if (rec.call_lost && panic("complete_vdev_id_mapping()", Bdf{})) return RecExit::kSync;
  // finish_rsi_vdev_get_info() looks for the record's page first, and lets the host bring it.
  std::expected<Place, NoPlace> page;
  if (named && rec.info_at) page = place_of(realm_of(rec), page_of(*rec.info_at));
  if (!page && page.error() == NoPlace::kUnmapped) {
    rec.abort_at = page_of(*rec.info_at);
    rec.call_lost = true;
    return RecExit::kSync;
  }
  rec.call_lost = false;
  const bool reached = page && !page->device;
  using Finish = RsiResult (Rmm::*)(RsiCall&, Rec&);
  struct {
    const Row* row;
    Finish finish;
  } how{&row::kRsiVdevGetInfo, &Rmm::finish_get_info};
  switch (rec.call) {
    case Rec::Call::kValidateMapping:
      how = {&row::kRsiVdevValidateMapping, &Rmm::finish_validate_mapping};
      break;
    case Rec::Call::kDmaEnable:
      how = {&row::kRsiVdevDmaEnable, &Rmm::finish_dma_enable};
      break;
    case Rec::Call::kDmaDisable:
      how = {&row::kRsiVdevDmaDisable, &Rmm::finish_dma_disable};
      break;
    case Rec::Call::kGetInfo:
    case Rec::Call::kNone:
      break;
  }
  RsiCall call(*this, *how.row);
  rec.pending = Rec::Pending::kNone;
  if (!named)
    rec.result = call.refuse("complete");
  else
    rec.result = reached ? (this->*how.finish)(call, rec) : call.refuse("memory");
  if (const auto at = std::exchange(rec.info_at, std::nullopt);
      at && rec.result.code == RsiCode::kSuccess)
    (void)write_realm(rec.rd, *at, rec.info.encode());
  const bool maps = std::exchange(rec.call, Rec::Call::kNone) == Rec::Call::kValidateMapping;
  return maps && rec.result.code == RsiCode::kSuccess ? RecExit::kDevMemMap : RecExit::kRealm;
}

RsiResult Rmm::finish_get_info(RsiCall& call, Rec& rec) {
  const auto at = std::as_const(vdevs_).find(raw(rec.vdev));
  if (at == vdevs_.end() || at->second.rd != rec.rd || at->second.params.id != rec.vdev_id)
    return call.refuse("gone");
  const Vdev& vdev = at->second;
  const Pdev& pdev = std::as_const(pdevs_).at(raw(vdev.pdev));
  rec.info = {.slot = pdev.params.slot,
              .hash = pdev.params.hash,
              .lock_nonce = vdev.nonces.lock,
              .measurements_nonce = vdev.nonces.measurements,
              .report_nonce = vdev.nonces.report,
              .state = rsi_state(vdev.state),
              .vca = to_bytes(pdev.app->vca_digest()),
              .certificate = to_bytes(pdev.app->certificate_digest()),
              .measurements = to_bytes(vdev.measurements),
              .report = to_bytes(vdev.report)};
  return {};
}

/// finish_rsi_vdev_validate_mapping(). It does not look at the VDEV's realm, and with a
/// VDEV that is gone the source unlocks a granule that it has not.
RsiResult Rmm::finish_validate_mapping(RsiCall& call, Rec& rec) {
  const auto at = std::as_const(vdevs_).find(raw(rec.vdev));
  if (at == vdevs_.end()) {
    (void)panic("granule_unlock() of finish_rsi_vdev_validate_mapping()", Bdf{});
    return call.refuse("gone");
  }
  const Vdev& vdev = at->second;
  if (vdev.state != VdevState::kLocked && vdev.state != VdevState::kStarted)
    return call.refuse("state");
  if (vdev.nonces != rec.nonces) return call.refuse("nonce");
  rec.dev_mem = {.base = rec.base, .top = rec.top, .addr = rec.base, .pa = rec.pa};
  return {};
}

RsiResult Rmm::finish_dma_enable(RsiCall& call, Rec& rec) {
  const auto at = std::as_const(vdevs_).find(raw(rec.vdev));
  if (at == vdevs_.end()) return call.refuse("gone");
  const Vdev& vdev = at->second;
  // An unlock has switched DMA off already, and the state is STARTED until the device
  // has stopped.
  if (vdev.state != VdevState::kStarted || (vdev.comm != CommState::kIdle && !defective()))
    return call.refuse("state");
  if (vdev.nonces != rec.nonces) return call.refuse("nonce");
  if (vdev.dma) return {};
  set_dma(vdevs_.at(raw(rec.vdev)), true);
  fact(Fact::kTrustedDmaOn, "STE valid", vdev);
  return {};
}

RsiResult Rmm::finish_dma_disable(RsiCall& call, Rec& rec) {
  const auto at = std::as_const(vdevs_).find(raw(rec.vdev));
  if (at == vdevs_.end()) return call.refuse("gone");
  if (!at->second.dma) return {};
  set_dma(vdevs_.at(raw(rec.vdev)), false);
  fact(Fact::kTrustedDmaOff, "STE off", at->second);
  return {};
}

}  // namespace teeio::rmm
