#include "report/lanes.h"

#include <algorithm>
#include <string_view>

namespace teeio::report {
namespace {

using object::kLaneCount;
using object::Lane;

constexpr std::size_t kNameGap = 2;
constexpr std::size_t kPitch = 3;

/// Whether `name` fits into `line` from `start`, with a blank on both sides.
bool fits(const std::string& line, std::size_t start, std::string_view name) {
  const std::size_t low = start == 0 ? 0 : start - 1;
  const std::size_t high = std::min(line.size(), start + name.size() + 1);
  return std::all_of(line.begin() + static_cast<std::ptrdiff_t>(std::min(low, line.size())),
                     line.begin() + static_cast<std::ptrdiff_t>(high),
                     [](char c) { return c == ' '; });
}

void put(std::string& line, std::size_t start, std::string_view name) {
  if (line.size() < start + name.size()) line.resize(start + name.size(), ' ');
  line.replace(start, name.size(), name);
}

}  // namespace

LaneColumns LaneColumns::wide() {
  LaneColumns columns;
  std::string header(kNumberWidth, ' ');
  for (std::size_t i = 0; i < kLaneCount; ++i) {
    const std::string_view name = object::lane_name(static_cast<Lane>(i));
    columns.present_[i] = true;
    columns.at_[i] = header.size() + (name.size() - 1) / 2;
    header.append(name).append(kNameGap, ' ');
  }
  header.resize(header.size() - kNameGap);
  columns.width_ = header.size();
  columns.header_.push_back(std::move(header));
  return columns;
}

LaneColumns LaneColumns::narrow(const Present& present) {
  LaneColumns columns;
  columns.present_ = present;
  std::size_t column = kNumberWidth;
  for (std::size_t i = 0; i < kLaneCount; ++i) {
    if (!present[i]) continue;
    columns.at_[i] = column;
    columns.width_ = column + 1;
    column += kPitch;
  }
  columns.width_ = std::max(columns.width_, kNumberWidth);
  columns.place_names();
  return columns;
}

/// Each name starts at its lifeline, on the first line where it has room; below
/// it, its lifeline goes on where no other name is.
void LaneColumns::place_names() {
  std::array<std::size_t, kLaneCount> line_of{};
  for (std::size_t i = 0; i < kLaneCount; ++i) {
    if (!present_[i]) continue;
    const std::string_view name = object::lane_name(static_cast<Lane>(i));
    std::size_t line = 0;
    while (line < header_.size() && !fits(header_[line], at_[i], name)) ++line;
    if (line == header_.size()) header_.emplace_back();
    put(header_[line], at_[i], name);
    line_of[i] = line;
  }
  for (std::size_t i = 0; i < kLaneCount; ++i)
    for (std::size_t line = present_[i] ? line_of[i] + 1 : header_.size(); line < header_.size();
         ++line)
      if (fits(header_[line], at_[i], "|")) put(header_[line], at_[i], "|");
}

std::string LaneColumns::lifelines() const {
  std::string row(width_, ' ');
  for (std::size_t i = 0; i < kLaneCount; ++i)
    if (present_[i]) row[at_[i]] = '|';
  return row;
}

}  // namespace teeio::report
