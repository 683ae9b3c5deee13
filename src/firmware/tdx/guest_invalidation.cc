#include "firmware/tdx/guest_invalidation.h"

#include <algorithm>

#include "base/check.h"
#include "firmware/tdx/iq.h"

namespace teeio::tdx {
namespace {

/// Types and granularities of descriptors. Source: VT-d 6.5.2.3 and 6.5.2.8.
constexpr std::uint64_t kIotlbType = 2, kWaitType = 5;
constexpr std::uint64_t kOfDomain = 2, kOfPages = 3;

std::uint64_t type_of(const InvalidationDescriptor& d) { return d[0] & 0xfU; }
std::uint64_t granularity_of(const InvalidationDescriptor& d) { return d[0] >> 4U & 3U; }

/// Writes and reads drain, no domain id (it is the module's), nothing reserved; only pages have
/// an address, and their hint bit.
bool is_iotlb(const InvalidationDescriptor& d) {
  constexpr std::uint64_t kDrain = 3U << 6U;
  constexpr std::uint64_t kMask = 0x3f, kHint = 1U << 6U, kAddress = ~std::uint64_t{0xfff};
  const std::uint64_t granularity = granularity_of(d);
  if (type_of(d) != kIotlbType || (granularity != kOfDomain && granularity != kOfPages))
    return false;
  if (d[0] != (kIotlbType | granularity << 4U | kDrain) || d[2] != 0 || d[3] != 0) return false;
  return granularity == kOfDomain ? d[1] == 0 : (d[1] & ~(kMask | kAddress)) == kHint;
}

/// A status is written to private memory, without an interrupt; a fence is free to choose.
bool is_wait(const InvalidationDescriptor& d) {
  constexpr std::uint64_t kStatusWrite = 1U << 5U, kFence = 1U << 6U;
  const std::uint64_t low = d[0] & 0xffff'ffffU;
  return (low & ~kFence) == (kWaitType | kStatusWrite) && d[1] % 4 == 0 && d[1] < kSharedGpaBit &&
         d[2] == 0 && d[3] == 0;
}

/// How many of them are good.
std::size_t good_ones(const std::vector<InvalidationDescriptor>& all) {
  for (std::size_t i = 0; i < all.size(); ++i)
    if (!is_iotlb(all[i]) && !(is_wait(all[i]) && i + 1 == all.size())) return i;
  return all.size();
}

/// Source: tdh_iq_inv_process.c, emulate_wait_complete(): where the guest has no page, or another
/// leaf has the secure EPT, nothing is written.
void write_status(State& s, Td& td, const GuestInvalidation::Status& status) {
  if (!td.sept_tree_lock.try_shared()) return;
  td.sept_tree_lock.release_shared();
  const auto where = Sept(s.memory, td).accepted_ram(status.gpa);
  if (!where) return;
  const bool written = s.memory.write(*where, bytes_of(status.data), td.key()).has_value();
  TEEIO_CHECK(written, "an accepted page takes bytes with its TD's key");
}

/// This IOMMU is through; of a fatal TD nothing more is done when all are.
void through(State& s, Td& td, std::uint32_t iommu) {
  GuestInvalidation& asked = td.asked;
  asked.left.erase(iommu);
  if (!asked.left.empty() || td.fatal) return;
  if (asked.status) write_status(s, td, *asked.status);
  asked = {};
}

}  // namespace

std::vector<InvalidationDescriptor> commit_of(GuestInvalidation& asked, std::uint32_t iommu,
                                              std::uint32_t most) {
  std::uint8_t& committed = asked.left.at(iommu).committed;
  const auto first = asked.descriptors.begin() + committed;
  const auto count = std::min<std::size_t>(most, asked.descriptors.size() - committed);
  committed = static_cast<std::uint8_t>(committed + count);
  return {first, first + static_cast<std::ptrdiff_t>(count)};
}

void forget_for_guest(hw::VtdIommu& unit, const Td& td, const InvalidationDescriptor& descriptor) {
  constexpr hw::TBit kSide = hw::TBit::kTrusted;
  if (granularity_of(descriptor) == kOfDomain) return unit.invalidate_domain(kSide, td.domain());
  constexpr std::uint64_t kLargest = 36;  // of 48-bit addresses
  const std::uint64_t mask = std::min(descriptor[1] & 0x3fU, kLargest);
  const std::uint64_t size = kPageSize << mask;
  const Iova start{descriptor[1] & ~(size - 1)};
  unit.invalidate_range(kSide, td.domain(), start, size);
}

void passed_for_guest(State& s, Td& td, std::uint32_t iommu) {
  GuestInvalidation& asked = td.asked;
  if (!asked.active) return;
  const auto part = asked.left.find(iommu);
  if (part == asked.left.end()) return;
  if (++part->second.complete == asked.descriptors.size()) through(s, td, iommu);
}

void all_passed_for_guest(State& s, Td& td, std::uint32_t iommu) {
  if (td.asked.active && td.asked.left.contains(iommu)) through(s, td, iommu);
}

Module::GuestLeafResult Module::tdg_iq_inv_request(Hpa vp, std::uint64_t count, Gpa from) {
  Leaf leaf(*state_, row::kTdgIqInvRequest);
  TDX_ASSIGN(Td* const td, leaf.caller(vp));
  constexpr std::size_t kMost = kPageSize / sizeof(InvalidationDescriptor);
  if (count == 0 || count > kMost) return leaf.refuse("count");
  if (!is_page_aligned(raw(from))) return leaf.refuse("aligned");
  if (raw(from) >= kSharedGpaBit) return leaf.refuse("private");
  const auto page = Sept(leaf.s.memory, *td).accepted_ram(from);
  if (!page) return {.leaf = {}, .ept_violation = from};
  TDX_TRY(leaf.take_host_priority(td->tdinv_lock, "tdinv", Operand::kRcx));
  if (td->asked.active) return leaf.refuse("active");
  std::vector<InvalidationDescriptor> all(count);
  const bool read =
      leaf.s.memory.read(*page, std::as_writable_bytes(std::span(all)), td->key()).has_value();
  TEEIO_CHECK(read, "a TD's page can be read with its key");
  if (const std::size_t good = good_ones(all); good != all.size())
    return leaf.refuse_number("descriptor", static_cast<std::uint32_t>(good));
  GuestInvalidation asked{.active = true};
  if (const InvalidationDescriptor last = all.back(); type_of(last) == kWaitType) {
    asked.status =
        GuestInvalidation::Status{Gpa{last[1]}, static_cast<std::uint32_t>(last[0] >> 32U)};
    all.pop_back();
  }
  for (const auto& [id, part] : td->iommus)
    if (part.pasidte_ref_cnt != 0) asked.left[id];
  if (asked.left.empty()) return {.leaf = leaf.remark("needed")};
  leaf.give_way();
  const auto descriptors = static_cast<std::uint32_t>(all.size());
  asked.descriptors = std::move(all);
  td->asked = std::move(asked);
  return {.leaf = {}, .ept_violation = std::nullopt, .invalidations = descriptors};
}

LeafResult Module::tdh_iq_inv_request_td(std::uint32_t iommu, Hpa tdr, std::uint16_t most,
                                         const WaitDescriptor& wait) {
  Leaf leaf(*state_, row::kIqInvRequestTd, {.detail = "type=TD"});
  TDX_TRY(leaf.may_fail());
  if (most == 0) return leaf.refuse("request");
  TDX_ASSIGN(IommuState* const state, leaf.iommu(iommu));
  constexpr std::uint32_t kOneAndItsWait = 2;
  const std::uint32_t room = queue_room(*state);
  if (room < kOneAndItsWait) return leaf.refuse("full");
  TDX_ASSIGN(Td* const td, leaf.td(tdr, Operand::kR8, AllowedIn::kBuiltOrRuns));
  TDX_TRY(leaf.take_host_priority(td->tdinv_lock, "tdinv", Operand::kR8));
  GuestInvalidation& asked = td->asked;
  const auto part = asked.left.find(iommu);
  if (!asked.active || part == asked.left.end() ||
      part->second.committed == asked.descriptors.size())
    return leaf.remark("needed");
  TDX_TRY(check_wait(leaf, wait));
  leaf.give_way();
  QueueEntry entry{.type = IqType::kTd, .tdr = tdr, .index = {}, .wait = wait};
  entry.descriptors = commit_of(asked, iommu, std::min<std::uint32_t>(most, room - 1));
  state->queue.push_back(std::move(entry));
  return {.status = {}, .rcx = asked.descriptors.size() - part->second.committed};
}

}  // namespace teeio::tdx
