#include "host/iommufd/area_tree.h"

#include <algorithm>
#include <iterator>

namespace teeio::iommufd {

AreaTree::~AreaTree() {
  for (const auto& [key, chunk] : chunks_)
    for (std::uint32_t i = 0; i < chunk->count; ++i) delete chunk->entries[i].area;
}

std::uint32_t AreaTree::Chunk::above(std::uint64_t iova) const {
  const auto* const begin = entries.begin();
  const auto* const at = std::upper_bound(
      begin, begin + count, iova, [](std::uint64_t i, const Entry& e) { return i < e.first; });
  return static_cast<std::uint32_t>(at - begin);
}

void AreaTree::Chunk::insert_at(std::uint32_t index, Area* area) {
  auto* const at = entries.begin() + index;
  std::move_backward(at, entries.begin() + count, entries.begin() + count + 1);
  *at = {area->first, area->last, area};
  ++count;
}

void AreaTree::Chunk::erase_at(std::uint32_t index) {
  auto* const at = entries.begin() + index;
  std::move(at + 1, entries.begin() + count, at);
  --count;
}

void AreaTree::Chunk::append_from(Chunk& other, std::uint32_t begin) {
  std::copy(other.entries.begin() + begin, other.entries.begin() + other.count,
            entries.begin() + count);
  count += other.count - begin;
  other.count = begin;
}

AreaTree::Chunks::const_iterator AreaTree::chunk_of(std::uint64_t iova) const {
  const auto at = chunks_.upper_bound(iova);
  return at == chunks_.begin() ? at : std::prev(at);
}

Area* AreaTree::first_in(std::uint64_t first, std::uint64_t last) const {
  auto at = chunk_of(first);
  if (at == chunks_.end()) return nullptr;
  const Chunk* chunk = at->second.get();
  std::uint32_t index = chunk->above(first);
  // An area below may reach up to `first`: it is the entry before, which for
  // the first of a chunk is in the chunk before.
  const Entry* below = nullptr;
  if (index != 0)
    below = &chunk->entries[index - 1];
  else if (at != chunks_.begin())
    below = &std::prev(at)->second->entries[std::prev(at)->second->count - 1];
  if (below != nullptr && below->last >= first) return below->area;
  if (index == chunk->count) {
    if (++at == chunks_.end()) return nullptr;
    chunk = at->second.get();
    index = 0;
  }
  return chunk->entries[index].first <= last ? chunk->entries[index].area : nullptr;
}

Area* AreaTree::next(const Area& area) const {
  auto at = chunk_of(area.first);
  const std::uint32_t index = at->second->above(area.first);
  if (index < at->second->count) return at->second->entries[index].area;
  return ++at == chunks_.end() ? nullptr : at->second->entries[0].area;
}

void AreaTree::insert(std::unique_ptr<Area> area) {
  const auto at = chunk_of(area->first);
  if (at == chunks_.end() || area->first < at->first) {
    auto chunk = std::make_unique<Chunk>();
    const std::uint64_t key = area->first;
    chunk->insert_at(0, area.release());
    chunks_.emplace_hint(at, key, std::move(chunk));
    return;
  }
  Chunk* chunk = at->second.get();
  std::uint32_t index = chunk->above(area->first);
  if (chunk->count == kChunkAreas) {
    // Full: the upper half moves, or nothing if areas come in ascending order.
    auto upper = std::make_unique<Chunk>();
    const std::uint32_t kept = index == kChunkAreas ? kChunkAreas : kChunkAreas / 2;
    const std::uint64_t key = index == kChunkAreas ? area->first : chunk->entries[kept].first;
    upper->append_from(*chunk, kept);
    if (index > kept || kept == kChunkAreas) {
      index -= kept;
      chunk = upper.get();
    }
    chunks_.emplace_hint(std::next(at), key, std::move(upper));
  }
  chunk->insert_at(index, area.release());
}

std::unique_ptr<Area> AreaTree::take(Area& area) {
  const auto at = chunk_of(area.first);
  Chunk& chunk = *at->second;
  chunk.erase_at(chunk.above(area.first) - 1);
  if (chunk.count == 0) chunks_.erase(at);
  return std::unique_ptr<Area>(&area);
}

}  // namespace teeio::iommufd
