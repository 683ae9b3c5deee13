#include "sweep/trial.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#include <cstdlib>
#include <filesystem>

#include "base/fd.h"
#include "rules/sanitizer.h"
#include "rules/verdict.h"
#include "run/supervisor.h"
#include "sweep/expectation.h"
#include "sweep/output.h"
#include "sweep/stacks.h"

namespace teeio::sweep {
namespace {

rules::Census census_of(machine::Machine& machine) {
  rules::Census census;
  for (const auto& [key, value] : machine.census()) census.set(key, value);
  return census;
}

class Deaths final : public run::Witness {
 public:
  [[nodiscard]] bool wants_calls() const override { return false; }
  void refused(pid_t, const std::string&, const Error&) override {}
  void answered(std::uint32_t, std::uint64_t, std::int64_t) override {}
  void ended(pid_t, const std::string& name, int wait_status,
             const std::optional<run::FaultWatch::LastFault>&) override {
    if (!WIFSIGNALED(wait_status)) return;
    const char* const signal = ::sigabbrev_np(WTERMSIG(wait_status));
    killed_.push_back(name + " SIG" + (signal == nullptr ? "?" : signal));
  }
  [[nodiscard]] std::vector<std::string> take() { return std::move(killed_); }

 private:
  std::vector<std::string> killed_;  // one task reaps
};

/// A directory for the program's temporary files.
class PrivateTemporary {
 public:
  explicit PrivateTemporary(const std::string& parent) {
    std::string path = parent + "/run.XXXXXX";
    if (::mkdtemp(path.data()) == nullptr) return;
    path_ = path;
    (void)::setenv("TMPDIR", path_.c_str(), 1);  // NOLINT(concurrency-mt-unsafe)
  }
  ~PrivateTemporary() {
    std::error_code ignored;
    if (!path_.empty()) std::filesystem::remove_all(path_, ignored);
  }
  PrivateTemporary(const PrivateTemporary&) = delete;
  PrivateTemporary& operator=(const PrivateTemporary&) = delete;
  [[nodiscard]] const std::string& path() const { return path_; }

 private:
  std::string path_;
};

/// Whether the program eats the disk below its directories.
class DiskWatch {
 public:
  DiskWatch(std::uint64_t most_mib, const std::string& temporary) : most_mib_(most_mib) {
    for (const std::string& path : {std::string("."), temporary})
      if (!path.empty()) disks_.push_back({path, free_mib(path)});
  }
  [[nodiscard]] std::string look() const {
    for (const Disk& disk : disks_) {
      const std::uint64_t now = free_mib(disk.path);
      if (now < disk.free_mib && disk.free_mib - now > most_mib_)
        return fmt::format("it filled the disk: more than {} MiB", most_mib_);
    }
    return {};
  }

 private:
  struct Disk {
    std::string path;
    std::uint64_t free_mib;
  };
  static std::uint64_t free_mib(const std::string& path) {
    struct statvfs info{};
    if (::statvfs(path.c_str(), &info) != 0) return 0;
    return info.f_bavail * info.f_frsize >> 20U;
  }
  const std::uint64_t most_mib_;
  std::vector<Disk> disks_;
};

void add_violations(Outcome& outcome, const rules::Verdict& verdict,
                    const std::vector<rules::Violation>& violations, const Stacks& stacks) {
  if (!verdict.is_broken(violations)) return;
  for (std::size_t i = 0; i < violations.size(); ++i)
    outcome.broken.push_back({.rule = fmt::format("R{}", std::to_underlying(violations[i].rule)),
                              .call = std::string(violations[i].origin.call),
                              .what = violations[i].what,
                              .stack = stacks.at(i)});
}

}  // namespace

Outcome run_trial(machine::Machine& machine, const TrialOptions& options, run::Injector& injector,
                  const std::string& spec) {
  const rlimit no_core{0, 0};
  (void)::setrlimit(RLIMIT_CORE, &no_core);
  const PrivateTemporary temporary(options.temporary);
  const DiskWatch disk(options.disk_mib, temporary.path());
  const Fd nowhere(::open("/dev/null", O_RDWR | O_CLOEXEC));

  rules::Verdict verdict(options.rules, {});
  Stacks stacks;
  rules::Sanitizer sanitizer(rules::teardown_order(machine.config().tsm.name), {},
                             [&verdict, &stacks](const rules::Violation& violation) {
                               if (!verdict.admits(violation)) return false;
                               stacks.keep(violation.origin.tid);
                               return true;
                             });
  machine.trace().add_sink(sanitizer);
  const rules::Census boot = census_of(machine);

  Deaths deaths;
  Output output;  // takes the place of this process's own
  run::Options how{.command = options.command,
                   .calls = {},
                   .host_kvm = options.host_kvm,
                   .log_fd = nowhere.get(),
                   .witness = &deaths,
                   .injector = &injector,
                   .limits = {.time_ms = options.time_ms,
                              .processes = options.processes,
                              .look = [&disk] { return disk.look(); }},
                   .dies_with_us = true,
                   .own_session = true};
  injector.keep_stack();
  schedule::set_fault_plan(&injector);
  run::Supervisor supervisor(std::move(how), machine.system_calls());
  Outcome outcome;
  outcome.status = supervisor.run();
  schedule::set_fault_plan(nullptr);
  output.end();

  machine.shut_down();
  sanitizer.finish();
  outcome.killed = deaths.take();
  outcome.cut_off = supervisor.cut_off();
  outcome.out_of_processes = supervisor.ran_out_of_processes();
  outcome.happened = injector.unfired().empty();
  outcome.stack = injector.stack();
  outcome.last_words = output.last_line();
  add_violations(outcome, verdict, sanitizer.violations(), stacks);
  for (const auto& difference : rules::Census::compare(boot, census_of(machine)))
    if (!rules::is_setting(difference))
      outcome.lost.push_back(fmt::format("{}: {} at boot, {} at the end", difference.key,
                                         difference.boot, difference.end));
  if (!options.expect.empty())
    outcome.expectation =
        ask(options.expect, spec, outcome.status, output.text(), temporary.path(), options.time_ms);
  return outcome;
}

}  // namespace teeio::sweep
