#include "host/pci_tsm/ide_streams.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/check.h"
#include "hw/capabilities.h"
#include "schedule/seeded_bug.h"

namespace teeio::tsm {
namespace {

unsigned lowest_free(const std::set<unsigned>& used) {
  unsigned index = 0;
  for (const unsigned taken : used) {
    if (taken != index) break;
    ++index;
  }
  return index;
}

}  // namespace

void IdeStreams::arrive(hw::PciFunction& function) {
  const unsigned count = selective_streams(function);
  if (count == 0) return;
  const Bdf bdf = function.bdf();
  for (unsigned block = 0; block < count; ++block) {
    const BlockState state = block_state(function, block);
    if (!state.enabled) {
      set_idle_id(function, block, kReservedId);
      continue;
    }
    const schedule::RawLockGuard guard(lock_);
    writes();
    bridges_[bdf.domain].ids.insert(state.id);
    blocks_[bdf].insert(block);
  }
}

void IdeStreams::leave(Bdf bdf) {
  const schedule::RawLockGuard guard(lock_);
  writes();
  blocks_.erase(bdf);
}

void IdeStreams::set_pool(std::uint16_t domain, unsigned streams) {
  const schedule::RawLockGuard guard(lock_);
  writes();
  bridges_[domain].pool = std::min(streams, kPool);
}

unsigned IdeStreams::free_index(const Bridge& bridge, Bdf port) const {
  if (!schedule::seeded("duplicate-stream-links")) return lowest_free(bridge.indices);
  std::set<unsigned> used;
  for (const IdeStream& stream : streams_)
    if (stream.port.function->bdf() == port) used.insert(stream.bridge_index);
  return lowest_free(used);
}

Result<IdeStream*> IdeStreams::alloc(hw::PciFunction& pf0, hw::PciFunction& root_port) {
  const Bdf bdf = pf0.bdf();
  const Bdf above = root_port.bdf();
  const unsigned pf0_streams = selective_streams(pf0);
  const unsigned port_streams = selective_streams(root_port);
  const RidRange rids = rid_range(pf0);
  const std::vector<hw::BridgeRange> windows = hw::bridge_windows(root_port);

  const schedule::RawLockGuard guard(lock_);
  writes();
  Bridge& bridge = bridges_[bdf.domain];
  const unsigned index = free_index(bridge, above);
  if (index >= bridge.pool) return fail(Errno::kNoMem, "the host bridge has no IDE stream left");
  const unsigned port_block = lowest_free(blocks_[above]);
  if (port_block >= port_streams)
    return fail(Errno::kNoMem, "no selective IDE stream of the root port is free");
  const unsigned block = lowest_free(blocks_[bdf]);
  if (block >= pf0_streams)
    return fail(Errno::kNoMem, "no selective IDE stream of the end point is free");
  bridge.indices.insert(index);
  blocks_[above].insert(port_block);
  blocks_[bdf].insert(block);

  IdeStream& stream = streams_.emplace_back(IdeStream{.endpoint = stream_end(pf0, block),
                                                      .port = stream_end(root_port, port_block),
                                                      .domain = bdf.domain,
                                                      .bridge_index = index,
                                                      .name = {},
                                                      .tsm = {}});
  stream.endpoint.requesters = {above.rid(), above.rid()};
  stream.port.requesters = rids;
  for (const hw::BridgeRange& window : windows)
    stream.port.addresses.push_back({.base = window.base, .last = window.last});
  return &stream;
}

Result<void> IdeStreams::enter(IdeStream& stream, std::uint8_t id) {
  const schedule::RawLockGuard guard(lock_);
  writes();
  if (!bridges_[stream.domain].ids.insert(id).second)
    return fail(Errno::kBusy, "the host bridge has a stream with this id");
  stream.id = id;
  stream.name =
      fmt::format("stream{}.{}.{}", stream.bridge_index, stream.port.block, stream.endpoint.block);
  return {};
}

void IdeStreams::enter_tsm(IdeStream& stream, std::uint32_t tsm) {
  const schedule::RawLockGuard guard(lock_);
  writes();
  TEEIO_CHECK(!stream.name.empty(), "a stream of a TSM is not registered");
  stream.tsm = tsm;
}

void IdeStreams::release(IdeStream& stream) {
  if (stream.port.is_enabled) disable_stream(stream.port);
  if (stream.endpoint.is_enabled) disable_stream(stream.endpoint);
  if (stream.port.is_set_up) tear_down_stream(stream.port);
  if (stream.endpoint.is_set_up) tear_down_stream(stream.endpoint);

  const schedule::RawLockGuard guard(lock_);
  writes();
  Bridge& bridge = bridges_[stream.domain];
  if (!stream.name.empty()) bridge.ids.erase(stream.id);
  bridge.indices.erase(stream.bridge_index);
  for (const StreamEnd* end : {&stream.port, &stream.endpoint})
    if (const auto at = blocks_.find(end->function->bdf()); at != blocks_.end())
      at->second.erase(end->block);
  std::erase_if(streams_, [&](const IdeStream& other) { return &other == &stream; });
}

std::vector<IdeStreams::Link> IdeStreams::links() const {
  const schedule::RawLockGuard guard(lock_);
  reads();
  std::vector<Link> links;
  for (const IdeStream& stream : streams_)
    if (!stream.name.empty())
      links.push_back({.name = stream.name,
                       .endpoint = stream.endpoint.function->bdf(),
                       .domain = stream.domain,
                       .tsm = stream.tsm});
  return links;
}

std::optional<unsigned> IdeStreams::available(std::uint16_t domain) const {
  const schedule::RawLockGuard guard(lock_);
  reads();
  const auto at = bridges_.find(domain);
  if (at == bridges_.end()) return kPool;
  const Bridge& bridge = at->second;
  if (bridge.pool == 0) return std::nullopt;
  unsigned free = 0;
  for (unsigned index = 0; index < bridge.pool; ++index)
    if (!bridge.indices.contains(index)) ++free;
  return free;
}

}  // namespace teeio::tsm
