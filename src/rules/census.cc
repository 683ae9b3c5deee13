#include "rules/census.h"

#include <fmt/format.h>

#include <algorithm>

namespace teeio::rules {

void Census::set(std::string_view key, std::string_view value) {
  values_.insert_or_assign(std::string(key), std::string(value));
}

void Census::set(std::string_view key, std::uint64_t count) { set(key, fmt::to_string(count)); }

std::vector<Census::Difference> Census::compare(const Census& boot, const Census& end) {
  std::vector<Difference> out;
  for (const auto& [key, value] : boot.values_) {
    const auto now = end.values_.find(key);
    if (now == end.values_.end())
      out.push_back({key, value, "absent"});
    else if (now->second != value)
      out.push_back({key, value, now->second});
  }
  for (const auto& [key, value] : end.values_)
    if (!boot.values_.contains(key)) out.push_back({key, "absent", value});
  std::sort(out.begin(), out.end(),
            [](const Difference& x, const Difference& y) { return x.key < y.key; });
  return out;
}

bool is_setting(const Census::Difference& difference) {
  return difference.key.starts_with("driver of ") ||
         difference.key.starts_with("command register of ") || difference.end == "absent";
}

std::string census_text(const std::vector<Census::Difference>& differences) {
  if (differences.empty()) return "teeio: the machine is as it was at boot\n";
  std::string out = "teeio: the machine differs from its state at boot:\n";
  for (const Census::Difference& d : differences)
    out += fmt::format("  {}: {} at boot, {} now\n", d.key, d.boot, d.end);
  return out;
}

}  // namespace teeio::rules
