#include "explore/shards_progress.h"

#include <fmt/format.h>

#include <algorithm>

namespace teeio::explore {
namespace {

/// Of parts 0 … parts - 1 those whose number is `shard.index` modulo `shard.count`.
std::uint64_t parts_of(std::uint64_t parts, const Shard& shard) {
  return shard.index >= parts ? 0 : (parts - shard.index - 1) / shard.count + 1;
}

std::string state_of(const ShardProgress& p) {
  if (p.ended) return "ended";
  return p.interrupted.empty() ? "under way, or killed" : "stopped by " + p.interrupted;
}

std::string line_of(const ShardProgress& p) {
  return fmt::format("  {}/{}: {} of {} scenarios begun, {} of their {} parts done, {}\n",
                     p.shard.index, p.shard.count, p.begun, p.wanted, p.done, p.parts, state_of(p));
}

}  // namespace

ShardProgress progress_of(const Saved& saved) {
  ShardProgress p{.shard = saved.shard,
                  .wanted = saved.wanted.size(),
                  .found = {},
                  .interrupted = saved.interrupted};
  std::uint64_t ended = 0;
  for (const ShardResult& s : saved.scenarios) {
    const std::uint64_t mine = parts_of(s.parts, saved.shard);
    const auto done =
        static_cast<std::uint64_t>(std::ranges::count_if(s.done, &PartResult::exhausted));
    ++p.begun;
    p.parts += mine;
    p.done += std::min(done, mine);
    p.schedules += s.result.schedules;
    p.share +=
        mine == 0 ? 1 : static_cast<double>(std::min(done, mine)) / static_cast<double>(mine);
    if (s.result.failure) p.found.push_back(s.result.name);
    if (s.result.failure || done >= mine || s.result.has_own_bound()) ++ended;
  }
  p.ended = ended == p.wanted;
  if (p.wanted != 0) p.share /= static_cast<double>(p.wanted);
  return p;
}

std::expected<std::string, std::string> shards_progress(std::span<const Saved> shards) {
  if (const auto merged = merge(shards); !merged) return std::unexpected(merged.error());
  std::vector<ShardProgress> all;
  for (const Saved& s : shards) all.push_back(progress_of(s));
  std::ranges::sort(all, {}, [](const ShardProgress& p) { return p.shard.index; });
  ShardProgress sum;
  std::vector<std::string> found;
  std::uint64_t ended = 0;
  std::string lines;
  std::uint64_t next = 0;
  const auto missing_until = [&](std::uint64_t end) {
    for (; next < end; ++next)
      lines += fmt::format("  {}/{}: no file of it\n", next, shards[0].shard.count);
  };
  for (const ShardProgress& p : all) {
    missing_until(p.shard.index);
    next = p.shard.index + 1;
    lines += line_of(p);
    sum.done += p.done;
    sum.parts += p.parts;
    sum.schedules += p.schedules;
    sum.share += p.share;
    ended += p.ended ? 1 : 0;
    found.insert(found.end(), p.found.begin(), p.found.end());
  }
  missing_until(shards[0].shard.count);
  std::ranges::sort(found);
  found.erase(std::unique(found.begin(), found.end()), found.end());
  std::string head = fmt::format(
      "{} of {} shards ended; about {:.0f} % done: {} of {} parts of what was begun, {} schedules",
      ended, shards[0].shard.count, 100 * sum.share / static_cast<double>(shards[0].shard.count),
      sum.done, sum.parts, sum.schedules);
  if (!found.empty()) head += fmt::format("; found something in {}", fmt::join(found, ", "));
  return head + '\n' + lines;
}

}  // namespace teeio::explore
