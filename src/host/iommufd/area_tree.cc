#include "host/iommufd/area_tree.h"

#include <algorithm>
#include <iterator>

namespace teeio::iommufd {

void AreaEnd::operator()(Area* area) const {
  if (!area->in_pages) delete area;
}

AreaTree::~AreaTree() {
  for (const auto& [key, chunk] : chunks_)
    for (std::uint32_t i = 0; i < chunk->count; ++i) AreaEnd()(chunk->entries()[i].area);
}

// Without branches: which half it is cannot be foreseen.
std::uint32_t AreaTree::Chunk::above(std::uint64_t iova) const {
  std::uint32_t index = 0;
  for (std::uint32_t left = count; left != 0;) {
    const std::uint32_t half = (left + 1) / 2;
    const bool is_above = entries()[index + half - 1].first > iova;
    index = is_above ? index : index + half;
    left = is_above ? half - 1 : left - half;
  }
  return index;
}

void AreaTree::Chunk::insert_at(std::uint32_t index, Area* area) {
  if (begin + count == kChunkAreas) {
    std::copy_n(entries(), count, room.data());
    begin = 0;
  }
  Entry* const at = entries() + index;
  std::move_backward(at, entries() + count, entries() + count + 1);
  *at = {area->first, area->last, area};
  ++count;
}

void AreaTree::Chunk::erase_at(std::uint32_t index) {
  --count;
  if (index == 0) {
    ++begin;
    return;
  }
  Entry* const at = entries() + index;
  std::copy(at + 1, entries() + count + 1, at);
}

void AreaTree::Chunk::append_from(Chunk& other, std::uint32_t first) {
  count = other.count - first;
  std::copy_n(other.entries() + first, count, entries());
  other.count = first;
}

AreaTree::Chunks::const_iterator AreaTree::chunk_of(std::uint64_t iova) const {
  const auto at = chunks_.upper_bound(iova);
  return at == chunks_.begin() ? at : std::prev(at);
}

const AreaTree::Place& AreaTree::place_of(std::uint64_t iova) {
  for (const Place& place : places_)
    if (place.first <= iova && iova <= place.last) return place;
  const auto at = chunk_of(iova);
  const auto after = std::next(at);
  places_[1] = places_[0];
  places_[0] = {.first = at == chunks_.begin() ? 0 : at->first,
                .last = after == chunks_.end() ? ~std::uint64_t{0} : after->first - 1,
                .chunk = at};
  return places_[0];
}

Area* AreaTree::first_in(std::uint64_t first, std::uint64_t last) const {
  return first_at(chunk_of(first), 0, first, last);
}

Area* AreaTree::seek(std::uint64_t first, std::uint64_t last) {
  if (empty()) return nullptr;
  const Place& place = place_of(first);
  return first_at(place.chunk, place.last, first, last);
}

Area* AreaTree::first_at(Chunks::const_iterator at, std::uint64_t own_last, std::uint64_t first,
                         std::uint64_t last) const {
  if (at == chunks_.end()) return nullptr;
  const Chunk* chunk = at->second.get();
  std::uint32_t index = chunk->above(first);
  // An area below may reach up to `first`: it is the entry before, which for
  // the first of a chunk is in the chunk before.
  const Entry* below = nullptr;
  if (index != 0)
    below = &chunk->entries()[index - 1];
  else if (at != chunks_.begin())
    below = &std::prev(at)->second->entries()[std::prev(at)->second->count - 1];
  if (below != nullptr && below->last >= first) return below->area;
  if (index == chunk->count) {
    if (last <= own_last || ++at == chunks_.end()) return nullptr;
    chunk = at->second.get();
    index = 0;
  }
  return chunk->entries()[index].first <= last ? chunk->entries()[index].area : nullptr;
}

Area* AreaTree::next(const Area& area) const {
  auto at = chunk_of(area.first);
  const std::uint32_t index = at->second->above(area.first);
  if (index < at->second->count) return at->second->entries()[index].area;
  return ++at == chunks_.end() ? nullptr : at->second->entries()[0].area;
}

void AreaTree::insert(AreaPtr area) {
  const auto at = empty() ? chunks_.end() : place_of(area->first).chunk;
  if (at == chunks_.end() || area->first < at->first) {
    auto chunk = std::make_unique<Chunk>();
    const std::uint64_t key = area->first;
    chunk->insert_at(0, area.release());
    forget_places();
    chunks_.emplace_hint(at, key, std::move(chunk));
    return;
  }
  std::uint32_t index = at->second->above(area->first);
  Chunk& chunk = make_room(at, index, area->first);
  chunk.insert_at(index, area.release());
}

/// The chunk that takes an area which starts at `first`, in place of the full one that would hold
/// it at `index`.
AreaTree::Chunk& AreaTree::make_room(Chunks::const_iterator at, std::uint32_t& index,
                                     std::uint64_t first) {
  Chunk* chunk = at->second.get();
  if (chunk->count < kChunkAreas) return *chunk;
  // The upper half moves, or nothing if areas come in ascending order.
  auto upper = std::make_unique<Chunk>();
  const std::uint32_t kept = index == kChunkAreas ? kChunkAreas : kChunkAreas / 2;
  const std::uint64_t key = index == kChunkAreas ? first : chunk->entries()[kept].first;
  upper->append_from(*chunk, kept);
  if (index > kept || kept == kChunkAreas) {
    index -= kept;
    chunk = upper.get();
  }
  forget_places();
  chunks_.emplace_hint(std::next(at), key, std::move(upper));
  return *chunk;
}

AreaPtr AreaTree::take(Area& area) {
  const auto at = place_of(area.first).chunk;
  Chunk& chunk = *at->second;
  chunk.erase_at(chunk.above(area.first) - 1);
  if (chunk.count == 0) {
    forget_places();
    chunks_.erase(at);
  }
  return AreaPtr(&area);
}

}  // namespace teeio::iommufd
