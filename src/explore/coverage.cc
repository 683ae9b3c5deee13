#include "explore/coverage.h"

#include <algorithm>
#include <array>
#include <tuple>

#include "schedule/run_heap.h"

namespace teeio::explore {
namespace {

constexpr std::array<std::string_view, kCoveredKinds> kKindNames = {
    "ioctl", "attribute", "host", "firmware", "device", "failure", "undo"};

std::string counted(std::uint64_t count, std::string_view what) {
  return std::to_string(count) + ' ' + std::string(what) + (count == 1 ? "" : "s");
}

std::string line_of(const CoverageTotal& row) {
  std::string reach(reach_name(row.reach()));
  constexpr std::size_t kWidth = 10;
  reach.resize(kWidth, ' ');
  std::string line = "  " + reach + row.name;
  if (row.together != 0) line += ": " + counted(row.together, "scenario");
  if (row.together == 0 && row.alone != 0) line += ": " + counted(row.alone, "scenario");
  return line + '\n';
}

/// "ioctl: 31 together, 12 alone, 40 never".
std::string head_of(CoveredKind kind, const std::vector<CoverageTotal>& rows) {
  std::array<std::uint64_t, 3> counts{};
  for (const CoverageTotal& row : rows)
    if (row.kind == kind) ++counts.at(static_cast<std::size_t>(row.reach()));
  std::string head = std::string(covered_kind_name(kind)) + ':';
  for (const Reach reach : {Reach::kTogether, Reach::kAlone, Reach::kNever})
    head += (reach == Reach::kTogether ? " " : ", ") +
            std::to_string(counts.at(static_cast<std::size_t>(reach))) + ' ' +
            std::string(reach_name(reach));
  return head + '\n';
}

}  // namespace

std::string_view covered_kind_name(CoveredKind kind) {
  return kKindNames.at(static_cast<std::size_t>(kind));
}

std::string_view reach_name(Reach reach) {
  switch (reach) {
    case Reach::kNever:
      return "never";
    case Reach::kAlone:
      return "alone";
    case Reach::kTogether:
      return "together";
  }
  return "?";
}

void Coverage::reach(CoveredKind kind, std::string_view name, Reach reach) {
  const schedule::OutsideRunHeap outside;
  const std::pair key(kind, std::string(name));
  const auto at = reached_.find(key);
  if (at == reached_.end())
    reached_.emplace(key, reach);
  else
    at->second = std::max(at->second, reach);
}

std::vector<Covered> Coverage::rows() const {
  std::vector<Covered> rows;
  rows.reserve(reached_.size());
  for (const auto& [key, reach] : reached_) rows.push_back({key.first, key.second, reach});
  return rows;
}

void CoverageTotals::add(const std::vector<Covered>& rows) {
  for (const Covered& row : rows) {
    CoverageTotal& total =
        totals_.try_emplace({row.kind, row.name}, CoverageTotal{row.kind, row.name}).first->second;
    if (row.reach == Reach::kTogether) ++total.together;
    if (row.reach == Reach::kAlone) ++total.alone;
  }
}

std::vector<CoverageTotal> CoverageTotals::rows() const {
  std::vector<CoverageTotal> rows;
  for (const auto& [key, total] : totals_) rows.push_back(total);
  std::ranges::stable_sort(
      rows, {}, [](const CoverageTotal& row) { return std::tuple(row.kind, row.reach()); });
  return rows;
}

std::string CoverageTotals::text() const {
  const std::vector<CoverageTotal> all = rows();
  std::string text;
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (i == 0 || all[i].kind != all[i - 1].kind) text += head_of(all[i].kind, all);
    text += line_of(all[i]);
  }
  return text;
}

}  // namespace teeio::explore
