// Random programs over every primitive of `schedule`: what the reduction reaches
// against what all schedules reach. CI runs a few thousand; for more:
//   reduction_check --programs 100000 --seed 7
// A difference is shrunk and printed; FILE... compares the programs of files.

#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <fstream>
#include <map>
#include <optional>
#include <sstream>

#include "explore/reduction/compare.h"
#include "schedule/task.h"

namespace teeio::reduction {
namespace {

struct Arguments {
  std::uint64_t programs = 2'000;
  std::uint64_t seed = 1;
  std::uint64_t first = 0;
  std::uint64_t limit = 1'500;
  std::optional<std::uint64_t> kind;
  double seconds = 0;
  std::string forget;
  std::vector<std::string> files;
};

/// In one process, which keeps what findings keep: of some kinds most programs have one.
constexpr std::uint64_t kBatch = 50, kBatchOfAKind = 5;

struct Totals {
  std::uint64_t programs = 0, plain = 0, sleep_sets = 0, sample = 0, nothing = 0;
  std::uint64_t findings = 0, all = 0, reduced = 0, with_mutexes = 0;

  void add(const Comparison& c) {
    using Against = Comparison::Against;
    ++programs;
    plain += c.against == Against::kPlain ? 1 : 0;
    sleep_sets += c.against == Against::kSleepSets ? 1 : 0;
    sample += c.against == Against::kSample ? 1 : 0;
    nothing += c.against == Against::kNothing ? 1 : 0;
    findings += c.has_findings ? 1 : 0;
    with_mutexes += c.with_mutexes != 0 ? 1 : 0;
    if (c.against == Against::kNothing) return;
    all += c.all;
    reduced += c.reduced;
  }
  void add(const Totals& t) {
    programs += t.programs;
    plain += t.plain;
    sleep_sets += t.sleep_sets;
    sample += t.sample;
    nothing += t.nothing;
    findings += t.findings;
    all += t.all;
    reduced += t.reduced;
    with_mutexes += t.with_mutexes;
  }
  void print() const {
    std::printf(
        "%lu programs: %lu against all schedules, %lu against sleep sets, %lu against a "
        "sample, %lu too large; %lu also with mutexes for monitors; %lu with failing checks; %lu "
        "schedules, reduced %lu\n",
        programs, plain, sleep_sets, sample, nothing, with_mutexes, findings, all, reduced);
  }
};

/// The number of the n-th program, of one kind if one was asked for.
std::uint64_t number_of(const Arguments& arguments, std::uint64_t n) {
  return arguments.kind ? n * kinds_of_programs() + *arguments.kind : n;
}

struct BatchResult {
  Totals totals;
  std::uint64_t differs = 0;  ///< number of the first that does, plus one
};

Forget parse_forget(const std::string& name) {
  if (name == "pruned") return Forget::kPruned;
  if (name == "expired") return Forget::kExpired;
  if (name == "stories") return Forget::kStories;
  if (name == "touches") return Forget::kTouches;
  return Forget::kNothing;
}

/// False: the process died.
bool run_batch(const Arguments& arguments, std::uint64_t from, std::uint64_t to,
               BatchResult& result) {
  int ends[2] = {-1, -1};
  if (pipe(ends) != 0) return false;
  const pid_t child = fork();
  if (child == 0) {
    for (std::uint64_t n = from; n < to && result.differs == 0; ++n) {
      const Comparison c = compare(generate(arguments.seed, number_of(arguments, n)),
                                   arguments.limit, parse_forget(arguments.forget));
      result.totals.add(c);
      if (!c.difference.empty()) result.differs = number_of(arguments, n) + 1;
    }
    const bool written = write(ends[1], &result, sizeof(result)) == sizeof(result);
    _exit(written ? 0 : 1);
  }
  close(ends[1]);
  const bool whole = child > 0 && read(ends[0], &result, sizeof(result)) == sizeof(result);
  close(ends[0]);
  int status = 0;
  if (child > 0) waitpid(child, &status, 0);
  return whole && status == 0;
}

void report(const Program& program, const Arguments& arguments) {
  const Forget forget = parse_forget(arguments.forget);
  const Program least = shrink(program, arguments.limit, forget);
  std::printf("%s\n%s", compare(least, arguments.limit, forget).difference.c_str(),
              to_text(least).c_str());
}

int check_random(const Arguments& arguments) {
  const std::uint64_t start = schedule::now_ns();
  Totals totals;
  const std::uint64_t end = arguments.first + arguments.programs;
  const std::uint64_t batch = arguments.kind ? kBatchOfAKind : kBatch;
  for (std::uint64_t n = arguments.first; n < end; n += batch) {
    const double seconds = static_cast<double>(schedule::now_ns() - start) / 1e9;
    if (arguments.seconds > 0 && seconds > arguments.seconds) break;
    BatchResult result;
    const std::uint64_t to = std::min(end, n + batch);
    if (!run_batch(arguments, n, to, result)) {
      std::printf("seed %lu, programs %lu to %lu: the process that ran them died\n", arguments.seed,
                  n, to - 1);
      return 1;
    }
    totals.add(result.totals);
    if (result.differs == 0) continue;
    std::printf("seed %lu, program %lu differs: ", arguments.seed, result.differs - 1);
    report(generate(arguments.seed, result.differs - 1), arguments);
    return 1;
  }
  std::printf("seed %lu: no difference in ", arguments.seed);
  totals.print();
  return 0;
}

int check_files(const Arguments& arguments) {
  int status = 0;
  for (const std::string& file : arguments.files) {
    std::ifstream in(file);
    std::ostringstream text;
    text << in.rdbuf();
    const auto program = parse(text.str());
    if (!in || !program) {
      std::printf("%s: cannot be read\n", file.c_str());
      return 2;
    }
    const Comparison c = compare(*program, arguments.limit, parse_forget(arguments.forget));
    std::printf("%s: %s (%lu schedules, reduced %lu)\n", file.c_str(),
                c.difference.empty() ? "the same" : c.difference.c_str(), c.all, c.reduced);
    if (!c.difference.empty() || c.against != Comparison::Against::kPlain) status = 1;
  }
  return status;
}

}  // namespace
}  // namespace teeio::reduction

int main(int argc, char** argv) {
  using namespace teeio::reduction;
  CLI::App app("Random programs: what the reduction reaches, against all schedules");
  Arguments arguments;
  app.add_option("FILE", arguments.files, "Programs to compare, instead of random ones");
  app.add_option("--programs", arguments.programs)->capture_default_str();
  app.add_option("--seed", arguments.seed)->capture_default_str();
  app.add_option("--first", arguments.first, "Number of the first")->capture_default_str();
  app.add_option("--kind", arguments.kind, "Only programs of this kind, from 0: 1 is counts")
      ->check(CLI::Range(std::uint64_t{0}, kinds_of_programs() - 1));
  app.add_option("--limit", arguments.limit, "Schedules of one program")->capture_default_str();
  app.add_option("--seconds", arguments.seconds, "No further batch after so long");
  app.add_option("--forget", arguments.forget, "What the reduction is not told, to see it noticed")
      ->check(CLI::IsMember({"pruned", "expired", "stories", "touches"}));
  CLI11_PARSE(app, argc, argv);
  return arguments.files.empty() ? check_random(arguments) : check_files(arguments);
}
