#include "explore/jobs/words.h"

#include <fmt/format.h>

#include <sstream>
#include <vector>

#include "schedule/strategy.h"

namespace teeio::explore {
namespace {

/// A stretch in which one task moves.
struct Stretch {
  std::string task;
  std::string last_move;
};

/// A line of FiberController::story(): number, "*" or not, task, move.
std::vector<Stretch> stretches_of(const std::string& story) {
  std::vector<Stretch> all;
  std::istringstream in(story);
  std::string line;
  while (std::getline(in, line)) {
    std::istringstream words(line);
    std::string number, word, task, move;
    words >> number >> word;
    const bool changed = word == "*";
    if (changed)
      words >> task;
    else
      task = word;
    while (words >> word)
      if (word.front() != '#') move += move.empty() ? word : ' ' + word;
    if (changed || all.empty()) all.push_back({task, {}});
    all.back().last_move = move;
  }
  return all;
}

}  // namespace

std::string schedule_in_words(const Failure& failure) {
  constexpr std::size_t kMostStretches = 6;
  std::vector<Stretch> all = stretches_of(failure.story);
  std::erase_if(all, [](const Stretch& s) { return s.task == "main"; });
  if (all.empty()) return "one task, alone";
  std::string text;
  for (std::size_t i = 0; i < all.size() && i < kMostStretches; ++i) {
    if (i + 1 == all.size())
      text += fmt::format("{}`{}`", i == 0 ? "" : ", then ", all[i].task);
    else
      text += fmt::format("{}`{}` up to `{}`", i == 0 ? "" : ", ", all[i].task, all[i].last_move);
  }
  if (all.size() > kMostStretches)
    text += fmt::format(", and {} more turns", all.size() - kMostStretches);
  return text;
}

std::string replay_command(const ScenarioResult& result, const std::string& more) {
  const std::size_t at = result.name.rfind('@');
  return fmt::format("teeio explore {} --design {}{} --replay '{}'", result.name.substr(0, at),
                     at == std::string::npos ? "" : result.name.substr(at + 1), more,
                     schedule::to_text(result.failure->choices));
}

}  // namespace teeio::explore
