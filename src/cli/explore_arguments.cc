#include "cli/explore_arguments.h"

#include <fmt/format.h>

#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "cli/explore_progress.h"
#include "cli/options.h"
#include "cli/print.h"
#include "explore/scenario/seeded_bugs.h"

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
/// --designs: a scenario's share on one of them; thousands of explorations are made.
constexpr std::uint64_t kDesignSchedules = 40;

/// As GitHub, GitLab and others say it.
bool is_ci() {
  const char* const ci = std::getenv("CI");  // NOLINT(concurrency-mt-unsafe)
  const std::string_view value = ci == nullptr ? "" : ci;
  return !value.empty() && value != "false" && value != "0";
}

struct Words {
  ExploreArguments out;
  std::string strategy = "dpor";
  std::string shard;
  std::optional<std::string> replay;
  std::vector<std::string> merged;
  const Option* strategy_option = nullptr;
  const Option* seconds = nullptr;
  const Option* schedules = nullptr;
  const Option* preemptions = nullptr;
  const Option* changes = nullptr;
  const Option* seed = nullptr;
  const Option* tap = nullptr;
  /// What counts with --designs beside the bounds.
  std::vector<const Option*> of_designs;
};

/// A knob of strategies that are not the one; empty if there is none.
std::string why_idle_knob(const Words& words) {
  using enum explore::StrategyKind;
  const auto strategy = words.out.options.strategy;
  const auto idle = [](const Option* option, bool counts) { return option->given() && !counts; };
  if (idle(words.preemptions, strategy == kBounded))
    return "--preemptions needs --strategy bounded";
  if (idle(words.changes, strategy == kPct)) return "--changes needs --strategy pct";
  if (idle(words.seed, strategy == kPct || strategy == kRandom))
    return "--seed needs --strategy pct or random";
  return {};
}

/// Results are read again, or are one thing that another program reads.
std::string why_wrong_files(const ExploreArguments& out) {
  for (const auto& [option, file] :
       {FileOption{"--save", out.save}, FileOption{"--resume", out.resume}})
    if (file == "-") return fmt::format("{}: results are kept in a regular file", option);
  if (out.tap && (out.json == "-" || out.junit == "-"))
    return fmt::format("--tap and {} cannot both be standard output",
                       out.json == "-" ? "--json" : "--junit");
  const std::string coverage = out.coverage.value_or("");
  if (out.tap && out.coverage && (coverage.empty() || coverage == "-"))
    return "--tap and --coverage cannot both be standard output";
  // --resume's file may be --save's: it goes on there.
  if (std::string why =
          why_equal_files({{"--resume", out.resume}, {"--json", out.json}, {"--junit", out.junit}});
      !why.empty())
    return why;
  const std::vector<FileOption> outputs = {{"--save", out.save},
                                           {"--resume", out.resume},
                                           {"--json", out.json},
                                           {"--junit", out.junit},
                                           {"--coverage", coverage}};
  const std::string machine = machine_file(out.machine);
  std::vector<FileOption> inputs = {{"--machine", machine}};
  for (const std::string& wanted : out.wanted)  // or patterns of names
    if (std::error_code failed; std::filesystem::exists(wanted, failed))
      inputs.push_back({"the scenario", wanted});
  if (std::string why = why_over_input(inputs, outputs); !why.empty()) return why;
  return leave_standard_output({{"--save", out.save},
                                {"--json", out.json},
                                {"--junit", out.junit},
                                {"--coverage", coverage}});
}

/// Makes what the user said of `words`; gives what is wrong, or nothing.
std::string take(Words& words) {
  ExploreArguments& out = words.out;
  out.options.strategy = *explore::parse_strategy(words.strategy);
  if (!words.shard.empty()) {
    out.shard = parse_shard(words.shard);
    if (!out.shard) return "--shard: must be I/N with I from 0 to N-1";
  }
  if (words.replay) {
    auto choices = schedule::parse_choices(*words.replay);
    if (!choices) return "--replay: " + std::string(choices.error().why);
    out.options.strategy = explore::StrategyKind::kReplay;
    out.options.replay = std::move(*choices);
    out.options.shrink = false;
  }
  if (std::string why = why_idle_knob(words); !why.empty()) return why;
  if (std::string why = why_wrong_files(words.out); !why.empty()) return why;
  const bool divided = out.shard || !out.save.empty() || !out.resume.empty();
  const auto strategy = out.options.strategy;
  const bool divisible = strategy == explore::StrategyKind::kDpor ||
                         strategy == explore::StrategyKind::kPct ||
                         strategy == explore::StrategyKind::kRandom;
  if (divided && !divisible) return "--strategy: dpor, pct and random can be divided, no other";
  if (divided && !out.shard) out.shard = Shard{};
  if (out.demands.exhausted && strategy != explore::StrategyKind::kDpor &&
      strategy != explore::StrategyKind::kPlain)
    return "--require-exhausted: no order is left only after dpor or plain";
  // A part that a clock stopped would have to be resumed, and a table that one
  // stopped would differ the next time; so would the verdict of a CI on a slow machine.
  const bool unhurried =
      divided || out.designs || words.schedules->given() || out.demands.exhausted || is_ci();
  if (unhurried && !words.seconds->given()) out.options.seconds = 0;
  if (out.designs && !words.schedules->given()) out.options.max_schedules = kDesignSchedules;
  return {};
}

