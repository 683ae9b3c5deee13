#include "run/supervisor.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include <algorithm>
#include <memory>
#include <vector>

#include "run/accounts.h"
#include "run/call.h"
#include "run/dma_mappings.h"
#include "run/launch.h"
#include "run/process_limit.h"
#include "run/process_state.h"
#include "run/processes.h"
#include "run/releaser.h"
#include "run/running_time.h"
#include "run/server.h"
#include "run/sys.h"
#include "schedule/try_spawn.h"

namespace teeio::run {
namespace {

int status_of(int wait_status) {
  return WIFSIGNALED(wait_status) ? 128 + WTERMSIG(wait_status) : WEXITSTATUS(wait_status);
}

/// Who ended and waits to be reaped: the name goes with the reaping.
std::string name_of_the_dead(pid_t pid) {
  std::string name = read_file(proc_path(pid, "comm"));
  if (name.ends_with('\n')) name.pop_back();
  // The program chose it (PR_SET_NAME), and it becomes part of a line.
  std::ranges::replace_if(
      name, [](char c) { return static_cast<unsigned char>(c) < ' ' || c == '\x7f'; }, '?');
  return name;
}

/// Reaps who ended; false when no descendant is left. A child that is stopped because one
/// of our threads traces it is that thread's to wait for: wait4() would take its stop away
/// whatever it was asked for. The next SIGCHLD, its own end's at the latest, goes on.
bool reap(pid_t program, int& status, const Log& log, Witness* witness, FaultWatch& faults) {
  for (;;) {
    siginfo_t info{};
    if (::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) != 0) return false;
    const bool ended =
        info.si_code == CLD_EXITED || info.si_code == CLD_KILLED || info.si_code == CLD_DUMPED;
    if (info.si_pid == 0 || !ended) return true;
    int wait_status = 0;
    const std::string name = witness != nullptr ? name_of_the_dead(info.si_pid) : std::string{};
    const auto fault = faults.last_of(info.si_pid);
    const pid_t pid = ::waitpid(info.si_pid, &wait_status, __WALL);
    if (pid <= 0) continue;  // abandon() was faster
    if (pid == program) status = status_of(wait_status);
    if (log.traces_calls()) log.ended(pid, wait_status);
    if (witness != nullptr) witness->ended(pid, name, wait_status, fault);
  }
}

/// When a run is to be cut off.
class Patience {
 public:
  explicit Patience(const Limits& limits) : limits_(limits) {}

  /// Waits for a signal of `set`; 0 after a while without one.
  int wait(const sigset_t& set, siginfo_t& info) const {
    constexpr timespec kLook{.tv_sec = 0, .tv_nsec = 100'000'000};
    const int signal =
        limits_.any() ? ::sigtimedwait(&set, &info, &kLook) : ::sigwaitinfo(&set, &info);
    return signal < 0 ? 0 : signal;
  }
  /// Why the run is cut off now; "" if it is not.
  [[nodiscard]] std::string over() {
    constexpr std::uint64_t kMs = 1'000'000;
    if (limits_.time_ms != 0 && time_.look() > limits_.time_ms * kMs) return "it did not end";
    return limits_.look ? limits_.look() : std::string{};
  }

 private:
  const Limits& limits_;
  RunningTime time_;
};

/// Waits for all descendants; passes signals on that came to us alone. What the
/// terminal sent came to the whole group, the program included.
/// One that is over before them ends them all, and says why.
int wait_for_all(pid_t program, const Context& context, Witness* witness, Patience& patience,
                 std::string& cut_off) {
  int status = 0;
  const sigset_t waited = ProcessState::waited_signals();
  while (reap(program, status, context.log, witness, *context.fault_watch)) {
    siginfo_t info{};
    const int signal = patience.wait(waited, info);
    if (cut_off = patience.over(); !cut_off.empty()) {
      context.processes.close();
      end_descendants();
      return 128 + SIGKILL;
    }
    if (signal > 0 && signal != SIGCHLD && info.si_code != SI_KERNEL && info.si_pid != program)
      (void)::kill(program, signal);
  }
  return status;
}

/// Who pays for what is pinned, as long as programs run.
class ChargesScope {
 public:
  explicit ChargesScope(Accounts& accounts) { mm::set_charges(&accounts); }
  ChargesScope(const ChargesScope&) = delete;
  ChargesScope& operator=(const ChargesScope&) = delete;
  ~ChargesScope() { mm::set_charges(nullptr); }
};

/// What programs make fail with fail-nth, as long as they run.
class ProgramFaults {
 public:
  ProgramFaults(object::FailNth* faults, const Log& log, Tasks& tasks) {
    if (faults == nullptr) return;
    faults->on_failure([&log](std::int32_t tid, std::string_view step) {
      log.warn(tid, "FAULT_INJECTION: forcing a failure: " + std::string(step));
    });
    tasks.on_end([faults](pid_t tid) { faults->forget(tid); });
    schedule::set_host_fault_plan(faults);
  }
  ProgramFaults(const ProgramFaults&) = delete;
  ProgramFaults& operator=(const ProgramFaults&) = delete;
  ~ProgramFaults() { schedule::set_host_fault_plan(nullptr); }
};

}  // namespace

