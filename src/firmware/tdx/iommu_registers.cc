#include <algorithm>
#include <bit>
#include <utility>

#include "firmware/tdx/leaf.h"
#include "firmware/tdx/spdm_session.h"
#include "hw/root_port.h"

// An IOMMU's set-up, a register at a time: the API's older generation. Source: intel/tdx-module,
// branch tdxio, tdh_iommu_setreg.c, tdh_iommu_getreg.c and src/common/tdxio/iommu.c.

namespace teeio::tdx {
namespace {

constexpr std::uint32_t kMaxQueuePages = 128;  // MAX_NUM_IOMMU_IQ_PAGES

const Row& setreg_row(IommuRegister which) {
  if (which == IommuRegister::kConfigIommu) return row::kIommuSetregConfig;
  if (which == IommuRegister::kClearIommu) return row::kIommuSetregClear;
  if (which == IommuRegister::kConfigRootPort) return row::kIommuSetregRootPort;
  if (which == IommuRegister::kClearRootPort) return row::kIommuSetregClearRootPort;
  return row::kIommuSetregPage;
}

/// Null: the register has no page, or those of a queue.
Hpa* page_register(IommuPages& pages, IommuRegister which) {
  if (which == IommuRegister::kRootTable) return &pages.root_table;
  if (which == IommuRegister::kStreamInfo0) return &pages.stream_info[0];
  if (which == IommuRegister::kStreamInfo1) return &pages.stream_info[1];
  return which == IommuRegister::kSpdmDirectory ? &pages.spdm_directory : nullptr;
}

IommuQueue* queue_register(IommuPages& pages, IommuRegister which) {
  if (which == IommuRegister::kQueue) return &pages.queue;
  return which == IommuRegister::kQueueContext ? &pages.context : nullptr;
}

bool is_complete(const IommuPages& pages) {
  return raw(pages.root_table) != 0 && raw(pages.stream_info[0]) != 0 &&
         raw(pages.stream_info[1]) != 0 && raw(pages.spdm_directory) != 0 &&
         std::has_single_bit(pages.queue.pages) && pages.queue.pages == pages.context.pages;
}

/// Its stream registers are enabled; the key unit's are with them.
bool has_stream(const hw::RootPort* port) {
  for (std::size_t block = 0; block < port->streams(); ++block)
    if (port->stream_state(block) == hw::IdeStreamState::kEnabled) return true;
  return false;
}

/// verify_rp_operand(). Null: there is none.
const hw::RootPort* root_port_at(const IommuState& state, std::uint64_t value) {
  const auto at = std::ranges::find(
      state.root_ports, value,
      [](const hw::RootPort* port) -> std::uint64_t { return port->bdf().rid(); });
  return at == state.root_ports.end() ? nullptr : *at;
}

bool is_ready(const IommuState& state, const hw::RootPort* port) {
  return std::ranges::find(state.ready_ports, port) != state.ready_ports.end();
}

LeafResult set_page(Leaf& leaf, std::uint32_t iommu, IommuRegister which, Hpa page) {
  IommuState& state = leaf.s.iommus[iommu];
  IommuQueue* const queue = queue_register(state.pages, which);
  Hpa* const place = page_register(state.pages, which);
  if (queue == nullptr && place == nullptr) return leaf.refuse("register");
  if (state.configured) return leaf.refuse("iommu_state");
  if (raw(page) == 0) return leaf.refuse("zero");
  TDX_TRY(leaf.free_page(page, Operand::kR8));
  if (queue != nullptr && queue->pages != 0 &&
      (queue->pages == kMaxQueuePages || page != queue->base + queue->pages * kPageSize))
    return leaf.refuse("queue");
  if (place != nullptr && raw(*place) != 0) return leaf.refuse("set");
  leaf.give_way();
  leaf.s.take_iommu_page(iommu, page);
  if (place != nullptr) *place = page;
  if (queue != nullptr && queue->pages++ == 0) queue->base = page;
  return {};
}

LeafResult config_iommu(Leaf& leaf, IommuState& state, std::uint64_t value) {
  if (state.configured) return leaf.refuse("iommu_state");
  if (value != 0) return leaf.refuse("value");
  if (!state.configuring) {
    if (!is_complete(state.pages)) return leaf.refuse("pages");
    if (std::ranges::any_of(state.root_ports, has_stream)) return leaf.refuse("key_unit");
    leaf.give_way();
    state.configuring = leaf.lags("TDH.IOMMU.SETREG: the IOMMU takes its time");
    if (state.configuring) return leaf.refuse("timeout");
  }
  state.configuring = false;
  start_iommu(state, state.pages.root_table);
  return {};
}

LeafResult config_root_port(Leaf& leaf, IommuState& state, std::uint64_t value) {
  if (!state.configured) return leaf.refuse("iommu_state");
  const hw::RootPort* const port = root_port_at(state, value);
  if (port == nullptr) return leaf.refuse("root_port");
  if (is_ready(state, port)) return leaf.refuse("again");
  if (has_stream(port)) return leaf.refuse("ide");
  leaf.give_way();
  state.ready_ports.push_back(port);
  return {};
}

LeafResult clear_root_port(Leaf& leaf, IommuState& state, std::uint64_t value) {
  if (!state.configured) return leaf.refuse("iommu_state");
  if (state.active_spdm_session_count != 0) return leaf.refuse("sessions");
  const hw::RootPort* const port = root_port_at(state, value);
  if (port == nullptr) return leaf.refuse("root_port");
  if (!is_ready(state, port)) return leaf.refuse("never");
  leaf.give_way();
  std::erase(state.ready_ports, port);
  return {};
}

/// The state is INIT while the IOMMU takes its time.
LeafResult clear_iommu(Leaf& leaf, std::uint32_t iommu, std::uint64_t value) {
  IommuState& state = leaf.s.iommus[iommu];
  if (value != 0) return leaf.refuse("value");
  if (state.configured) {
    if (!state.ready_ports.empty()) return leaf.refuse("root_ports");
    if (state.active_spdm_session_count != 0) return leaf.refuse("sessions");
    leaf.give_way();
    state.configured = false;
    state.clearing = leaf.lags("TDH.IOMMU.SETREG: the IOMMU takes its time");
    if (state.clearing) return leaf.refuse("timeout");
  }
  state.clearing = false;
  stop_iommu(leaf.s, iommu);
  return {};
}

}  // namespace

LeafResult Module::tdh_iommu_setreg(std::uint32_t iommu, IommuRegister which, std::uint64_t value) {
  Leaf leaf(*state_, setreg_row(which));
  TDX_TRY(leaf.may_fail());
  if (iommu >= kMaxIommus) return leaf.refuse("iommu");
  if (iommu >= leaf.s.iommus.size()) return leaf.refuse("no_iommu");
  IommuState& state = leaf.s.iommus[iommu];
  TDX_TRY(leaf.take_host_priority(state.lock, "iommu_busy", Operand::kRcx));
  if ((state.configuring && which != IommuRegister::kConfigIommu) ||
      (state.clearing && which != IommuRegister::kClearIommu))
    return leaf.refuse("in_progress");
  if (which == IommuRegister::kConfigIommu) return config_iommu(leaf, state, value);
  if (which == IommuRegister::kClearIommu) return clear_iommu(leaf, iommu, value);
  if (which == IommuRegister::kConfigRootPort) return config_root_port(leaf, state, value);
  if (which == IommuRegister::kClearRootPort) return clear_root_port(leaf, state, value);
  return set_page(leaf, iommu, which, Hpa{value});
}

LeafResult Module::tdh_iommu_getreg(std::uint64_t iommu, IommuRegister which) {
  Leaf leaf(*state_, row::kIommuGetreg);
  TDX_TRY(leaf.may_fail());
  const auto tell = [](std::uint64_t value) { return LeafResult{.status = {}, .r8 = value}; };
  const auto& iommus = std::as_const(leaf.s.iommus);
  if (which == IommuRegister::kId) {
    const auto at = std::ranges::find(iommus, Hpa{iommu}, &IommuState::registers);
    if (at == iommus.end()) return leaf.refuse("registers");
    return tell(static_cast<std::uint64_t>(at - iommus.begin()));
  }
  if (iommu >= kMaxIommus) return leaf.refuse("iommu");
  if (iommu >= iommus.size()) return leaf.refuse("no_iommu");
  const IommuState& state = iommus[iommu];
  if (which == IommuRegister::kState) return tell(state.configured ? 1 : 0);
  IommuPages pages = state.pages;
  if (const IommuQueue* const queue = queue_register(pages, which))
    return tell(raw(queue->base) | queue->pages);
  if (const Hpa* const page = page_register(pages, which)) return tell(raw(*page));
  return leaf.refuse("register");
}

}  // namespace teeio::tdx