void declare_bounds(Command& c, Words& words) {
  explore::Options& options = words.out.options;
  words.strategy_option = &c.option("--strategy", words.strategy, "Which orders")
                               .choices({"dpor", "bounded", "pct", "random", "plain", "replay"})
                               .shows_default();
  words.schedules = &c.option("--schedules,--max-schedules", options.max_schedules,
                              "Of each scenario at most so many; then no time stops it")
                         .range(1, std::numeric_limits<std::uint64_t>::max())
                         .shows_default();
  words.seconds =
      &c.option("--seconds", options.seconds,
                "Each scenario at most so much processor time; 0: no limit, as with --schedules, "
                "--require-exhausted, --shard, --save and where CI is set")
           .shows_default();
  const Option& failures =
      c.option("--failures", options.failures,
               "At most so many failing steps in a schedule (default: the scenario's own)");
  words.preemptions =
      &c.option("--preemptions", options.preemptions, "bounded: at most so many").shows_default();
  words.changes =
      &c.option("--changes", options.changes, "pct: changes of priority").shows_default();
  words.seed = &c.option("--seed", options.seed, "pct, random").shows_default();
  words.of_designs = {words.strategy_option, words.schedules, words.seconds, &failures,
                      words.preemptions,     words.changes,   words.seed};
}

void declare_files(Command& c, Words& words) {
  ExploreArguments& out = words.out;
  words.of_designs.push_back(
      &c.option("-j,--jobs", out.jobs, "Processes; 0: as many as processors").shows_default());
  const Option& shard =
      c.option("--shard", words.shard, "I/N: the I-th of N parts of each scenario, from 0")
          .value_name("I/N");
  const Option& save =
      c.option("--save", out.save, "Write what was explored, again and again, for --resume")
          .value_name("FILE");
  const Option& resume = c.option("--resume", out.resume,
                                  "Go on from a file of --save, if it is there, and save there")
                             .value_name("FILE");
  c.option("--json", out.json, "Write the results as JSON").value_name("FILE");
  c.option("--junit", out.junit, "Write the results as JUnit's XML").value_name("FILE");
  words.tap = &c.flag("--tap", out.tap, "Print the results as TAP 13");
  c.flag_with_value("--coverage", out.coverage,
                    "Report which calls, commands and failing steps were reached while "
                    "another thread was in a call, or write that to a file")
      .excludes(shard)
      .excludes(save)
      .excludes(resume);
}

/// What results must be like, and how failures are shown.
void declare_demands(Command& c, Words& words, const Option& replay) {
  ExploreArguments& out = words.out;
  c.flag("--require-exhausted", out.demands.exhausted,
         "Leave with 2 when nothing was found, but orders are left");
  c.flag("--strict", out.demands.strict,
         "A warning is a failure: a call that never ran or never succeeded, a kept schedule "
         "that does not fit");
  words.of_designs.push_back(&c.flag("--check-determinism", out.options.check_determinism,
                                     "Run each schedule twice, and fail if they differ"));
  c.flag("--chart", out.chart, "Draw failures from the machine's first step").excludes(*words.tap);
  words.of_designs.push_back(
      &c.no_flag("--no-shrink", out.options.shrink, "Show the schedule as it was found")
           .excludes(replay));
  words.of_designs.push_back(
      &c.no_flag("--no-progress", out.progress, "No progress on a terminal"));
}

void declare_seeded_bugs(Command& c, Words& words) {
  std::vector<std::string> bugs;
  for (const auto& bug : explore::seeded_bugs()) bugs.emplace_back(bug.name);
  c.option("--seeded-bug", words.out.seeded_bug, "Plant a bug, to see it found")
      .choices(std::move(bugs))
      .value_name("NAME");
  c.option("--seeded-bugs", words.out.seeded_file,
           "Plant each bug in turn, and write the table of what finds it")
      .value_name("FILE")
      .alone_but_for({});
}

}  // namespace

void declare_explore(Command& root, std::function<int(const ExploreArguments&)> explore,
                     std::function<int(const std::vector<std::string>&)> merge) {
  auto words = std::make_shared<Words>();
  ExploreArguments& out = words->out;
  out.options.seconds = kDefaultSeconds;
  Command& c = root.command("explore", "Run scenarios under every order of their tasks");
  const Option& wanted =
      c.positionals("PATTERN|FILE", out.wanted,
                    "Scenarios by name (* and ? match), or files of text scenarios; all if none");
  Option& list = c.flag("--list", out.list, "Print the scenarios, and what they say");
  const Option& design =
      c.option("--design", out.design, "The one design to run them on, by name").value_name("NAME");
  const Option& machine = c.option("--machine", out.machine, "A machine file as the one design")
                              .value_name("FILE")
                              .excludes(design);
  list.alone_but_for({&wanted, &design, &machine});
  declare_bounds(c, *words);
  declare_files(c, *words);
  Option& replay =
      c.option("--replay", words->replay, "One schedule, by the choices that a failure printed")
          .value_name("CHOICES")
          .excludes(*words->strategy_option)
          .excludes(*words->schedules)
          .excludes(*words->seconds);
  declare_demands(c, *words, replay);
  c.flag_with_value("--designs", out.designs,
                    "Run the scenarios on all designs and print the table of results, or "
                    "write it to a file")
      .alone_but_for(words->of_designs);
  declare_seeded_bugs(c, *words);
  c.runs([words, explore = std::move(explore)] {
    if (const std::string why = take(*words); !why.empty()) return wrong_use("explore", why);
    return explore(words->out);
  });
  Command& m =
      c.command("merge", "Put the files of shards together, and prove that they are the whole");
  m.positionals("FILE", words->merged, "What shards wrote with --save or --json").required();
  m.runs([words, merge = std::move(merge)] { return merge(words->merged); });
  declare_explore_progress(c);
}

}  // namespace teeio::cli
