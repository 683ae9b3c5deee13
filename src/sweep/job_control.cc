#include "sweep/job_control.h"

#include <signal.h>
#include <unistd.h>

#include <set>

#include "run/numbered_entries.h"
#include "run/processes.h"

namespace teeio::sweep {

/// Again until nobody new is there: who is stopped makes no more children.
void StoppedDescendants::stop() {
  std::set<pid_t> ours{::getpid()};
  for (std::size_t before = 0; before != ours.size();) {
    before = ours.size();
    for (const int pid : run::numbered_entries("/proc")) {
      const auto stat = run::process_stat(pid);
      if (!stat || !ours.contains(stat->parent) || !ours.insert(pid).second) continue;
      if (stat->is_stopped || ::kill(pid, SIGSTOP) != 0) continue;
      stopped_.push_back(pid);
    }
  }
}

void StoppedDescendants::let_go_on() {
  for (const pid_t pid : stopped_) (void)::kill(pid, SIGCONT);
  stopped_.clear();
}

}  // namespace teeio::sweep
