#include <fmt/format.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <map>
#include <optional>
#include <set>

#include "cli/commands.h"
#include "cli/explore_output.h"
#include "cli/load_machine.h"
#include "cli/options.h"
#include "cli/print.h"
#include "cli/probes.h"
#include "cli/sweep_command.h"
#include "explore/jobs/workers.h"
#include "hw/ram_in_forks.h"
#include "run/processes.h"
#include "schedule/task.h"
#include "sweep/campaign.h"
#include "sweep/report.h"
#include "sweep/results_file.h"
#include "sweep/workspace.h"

namespace teeio::cli {
namespace {

constexpr int kNothing = 0;
constexpr int kFindings = 99;  // as `teeio run` has it for broken rules
constexpr std::uint64_t kSecondNs = 1'000'000'000;

int cannot_sweep(const std::string& why) {
  complain_text("teeio sweep: " + why + '\n');
  return kUsageError;
}

void say_if_privileged(const std::string& program) {
  struct stat info{};
  if (::stat(program_file(program).c_str(), &info) != 0 ||
      (info.st_mode & (S_ISUID | S_ISGID)) == 0)
    return;
  complain("teeio sweep: {} is set-user-ID or set-group-ID; under teeio it runs without that\n",
           program);
}

/// How far the runs are: one line that is written over, or now and then one more.
class Progress {
 public:
  explicit Progress(std::size_t count)
      : count_(count), begin_ns_(schedule::now_ns()), next_ns_(begin_ns_ + kSparseNs) {}

  void one_more(std::size_t findings) {
    ++done_;
    const std::uint64_t now = schedule::now_ns();
    line_.show(text(now, findings));
    if (is_able_terminal(STDERR_FILENO) || now < next_ns_) return;
    complain("teeio sweep: {}\n", text(now, findings));
    next_ns_ = now + kSparseNs;
  }
  void clear() { line_.clear(); }
  void say_rate() const {
    const double seconds = static_cast<double>(schedule::now_ns() - begin_ns_) / kSecondNs;
    if (done_ != 0)
      complain("teeio sweep: {} run{} in {:.1f} s, {:.1f}/s\n", done_, done_ == 1 ? "" : "s",
               seconds, static_cast<double>(done_) / std::max(seconds, 0.001));
  }

 private:
  static constexpr std::uint64_t kSparseNs = 10 * kSecondNs;

  [[nodiscard]] std::string text(std::uint64_t now, std::size_t findings) const {
    const double seconds = static_cast<double>(now - begin_ns_) / kSecondNs;
    const double rate = static_cast<double>(done_) / std::max(seconds, 0.001);
    return fmt::format("{}/{} runs, {:.1f}/s, {:.0f} s left, {} with findings", done_, count_, rate,
                       static_cast<double>(count_ - done_) / std::max(rate, 0.001), findings);
  }

  const std::size_t count_;
  const std::uint64_t begin_ns_;
  std::uint64_t next_ns_;
  std::size_t done_ = 0;
  ProgressLine line_{true};
};

volatile std::sig_atomic_t g_pipe_closed = 0;
extern "C" void note_closed_pipe(int) { g_pipe_closed = 1; }

/// While it lives, a closed pipe is an error of writing, so that what was made is taken away
/// first. Programs of runs are not concerned: exec() takes a handler away.
class ClosedPipes {
 public:
  ClosedPipes() {
    struct sigaction action{};
    action.sa_handler = note_closed_pipe;
    ::sigaction(SIGPIPE, &action, &before_);
    if (before_.sa_handler == SIG_IGN) ::sigaction(SIGPIPE, &before_, nullptr);
  }
  ~ClosedPipes() {
    (void)standard_output_problem();  // flushes
    ::sigaction(SIGPIPE, &before_, nullptr);
    if (g_pipe_closed != 0) (void)::raise(SIGPIPE);
  }
  ClosedPipes(const ClosedPipes&) = delete;
  ClosedPipes& operator=(const ClosedPipes&) = delete;

 private:
  struct sigaction before_{};
};

/// One sweep, from the machine to the exit status.
class Sweep {
 public:
  Sweep(const SweepArguments& arguments, machine::Machine& machine)
      : arguments_(arguments), campaign_(machine, arguments.trial, arguments.jobs) {}
  int go();

 private:
  /// What cannot be written; "" if all can.
  std::string open_files();
  /// An exit status if there is nothing to go on with.
  std::optional<int> learn();
  void set_limit();
  [[nodiscard]] std::string conditions() const;
  void take_in(const std::vector<sweep::Variation>& all);
  std::string open_results();
  int run_all();
  void ended(const sweep::Variation& variation, sweep::Outcome outcome);
  int report(int signal);
  bool write(std::optional<OutputFile>& file, const std::string& text);
  [[nodiscard]] std::vector<std::string> run_options() const;

