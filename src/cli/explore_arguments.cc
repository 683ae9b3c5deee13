#include "cli/explore_arguments.h"

#include <CLI/CLI.hpp>
#include <charconv>
#include <memory>

#include "explore/strategy.h"
#include "schedule/seeded_bug.h"

namespace teeio::cli {
namespace {

using explore::Shard;

/// "1/4".
std::optional<Shard> parse_shard(const std::string& text) {
  Shard shard;
  const char* const end = text.data() + text.size();
  const auto index = std::from_chars(text.data(), end, shard.index);
  if (index.ec != std::errc{} || index.ptr == end || *index.ptr != '/') return std::nullopt;
  const auto count = std::from_chars(index.ptr + 1, end, shard.count);
  if (count.ec != std::errc{} || count.ptr != end || shard.index >= shard.count)
    return std::nullopt;
  return shard;
}

/// All built-in scenarios are through in five minutes on two processors.
constexpr double kDefaultSeconds = 5;

struct Words {
  std::string strategy = "dpor";
  std::string shard;
  std::string replay;
  bool replays = false;
  std::uint32_t failures = 0;
};

void take(ExploreArguments& out, const Words& words, const CLI::App& command) {
  out.options.strategy = *explore::parse_strategy(words.strategy);
  if (command.count("--failures") != 0) out.options.failures = words.failures;
  if (!words.shard.empty()) {
    out.shard = parse_shard(words.shard);
    if (!out.shard) throw CLI::ValidationError("--shard", "is I/N with I from 0 to N-1");
  }
  if (command.count("--replay") != 0) {
    auto choices = schedule::parse_choices(words.replay);
    if (!choices) throw CLI::ValidationError("--replay", std::string(choices.error().why));
    out.options.strategy = explore::StrategyKind::kReplay;
    out.options.replay = std::move(*choices);
    out.options.shrink = false;
  }
  const bool divided = out.shard || !out.save.empty() || !out.resume.empty();
  const auto strategy = out.options.strategy;
  const bool divisible = strategy == explore::StrategyKind::kDpor ||
                         strategy == explore::StrategyKind::kPct ||
                         strategy == explore::StrategyKind::kRandom;
  if (divided && !divisible)
    throw CLI::ValidationError("--strategy", "dpor, pct and random can be divided, no other");
  if (divided && !out.shard) out.shard = Shard{};
  // A part that a clock stopped would have to be resumed, and a table that one
  // stopped would differ the next time.
  const bool unhurried = divided || command.count("--designs") != 0;
  if (unhurried && command.count("--seconds") == 0) out.options.seconds = 0;
}

}  // namespace

void declare_explore(CLI::App& app, int& status,
                     std::function<int(const ExploreArguments&)> explore,
                     std::function<int(const std::vector<std::string>&)> merge) {
  auto out = std::make_shared<ExploreArguments>();
  out->options.seconds = kDefaultSeconds;
  auto words = std::make_shared<Words>();
  CLI::App* const c =
      app.add_subcommand("explore", "Run scenarios under every order of their tasks");
  c->add_option("PATTERN|FILE", out->wanted,
                "Scenarios by name (* and ? match), or files of text scenarios; all if none");
  c->add_flag("--list", out->list, "Print the scenarios, and what they say");
  c->add_option("--design", out->design, "The one design to run them on, by name");
  c->add_option("--machine", out->machine, "A machine file as the one design");
  c->add_option("--strategy", words->strategy, "Which orders")
      ->check(CLI::IsMember({"dpor", "bounded", "pct", "random", "plain", "replay"}))
      ->capture_default_str();
  c->add_option("--max-schedules", out->options.max_schedules, "Of each scenario at most so many")
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  c->add_option("--seconds", out->options.seconds, "Each scenario at most so long; 0: no limit")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str();
  c->add_option("--failures", words->failures,
                "At most so many failing steps in a schedule (default: the scenario's own)");
  c->add_option("--preemptions", out->options.preemptions, "bounded: at most so many")
      ->capture_default_str();
  c->add_option("--changes", out->options.changes, "pct: changes of priority")
      ->capture_default_str();
  c->add_option("--seed", out->options.seed, "pct, random")->capture_default_str();
  c->add_option("--jobs,-j", out->jobs, "Processes; 0: as many as processors")
      ->capture_default_str();
  c->add_option("--shard", words->shard, "I/N: the I-th of N parts of each scenario, from 0");
  c->add_option("--save", out->save, "Write what was explored, again and again, for --resume");
  c->add_option("--resume", out->resume, "Go on from a file of --save, and save there");
  c->add_option("--json", out->json, "Write the results as JSON");
  c->add_option("--replay", words->replay, "One schedule, by the choices that a failure printed");
  c->add_flag("--check-determinism", out->options.check_determinism,
              "Run each schedule twice, and fail if they differ");
  c->add_flag("--chart", out->chart, "Draw failures from the machine's first step");
  c->add_flag("!--no-shrink", out->options.shrink, "Show the schedule as it was found");
  c->add_flag("!--no-progress", out->progress, "No progress on a terminal");
  c->add_option("--designs", out->designs_file,
                "Run the scenarios on all designs and write the table of results")
      ->expected(0, 1)
      ->default_str("docs/designs.md")
      ->each([out](const std::string&) { out->designs = true; });
  std::vector<std::string> bugs;
  for (const auto& bug : schedule::seeded_bugs()) bugs.emplace_back(bug.name);
  c->add_option("--seeded-bug", out->seeded_bug, "Plant a bug, to see it found")
      ->check(CLI::IsMember(bugs))
      ->group("");
  c->add_option("--seeded-bugs", out->seeded_file,
                "Plant each bug in turn, and write the table of what finds it")
      ->group("");
  auto files = std::make_shared<std::vector<std::string>>();
  CLI::App* const m = c->add_subcommand("merge",
                                        "Put the files of shards together, and prove "
                                        "that they are the whole");
  m->add_option("FILE", *files, "What shards wrote with --save or --json")->required();
  m->callback([files, merge = std::move(merge), &status] { status = merge(*files); });
  c->callback([=, explore = std::move(explore), &status] {
    if (m->parsed()) return;
    take(*out, *words, *c);
    if (c->count("--designs") != 0) out->designs = true;
    status = explore(*out);
  });
}

}  // namespace teeio::cli