namespace {

/// Whether so many descriptors are free as a run without any process or device has: what is
/// made behind the program's start must not fail, for nobody could end the run then.
bool has_descriptors(int any) {
  constexpr std::size_t kNeeded = 12;
  std::vector<Fd> taken;
  for (std::size_t i = 0; i < kNeeded; ++i) {
    taken.emplace_back(::fcntl(any, F_DUPFD_CLOEXEC, 0));
    if (!taken.back().ok()) return false;
  }
  return true;
}

/// The same for addresses: the threads that answer, and what they allocate.
bool has_addresses() {
  constexpr std::size_t kThreads = 4, kHeap = std::size_t{32} << 20U;
  pthread_attr_t attributes;
  std::size_t stack = 0;
  if (::pthread_attr_init(&attributes) != 0) return false;
  (void)::pthread_attr_getstacksize(&attributes, &stack);
  (void)::pthread_attr_destroy(&attributes);
  const std::size_t bytes = kThreads * stack + kHeap;
  void* const room =
      ::mmap(nullptr, bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  return room != MAP_FAILED && ::munmap(room, bytes) == 0;
}

/// As many descriptors as we may have, from the program's start on, which keeps its own limit.
class AllDescriptors {
 public:
  AllDescriptors() {
    if (::getrlimit(RLIMIT_NOFILE, &before_) != 0) return;
    const rlimit all{.rlim_cur = before_.rlim_max, .rlim_max = before_.rlim_max};
    raised_ = ::setrlimit(RLIMIT_NOFILE, &all) == 0;
  }
  AllDescriptors(const AllDescriptors&) = delete;
  AllDescriptors& operator=(const AllDescriptors&) = delete;
  ~AllDescriptors() {
    if (raised_) (void)::setrlimit(RLIMIT_NOFILE, &before_);
  }

 private:
  rlimit before_{};
  bool raised_ = false;
};

}  // namespace

int Supervisor::run() {
  const ProcessState process;
  Log log(options_.calls, options_.log_fd);
  const auto cannot = [&log](std::string_view why) {
    log.warn(why);
    return kCannotRun;
  };
  constexpr std::string_view kFewAddresses =
      "too little address space is left beside the machine's memory (ulimit -v)";
  if (!has_addresses()) return cannot(kFewAddresses);
  const std::string tmpfs = find_tmpfs();
  if (tmpfs.empty())
    return cannot(
        "no mounted tmpfs has 1 MiB free and takes O_TMPFILE: make /dev/shm or $XDG_RUNTIME_DIR "
        "one");
  auto files = DeviceFiles::create(Fd(::open(tmpfs.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC)));
  if (!files) return cannot(files.error().why);
  auto tree = PrivateTree::create(tmpfs, machine_);
  if (!tree) return cannot(tree.error().why);
  (*tree)->sync();
  if (!has_descriptors((*files)->inotify_fd()))
    return cannot("too few file descriptors are free (ulimit -n)");
  if (!has_addresses()) return cannot(kFewAddresses);

  Launched program = launch(options_.command, process,
                            {.limits_processes = options_.limits.processes != 0,
                             .dies_with_us = options_.dies_with_us,
                             .own_session = options_.own_session,
                             .host_kvm = options_.host_kvm});
  if (!program.problem.empty()) return cannot(program.problem);
  const AllDescriptors descriptors;

  const VirtualPrefixes prefixes(
      options_.host_kvm ? VirtualPrefixes::Kvm::kHost : VirtualPrefixes::Kvm::kEmulated,
      machine_.platform_devices());
  Listener listener(std::move(program.listener));
  Tasks tasks(**files);
  Accounts accounts(tasks);
  const ChargesScope charges(accounts);
  const ProgramFaults faults(machine_.fail_nth(), log, tasks);
  Paths paths(tasks, **tree, prefixes);
  EventFds event_fds;
  ProcessLimit processes(options_.limits.processes);
  const bool told = options_.witness != nullptr && options_.witness->wants_calls();
  Context context{machine_,
                  listener,
                  **files,
                  tasks,
                  **tree,
                  paths,
                  event_fds,
                  log,
                  told ? options_.witness : nullptr,
                  options_.injector,
                  processes,
                  accounts,
                  std::make_shared<FaultWatch>()};
  (*files)->on_slip([&log](const DeviceFile& file, std::string_view what) {
    log.warn(std::string("a ").append(what) + " of " + file.name +
             " went past teeio, through a duplicate with a low number: the machine did not see it");
  });
  CallsInProgress calls(listener);
  Releaser releaser(**files, tasks, calls, [&](const std::string& name) {
    context.tree.sync();
    if (log.traces_calls()) log.release(name);
  });
  Server server(context, releaser, calls);
  auto releases = schedule::try_spawn("releaser", [&releaser] { releaser.run(); });
  const bool started = releases && server.start();
  Patience patience(options_.limits);
  if (!started) end_descendants();
  const int status =
      started ? wait_for_all(program.pid, context, options_.witness, patience, cut_off_)
              : cannot("no threads can be made that answer calls (ulimit -v and -u, pids.max)");
  ran_out_of_processes_ = processes.was_reached();
  if (releases) releaser.take_rest();
  server.stop();
  if (releases) {
    releaser.stop();
    releases->join();
  }
  releaser.release_all();
  if (took_more_than_a_hole())
    log.warn(
        "a file that is mapped for DMA has more pages without memory than teeio replaces one by "
        "one: a device had zeros for what lies behind them, up to the end of 2 MiB");
  lost_words_ = log.lost_words();
  lost_calls_ = log.lost_calls();
  return status;
}

}  // namespace teeio::run