  const SweepArguments& arguments_;
  sweep::Campaign campaign_;
  sweep::Learned learned_;
  std::vector<sweep::Variation> variations_;     ///< this shard's, and what others have
  std::map<std::size_t, sweep::Outcome> known_;  ///< by number: made before, or elsewhere
  std::vector<sweep::Result> results_;
  std::optional<OutputFile> json_, junit_;
  std::optional<sweep::ResultsFile> kept_;
  bool keeps_ = true;  ///< the results file can be written
  std::size_t bad_ = 0;
};

std::string Sweep::open_files() {
  const auto open = [](const std::string& path, std::optional<OutputFile>& file) -> std::string {
    if (path.empty()) return {};
    auto opened = OutputFile::open(path);
    if (!opened) return opened.error();
    file.emplace(std::move(*opened));
    return {};
  };
  if (arguments_.resume == "-") return "--resume: results are kept in a regular file";
  const std::vector<FileOption> outputs = {
      {"--resume", arguments_.resume}, {"--json", arguments_.json}, {"--junit", arguments_.junit}};
  const std::string machine = machine_file(arguments_.machine);
  const std::string program = program_file(arguments_.trial.command.front());
  std::vector<FileOption> inputs = {{"--machine", machine}, {"the program", program}};
  for (const std::string& file : arguments_.from) inputs.push_back({"--from", file});
  if (std::string why = why_over_input(inputs, outputs); !why.empty()) return why;
  if (std::string why = leave_standard_output(outputs); !why.empty()) return why;
  if (std::string why = open(arguments_.json, json_); !why.empty()) return why;
  return open(arguments_.junit, junit_);
}

std::optional<int> Sweep::learn() {
  constexpr std::uint64_t kMostMs = 600'000;  // nothing is known of it yet
  campaign_.set_time_limit(arguments_.limit_s ? *arguments_.limit_s * 1000ULL : kMostMs);
  auto learned = campaign_.learn();
  if (!learned) {
    run::end_descendants();
    complain("teeio sweep: stopped by {} before the first runs, which are the measure, had ended\n",
             explore::signal_name(learned.error()));
    return 128 + learned.error();
  }
  learned_ = std::move(*learned);
  if (const std::string why = sweep::why_not_a_measure(learned_.outcome, arguments_.status);
      !why.empty())
    return cannot_sweep("the first run, in which nothing goes wrong, will not do: " + why);
  if (!learned_.repeatable)
    complain(
        "teeio sweep: two runs in which nothing goes wrong differ: numbers of calls may not "
        "mean the same from run to run, and a replay may miss\n");
  if (learned_.points.size() == run::Injector::kMaxPoints)
    complain("teeio sweep: only the first {} places count\n", run::Injector::kMaxPoints);
  return std::nullopt;
}

void Sweep::set_limit() {
  constexpr std::uint64_t kLeastMs = 10'000, kTimes = 20, kMs = 1'000'000;
  campaign_.set_time_limit(arguments_.limit_s
                               ? *arguments_.limit_s * 1000ULL
                               : std::max(kLeastMs, kTimes * learned_.took_ns / kMs));
}

/// All that a verdict hangs on beside the command's words: the program's and the machine
/// file's contents, whose KVM it is, and how a run is judged.
std::string Sweep::conditions() const {
  constexpr std::size_t kMost = std::size_t{64} << 20U;
  const std::string program = program_file(arguments_.trial.command.front());
  return fmt::format("{}\n{}\n{}\n{}\n{}\n{}\n{}\n{}\n", TEEIO_VERSION, arguments_.machine,
                     read_file(arguments_.machine, kMost).value_or(""), arguments_.rules,
                     arguments_.trial.expect, arguments_.status, arguments_.trial.host_kvm,
                     read_file(program, kMost).value_or(""));
}

/// What other shards did belongs to the report, too.
void Sweep::take_in(const std::vector<sweep::Variation>& all) {
  std::set<std::size_t> mine;
  for (const sweep::Variation& v : variations_) mine.insert(v.number);
  for (const sweep::Variation& v : all)
    if (known_.contains(v.number) && !mine.contains(v.number)) variations_.push_back(v);
}

std::string Sweep::open_results() {
  sweep::Selection unshared = arguments_.selection;
  unshared.shard = 0;
  unshared.shards = 1;
  const std::vector<sweep::Variation> all = sweep::variations(learned_.points, unshared);
  const std::string told_by = conditions();
  for (const std::string& path : arguments_.from) {
    const auto other = sweep::ResultsFile::read(path, arguments_.trial.command, told_by, all);
    if (!other) return other.error();
    known_.insert(other->begin(), other->end());
  }
  take_in(all);
  if (arguments_.resume.empty()) return {};
  auto file = sweep::ResultsFile::open(arguments_.resume, arguments_.trial.command, told_by, all);
  if (!file) return file.error();
  known_.insert(file->before().begin(), file->before().end());
  kept_.emplace(std::move(*file));
  return {};
}

void Sweep::ended(const sweep::Variation& variation, sweep::Outcome outcome) {
  sweep::Judged judged = sweep::judge(learned_.outcome, variation.injection, outcome);
  if (judged.verdict == sweep::Verdict::kFinding) ++bad_;
  results_.push_back({variation, std::move(outcome), std::move(judged)});
}

int Sweep::run_all() {
  std::vector<sweep::Variation> left;
  for (const sweep::Variation& variation : variations_) {
    if (const auto known = known_.find(variation.number); known != known_.end())
      ended(variation, known->second);
    else
      left.push_back(variation);
  }
  if (left.size() != variations_.size())
    complain("teeio sweep: {} of {} runs were made before\n", variations_.size() - left.size(),
             variations_.size());
  Progress progress(left.size());
  const int signal = campaign_.run(left, [&](std::size_t index, sweep::Outcome outcome) {
    if (kept_ && keeps_) keeps_ = kept_->add(left[index].number, outcome);
    ended(left[index], std::move(outcome));
    progress.one_more(bad_);
  });
  progress.clear();
  progress.say_rate();
  run::end_descendants();
  return signal;
}

std::vector<std::string> Sweep::run_options() const {
  std::vector<std::string> words;
  if (!arguments_.machine.empty()) words.insert(words.end(), {"--machine", arguments_.machine});
  if (!arguments_.rules.empty()) words.insert(words.end(), {"--rules", arguments_.rules});
  if (arguments_.trial.host_kvm) words.emplace_back("--host-kvm");
  return words;
}

bool Sweep::write(std::optional<OutputFile>& file, const std::string& text) {
  if (!file) return true;
  const auto written = file->write(text);
  if (!written) complain("teeio sweep: {}\n", written.error());
  return written.has_value();
}

int Sweep::report(int signal) {
  std::ranges::sort(results_, {}, [](const sweep::Result& r) { return r.variation.number; });
  const sweep::Report report{
      .command = arguments_.trial.command,
      .options = run_options(),
      .first_status = learned_.outcome.status,
      .results = &results_,
      .wanted = variations_.size(),
      .interrupted = signal == 0 ? std::string{} : explore::signal_name(signal)};
  if (arguments_.verbose)
    for (const sweep::Result& result : results_) print("{}", sweep::result_line(result));
  print("{}", sweep::summary(report));
  bool said = write(json_, sweep::json_text(report));
  said = write(junit_, sweep::junit(report)) && said;
  if (!keeps_) complain("teeio sweep: {}: it cannot be written\n", arguments_.resume);
  if (signal != 0) return 128 + signal;
  if (bad_ != 0) return kFindings;
  return said && keeps_ ? kNothing : kUsageError;
}

int Sweep::go() {
  (void)::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  if (const std::string why = open_files(); !why.empty()) return cannot_sweep(why);
  say_if_privileged(arguments_.trial.command.front());
  if (const auto status = learn()) return *status;
  set_limit();
  variations_ = sweep::variations(learned_.points, arguments_.selection);
  const std::string no_orders = sweep::why_no_orders(learned_.points, arguments_.selection);
  if (!no_orders.empty()) complain("teeio sweep: {}\n", no_orders);
  const bool asked_for_orders_alone = arguments_.selection.dimensions.size() == 1;
  if (variations_.empty() && (no_orders.empty() || !asked_for_orders_alone))
    return cannot_sweep(sweep::why_no_variations(learned_.points, arguments_.selection));
  if (arguments_.list) {
    for (const sweep::Variation& v : variations_) print("{} {}\n", v.number, v.injection.str());
    return kNothing;
  }
  if (const std::string why = open_results(); !why.empty()) return cannot_sweep(why);
  return report(run_all());
}

/// What a card makes once, its certificates, it makes here and not in every run.
void warm_up(machine::Machine& machine) {
  if (machine.connect_cards()) (void)machine.disconnect_cards();
}

/// Runs are copies of one machine, several at a time, and each must find what the first found:
/// what a card keeps in a file they would share. "" if none does.
std::string shared_storage(const machine::Config& config) {
  for (const machine::CardConfig& card : config.cards)
    for (const machine::NamespaceConfig& space : card.namespaces)
      if (!space.file.empty())
        return fmt::format(
            "{}: card {}: all runs would write '{}': give the namespace \"mib\" without \"file\"",
            config.name, card.bdf.str(), space.file);
  return {};
}

int sweep_command(const SweepArguments& arguments) {
  hw::keep_ram_in_forks();
  const auto machine = load_machine(arguments.machine);
  if (machine == nullptr) return kUsageError;
  if (const std::string why = shared_storage(machine->config()); !why.empty())
    return cannot_sweep(why);
  if (arguments.trial.host_kvm) {
    if (const std::string why = host_kvm_problem(); !why.empty())
      return cannot_sweep("--host-kvm: " + why);
    machine->leave_kvm_to_host();
  }
  warm_up(*machine);
  const ClosedPipes closed_pipes;
  const sweep::Workspace workspace;
  if (workspace.path().empty()) return cannot_sweep("no directory for temporary files can be made");
  SweepArguments all = arguments;
  all.trial.temporary = workspace.path();
  return Sweep(all, *machine).go();
}

}  // namespace

void add_sweep_command(Command& root) { declare_sweep(root, sweep_command); }

}  // namespace teeio::cli
