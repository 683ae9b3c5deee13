#include <algorithm>
#include <iterator>

#include "firmware/rmm/command.h"

// Functions given to realms: TF-RMM runtime/rmi/vdev.c.

namespace teeio::rmm {
namespace {

using object::Fact;

/// rmi_addr_ranges_valid().
bool in_order(const std::vector<PaRange>& ranges) {
  Hpa last{0};
  for (const PaRange& range : ranges) {
    if (range.base >= range.top || range.base < last) return false;
    last = range.top;
  }
  return true;
}

/// The taken range that begins last below the end of one of these is the only one that can
/// reach into it.
bool overlap(const std::vector<PaRange>& some, const std::map<Hpa, Hpa>& taken) {
  return std::ranges::any_of(some, [&](const PaRange& range) {
    const auto after = taken.lower_bound(range.top);
    return after != taken.begin() && std::prev(after)->second > range.base;
  });
}

std::string_view fault(const VdevParams& params, const PdevParams& pdev) {
  if (params.flags != 0) return "flags";
  if (params.range_count > VdevParams::kMaxRanges || !in_order(params.ranges)) return "ranges";
  return params.tdi < pdev.rid_base || params.tdi >= pdev.rid_top ? "tdi" : "";
}

}  // namespace

Psmmu* Rmm::psmmu_of(Bdf tdi) {
  for (std::size_t i = 0; i < ports_.size(); ++i) {
    if (tdi.bus < ports_[i]->secondary_bus() || tdi.bus > ports_[i]->subordinate_bus()) continue;
    const std::size_t n = i < settings_.psmmu_of_port.size() ? settings_.psmmu_of_port[i] : 0;
    if (n >= settings_.psmmus.size()) return nullptr;
    touch(kPsmmus, How::kRead);
    touch(kStreamTables, How::kUpdate);
    return &psmmus_.at(raw(settings_.psmmus[n]));
  }
  return nullptr;
}

RmiResult Rmm::vdev_create(Hpa rd, Hpa pdev_at, Hpa at, Hpa params_at) {
  Command c(*this, row::kVdevCreate, pdev_at);
  if (!c.begin({rd, pdev_at, at, params_at})) return c.result();
  RMM_FIND(realm, c.realm(rd, "rd_pdev"));
  RMM_FIND(pdev, c.pdev(pdev_at, "rd_pdev"));
  if (!realm->devices) return c.refuse("da");
  const Bytes page = c.page(params_at, "params");
  if (page.empty()) return c.result();
  VdevParams params = VdevParams::decode(page);
  if (const std::string_view wrong = fault(params, pdev->params); !wrong.empty())
    return c.refuse(wrong);
  RMM_REFUSE_IF(pdev->is_root_port(), "category");
  RMM_REFUSE_IF(pdev->state != PdevState::kReady, "state");
  RMM_REFUSE_IF(pdev->vdevs == pdev->max_vdevs(), "full");
  RMM_REFUSE_IF(overlap(params.ranges, pdev->mmio), "overlap");
  RMM_REFUSE_IF(!pdev->stream.taken || pdev->stream.state != Stream::State::kConnected, "stream");
  if (!c.granule(at, GranuleState::kDelegated, "granule")) return c.result();
  // smmuv3_configure_stream().
  const Bdf tdi =
      Bdf::from_rid(static_cast<std::uint16_t>(params.tdi), pdev->params.function().domain);
  Psmmu* const psmmu = psmmu_of(tdi);
  RMM_REFUSE_IF(psmmu == nullptr, "smmu");
  RMM_REFUSE_IF(psmmu->state != Psmmu::State::kActive, "inactive");
  const auto table = psmmu->tables.find(tdi.rid() & ~(Psmmu::kTableEntries - 1));
  RMM_REFUSE_IF(table == psmmu->tables.end(), "table");
  std::vector<std::uint16_t>& entries = table->second.entries;
  RMM_REFUSE_IF(std::ranges::find(entries, tdi.rid()) != entries.end(), "ste");
  entries.push_back(tdi.rid());
  for (const PaRange& range : params.ranges) pdev->mmio.emplace(range.base, range.top);
  set(at, GranuleState::kVdev);
  Vdev& vdev = vdevs_
                   .try_emplace(raw(at), Vdev{.params = std::move(params),
                                              .at = at,
                                              .rd = rd,
                                              .pdev = pdev_at,
                                              .tdi = tdi,
                                              .psmmu = psmmu})
                   .first->second;
  set_dma(vdev, false);
  ++realm->vdevs;
  ++pdev->vdevs;
  fact(Fact::kMetadataCreated, "VDEV created", vdev);
  return {};
}

RmiResult Rmm::vdev_communicate(Hpa rd, Hpa pdev_at, Hpa at, Hpa data) {
  Command c(*this, row::kVdevCommunicate, at);
  if (!c.begin({rd, pdev_at, at, data})) return c.result();
  if (c.realm(rd) == nullptr) return c.result();
  RMM_FIND(pdev, c.pdev(pdev_at, "pdev_granule"));
  RMM_FIND(vdev, c.vdev(at));
  RMM_REFUSE_IF(vdev->rd != rd, "realm");
  RMM_REFUSE_IF(!is_hosts(data), "data");
  RMM_REFUSE_IF(vdev->pdev != pdev_at, "pdev");
  const auto entered = enter(c, vdev->comm, pdev->comm, data);
  return entered ? drive_vdev(c, *pdev, *vdev, *entered, data) : c.result();
}

RmiResult Rmm::vdev_get_state(Hpa at) {
  Command c(*this, row::kVdevGetState, at);
  if (!c.begin({at})) return c.result();
  RMM_FIND(vdev, c.vdev(at));
  return {.x1 = static_cast<std::uint64_t>(vdev->state)};
}

RmiResult Rmm::vdev_lock(Hpa rd, Hpa pdev, Hpa at) {
  Command c(*this, row::kVdevLock, at);
  if (!c.begin({rd, pdev, at})) return c.result();
  RMM_FIND(vdev, c.vdev(rd, pdev, at));
  RMM_REFUSE_IF(vdev->state != VdevState::kUnlocked, "state");
  RMM_REFUSE_IF(vdev->comm != CommState::kIdle, "comm");
  vdev->tdisp_nonce = {};
  vdev->op = VdevOp::kLock;
  vdev->comm = CommState::kPending;
  return {};
}

RmiResult Rmm::vdev_start(Hpa rd, Hpa pdev, Hpa at) {
  Command c(*this, row::kVdevStart, at);
  if (!c.begin({rd, pdev, at})) return c.result();
  RMM_FIND(vdev, c.vdev(rd, pdev, at));
  RMM_REFUSE_IF(vdev->state != VdevState::kLocked, "state");
  RMM_REFUSE_IF(vdev->comm != CommState::kIdle, "comm");
  // The guest asks its host for this command; the monitor itself hears no more.
  fact(Fact::kGuestStart, "start asked for", *vdev, Reader(vdev->tdisp_nonce).le<std::uint64_t>());
  vdev->op = VdevOp::kStart;
  vdev->comm = CommState::kPending;
  return {};
}

/// What the VDEV did or waits for is not looked at: it is PENDING from here on.
RmiResult Rmm::vdev_get_measurements(Hpa rd, Hpa pdev_at, Hpa at, Hpa params_at) {
  Command c(*this, row::kVdevGetMeasurements, at);
  if (!c.begin({rd, pdev_at, at})) return c.result();
  RMM_FIND(vdev, c.vdev(rd, pdev_at, at));
  RMM_REFUSE_IF(c.pdev(pdev_at, "rd_pdev")->comm != CommState::kIdle, "comm");
  const Bytes page = c.page(params_at, "params");
  if (page.empty()) return c.result();
  vdev->nonce = MeasureParams::decode(page).nonce;
  vdev->op = VdevOp::kMeasure;
  vdev->comm = CommState::kPending;
  return {};
}

RmiResult Rmm::vdev_get_interface_report(Hpa rd, Hpa pdev, Hpa at) {
  Command c(*this, row::kVdevGetInterfaceReport, at);
  if (!c.begin({rd, pdev, at})) return c.result();
  RMM_FIND(vdev, c.vdev(rd, pdev, at));
  RMM_REFUSE_IF(vdev->state != VdevState::kLocked && vdev->state != VdevState::kStarted, "state");
  RMM_REFUSE_IF(vdev->comm != CommState::kIdle, "comm");
  vdev->op = VdevOp::kReport;
  vdev->comm = CommState::kPending;
  return {};
}

RmiResult Rmm::vdev_complete(Hpa rec_at, Hpa at) {
  Command c(*this, row::kVdevComplete, at);
  if (!c.begin({rec_at, at})) return c.result();
  RMM_FIND(rec, c.rec(rec_at));
  RMM_FIND(vdev, c.vdev(at));
  RMM_REFUSE_IF(rec->pending != Rec::Pending::kVdevRequest, "request");
  RMM_REFUSE_IF(vdev->rd != rec->rd || vdev->params.id != rec->vdev_id, "other");
  RMM_REFUSE_IF(vdev->comm != CommState::kIdle, "comm");
  rec->pending = Rec::Pending::kVdevComplete;
  rec->vdev = at;
  return {};
}

RmiResult Rmm::vdev_unlock(Hpa rd, Hpa pdev, Hpa at) {
  Command c(*this, row::kVdevUnlock, at);
  if (!c.begin({rd, pdev, at})) return c.result();
  RMM_FIND(vdev, c.vdev(rd, pdev, at));
  RMM_REFUSE_IF(vdev->state == VdevState::kNew || vdev->state == VdevState::kUnlocked, "state");
  RMM_REFUSE_IF(vdev->comm != CommState::kIdle, "comm");
  for (const PaRange& range : vdev->params.ranges)
    for (Hpa granule = range.base; granule < range.top; granule = granule + kPageSize)
      if (state_of(granule) == GranuleState::kMapped) return c.refuse("mapped", raw(granule));
  if (vdev->dma) {
    set_dma(*vdev, false);
    fact(Fact::kTrustedDmaOff, "STE off", *vdev);
  }
  vdev->tdi_stopped = false;
  vdev->op = VdevOp::kUnlock;
  vdev->comm = CommState::kPending;
  return {};
}

/// The source wakes the application only if the PDEV's own communication is ACTIVE: a
/// VDEV's exchange stays in it, where the next one finds it.
RmiResult Rmm::vdev_abort(Hpa rd, Hpa pdev_at, Hpa at) {
  Command c(*this, row::kVdevAbort, at);
  if (!c.begin({rd, pdev_at, at})) return c.result();
  if (c.realm(rd) == nullptr) return c.result();
  RMM_FIND(pdev, c.pdev(pdev_at, "pdev_granule"));
  RMM_FIND(vdev, c.vdev(at));
  RMM_REFUSE_IF(vdev->comm == CommState::kIdle, "comm");
  RMM_REFUSE_IF(vdev->rd != rd, "realm");
  RMM_REFUSE_IF(vdev->pdev != pdev_at, "pdev");
  const bool wakes =
      defective() ? pdev->comm == CommState::kActive : vdev->comm == CommState::kActive;
  const bool its_own = pdev->app_user == at || defective();
  if (wakes && its_own && pdev->app->yielded() && !pdev->app->abort() &&
      panic("dev_assign_abort_app_operation(): the application goes on", vdev->tdi))
    return {.code = Code::kSmcNotSupported};
  vdev->state = VdevState::kError;
  vdev->comm = CommState::kIdle;
  return {};
}

RmiResult Rmm::vdev_destroy(Hpa rd, Hpa pdev, Hpa at) {
  Command c(*this, row::kVdevDestroy, at);
  if (!c.begin({rd, pdev, at})) return c.result();
  RMM_FIND(vdev, c.vdev(rd, pdev, at));
  RMM_REFUSE_IF(vdev->state != VdevState::kNew && vdev->state != VdevState::kUnlocked, "state");
  // A realm may have enabled it behind an UNLOCK that was on its way: see finish_dma_enable().
  if (vdev->dma && panic("smc_vdev_destroy(): trusted DMA is off", vdev->tdi))
    return {.code = Code::kSmcNotSupported};
  release_ste(*vdev);
  --c.realm(rd, "rd_pdev")->vdevs;
  Pdev& its_pdev = *c.pdev(pdev, "rd_pdev");
  --its_pdev.vdevs;
  for (const PaRange& range : vdev->params.ranges) its_pdev.mmio.erase(range.base);
  fact(Fact::kMetadataRemoved, "VDEV destroyed", *vdev);
  vdevs_.erase(raw(at));
  set(at, GranuleState::kDelegated);
  return {};
}

}  // namespace teeio::rmm
