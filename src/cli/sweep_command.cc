#include "cli/sweep_command.h"

#include <charconv>
#include <memory>
#include <utility>

#include "cli/options.h"
#include "explore/jobs/workers.h"

namespace teeio::cli {
namespace {

using sweep::Dimension;

struct Words {
  SweepArguments arguments;
  std::array<bool, sweep::kDimensions> dimensions{};
  std::string rules = "error";
  std::string range;
  std::string shard;
  const Option* orders = nullptr;
};

/// "A" and "B" of "A-B" or "A/B"; nullopt for anything else.
std::optional<std::pair<std::size_t, std::size_t>> pair_of(const std::string& text, char between) {
  std::pair<std::size_t, std::size_t> numbers;
  const char* const end = text.data() + text.size();
  const auto first = std::from_chars(text.data(), end, numbers.first);
  if (first.ec != std::errc() || first.ptr == end || *first.ptr != between) return std::nullopt;
  const auto second = std::from_chars(first.ptr + 1, end, numbers.second);
  if (second.ec != std::errc() || second.ptr != end) return std::nullopt;
  return numbers;
}

/// Gives --list.
const Option& add_what(Command& command, Words& words) {
  constexpr std::array<const char*, sweep::kDimensions> kHelp = {
      "SIGKILL before and after each call",
      "EINTR at each call that may sleep",
      "Each call fails once with each errno that Linux may give there",
      "Each firmware command is refused, busy or interrupted once",
      "Each message to a device is lost, late or garbled, or the device is gone",
      "Nothing goes wrong: which thread's or process's call goes first is chosen by chance"};
  for (std::size_t i = 0; i < sweep::kDimensions; ++i)
    command.flag(
        "--" + std::string(sweep::dimension_name(Dimension{static_cast<std::uint8_t>(i)})),
        words.dimensions.at(i),
        std::string(kHelp.at(i)) + (Dimension{static_cast<std::uint8_t>(i)} == Dimension::kOrder
                                        ? " (not by default)"
                                        : " (of these all by default)"));
  sweep::Selection& selection = words.arguments.selection;
  words.orders = &command.option("--orders", selection.orders, "Orders that --order tries")
                      .range(1, 100'000)
                      .shows_default();
  command
      .option("--only", selection.only,
              "Only calls, commands and messages like this: 'VFIO_*' (repeatable)")
      .value_name("PATTERN");
  command.option("--range", words.range, "Only runs of these numbers: 100-200, or 5")
      .value_name("A-B");
  command.option("--shard", words.shard, "I/N: the I-th of N parts, from 0: each N-th run")
      .value_name("I/N");
  return command.flag("--list", words.arguments.list, "Say which runs there are, and make none");
}

void add_how(Command& command, Words& words, const Option& list) {
  SweepArguments& arguments = words.arguments;
  arguments.jobs = explore::processors();
  command.option("--machine", arguments.machine, "Machine file, or the name of a built-in one")
      .value_name("FILE");
  command.option("--rules", words.rules, "What a broken rule does: error, warn, off, R4=warn,...")
      .value_name("RULES")
      .shows_default();
  command.option("-j,--jobs", arguments.jobs, "Runs at a time (default: one a processor)")
      .range(1, 1024)
      .excludes(list);
  command
      .option("--limit", arguments.limit_s,
              "Seconds until a run is cut off (default: 10, or 20 times the first run)")
      .range(1, 86'400);
  command
      .option("--processes", arguments.trial.processes,
              "Processes and threads that a run may have at a time")
      .range(1, 1'000'000)
      .shows_default();
  command.option("--disk", arguments.trial.disk_mib, "MiB that a run may put on the disk")
      .range(1, 1'000'000)
      .shows_default();
  command.option("--status", arguments.status, "Exit status of a run in which nothing goes wrong")
      .range(0, 255)
      .shows_default();
  command
      .option("--expect", arguments.trial.expect,
              "A command of sh that must exit with 0 after each run")
      .value_name("COMMAND");
  command.flag("--host-kvm", arguments.trial.host_kvm, "KVM is this host's own, as with teeio run");
}

void add_reports(Command& command, SweepArguments& arguments, const Option& list) {
  command.flag("-v,--verbose", arguments.verbose, "Say what came of each run").excludes(list);
  command.option("--resume", arguments.resume, "Keep results in FILE, and go on with what it has")
      .value_name("FILE")
      .excludes(list);
  command
      .option("--from", arguments.from,
              "Results that other shards keep: not run again, and in the report; repeatable")
      .value_name("FILE")
      .excludes(list);
  command.option("--json", arguments.json, "Write all results as JSON")
      .value_name("FILE")
      .excludes(list);
  command.option("--junit", arguments.junit, "Write the verdicts as JUnit")
      .value_name("FILE")
      .excludes(list);
}

/// Gives what is wrong.
std::string complete(Words& words) {
  sweep::Selection& selection = words.arguments.selection;
  for (std::size_t i = 0; i < sweep::kDimensions; ++i)
    if (words.dimensions.at(i))
      selection.dimensions.push_back(Dimension{static_cast<std::uint8_t>(i)});
  if (words.orders->given() && !words.dimensions.back()) return "--orders needs --order";
  if (selection.dimensions == std::vector{Dimension::kOrder} && !selection.only.empty())
    return "--only chooses calls, commands and messages that go wrong, and with --order alone none "
           "does";
  if (!words.range.empty()) {
    auto range = pair_of(words.range, '-');
    if (!range) range = pair_of(words.range + '-' + words.range, '-');  // "5": that one
    if (!range || range->first == 0 || range->first > range->second)
      return "--range: '" + words.range + "' is not of the form 100-200 or 5";
    std::tie(selection.first, selection.last) = *range;
  }
  if (!words.shard.empty()) {
    const auto shard = pair_of(words.shard, '/');
    if (!shard || shard->first >= shard->second)
      return "--shard: '" + words.shard + "' is not I/N, the I-th of N parts, from 0";
    std::tie(selection.shard, selection.shards) = *shard;
  }
  const auto rules = rules::Selection::parse(words.rules);
  if (!rules) return "--rules: " + rules.error();
  words.arguments.trial.rules = *rules;
  if (words.rules != "error") words.arguments.rules = words.rules;
  return {};
}

}  // namespace

void declare_sweep(Command& root, std::function<int(const SweepArguments&)> body) {
  auto words = std::make_shared<Words>();
  Command& command =
      root.command("sweep", "Run a program again and again, each time with one thing going wrong");
  const Option& list = add_what(command, *words);
  add_how(command, *words, list);
  add_reports(command, words->arguments, list);
  command.program("PROGRAM", words->arguments.trial.command,
                  "The program, looked up in PATH, and its arguments");
  command.runs([words, body = std::move(body)] {
    if (const std::string why = complete(*words); !why.empty()) return wrong_use("sweep", why);
    return body(words->arguments);
  });
}

}  // namespace teeio::cli
