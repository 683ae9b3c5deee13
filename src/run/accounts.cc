#include "run/accounts.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <limits>
#include <string_view>
#include <utility>

#include "base/types.h"
#include "object/trace.h"
#include "run/pidfd.h"
#include "run/sys.h"

namespace teeio::run {
namespace {

constexpr std::uint64_t kKiBPerPage = kPageSize / 1024;

/// The effective ones of a thread; 0: the running one.
std::uint64_t capabilities_of(pid_t tid) {
  __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = tid};
  std::array<__user_cap_data_struct, 2> data{};
  if (::syscall(SYS_capget, &header, data.data()) != 0) return 0;
  return data[0].effective | std::uint64_t{data[1].effective} << 32U;
}

std::uint64_t own_capabilities() {
  static const std::uint64_t own = capabilities_of(0);
  return own;
}

/// Where the number of "VmPin:\t       0 kB" is in `status`, and what it says.
struct Field {
  std::size_t at = 0;
  std::size_t length = 0;
  std::uint64_t kib = 0;
};
std::optional<Field> field(const std::string& status, std::string_view name) {
  const std::size_t line = status.find(name);
  if (line == std::string::npos || (line != 0 && status[line - 1] != '\n')) return std::nullopt;
  const std::size_t at = line + name.size();
  const std::size_t end = status.find(" kB", at);
  if (end == std::string::npos || end - at > 32) return std::nullopt;
  Field found{at, end - at, 0};
  for (const char c : std::string_view(status).substr(at, end - at))
    if (c >= '0' && c <= '9') found.kib = found.kib * 10 + static_cast<std::uint64_t>(c - '0');
  return found;
}

void add_to(std::string& status, std::string_view name, std::uint64_t pages) {
  const auto found = field(status, name);
  if (!found) return;
  char number[32];
  std::snprintf(number, sizeof(number), "\t%8lu", found->kib + pages * kKiBPerPage);
  status.replace(found->at, found->length, number);
}

}  // namespace

/// Whose files /proc shows a process's to be.
uid_t Accounts::user_of(pid_t process) {
  (void)space_of(process);
  struct stat info{};
  const schedule::Lock lock(mutex_);
  const auto at = spaces_.find(process);
  const bool known = at != spaces_.end() && ::fstat(at->second.directory.get(), &info) == 0;
  // A dead process's directory shows root (fs/proc/base.c, pid_getattr()).
  if (known && (info.st_uid != 0 || !is_gone(at->second.pidfd.get()))) return info.st_uid;
  return ::stat(proc_path(process, "").c_str(), &info) == 0 ? info.st_uid : 0;
}

/// capable() on the emulated host. Root has there what a container took from it: what teeio
/// itself has not, nobody can give up.
bool Accounts::capable(pid_t tid, pid_t process, unsigned capability) {
  const std::uint64_t bit = std::uint64_t{1} << capability;
  if ((capabilities_of(tid) & bit) != 0) return true;
  return (own_capabilities() & bit) == 0 && user_of(process) == 0;
}

// Looking an address space up takes long: it is done again after anybody's exec or end, for a
// number may be another process's since.
std::uint64_t Accounts::space_of(pid_t process) {
  const std::uint64_t execs = tasks_.exec_count();
  {
    const schedule::Lock lock(mutex_);
    const auto at = spaces_.find(process);
    if (at != spaces_.end() && at->second.execs == execs) return at->second.id;
  }
  const std::uint64_t id = tasks_.mm_id(process);
  Fd directory(::open(proc_path(process, "").c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC));
  const schedule::Lock lock(mutex_);
  std::erase_if(spaces_, [](const auto& entry) { return is_gone(entry.second.pidfd.get()); });
  spaces_.insert_or_assign(process,
                           Space{id, Fd(pidfd_open(process, 0)), std::move(directory), execs});
  return id;
}

mm::Charges::Payer Accounts::payer() {
  const pid_t tid = object::OriginScope::current().tid;
  if (tid == 0) return {};
  const pid_t process = tasks_.process_of(tid);
  Payer payer{.space = space_of(process),
              .process = process,
              .may_lock = capable(tid, process, CAP_IPC_LOCK)};
  if (!payer.may_lock) payer.user = user_of(process);
  return payer;
}

/// task_rlimit(), in pages; of a process that is gone the last that was seen.
std::uint64_t Accounts::limit_of(pid_t process) {
  rlimit limit{};
  const bool seen = ::prlimit(process, RLIMIT_MEMLOCK, nullptr, &limit) == 0;
  const schedule::Lock lock(mutex_);
  if (seen) limits_[process] = limit.rlim_cur / kPageSize;
  const auto at = limits_.find(process);
  return at == limits_.end() ? 0 : at->second;
}

// incr_user_locked_vm()
Result<void> Accounts::charge_user(const Payer& payer, std::uint64_t pages) {
  const std::uint64_t limit = limit_of(payer.process);
  const schedule::Lock lock(mutex_);
  std::uint64_t& locked = users_[payer.user];
  if (locked + pages > limit)
    return fail(Errno::kNoMem,
                "the user's processes would pin more than RLIMIT_MEMLOCK (ulimit -l)");
  locked += pages;
  return {};
}

// __account_locked_vm()
Result<void> Accounts::charge_space(const Payer& payer, Mode mode, std::uint64_t pages) {
  const bool unlimited = mode == Mode::kType1 && payer.may_lock;
  std::uint64_t limit = std::numeric_limits<std::uint64_t>::max();
  std::uint64_t own = 0;
  if (!unlimited) {
    limit = limit_of(payer.process);
    if (const auto locked = field(read_file(proc_path(payer.process, "status")), "VmLck:"))
      own = locked->kib / kKiBPerPage;
  }
  const schedule::Lock lock(mutex_);
  std::uint64_t& locked = counts_[payer.space].locked;
  if (own + locked + pages > limit)
    return fail(Errno::kNoMem, "the process would lock more than RLIMIT_MEMLOCK (ulimit -l)");
  locked += pages;
  return {};
}

Result<void> Accounts::charge(const Payer& payer, Mode mode, std::uint64_t pages) {
  if (payer.space == 0) return {};
  if (mode == Mode::kUser) TEEIO_TRY(charge_user(payer, pages));
  if (mode == Mode::kMm || mode == Mode::kType1) TEEIO_TRY(charge_space(payer, mode, pages));
  if (mode == Mode::kType1) return {};
  const schedule::Lock lock(mutex_);
  counts_[payer.space].pinned += pages;
  return {};
}

void Accounts::uncharge(const Payer& payer, Mode mode, std::uint64_t pages) {
  if (payer.space == 0) return;
  const schedule::Lock lock(mutex_);
  if (mode == Mode::kUser) users_[payer.user] -= pages;
  Counts& counts = counts_[payer.space];
  if (mode == Mode::kMm || mode == Mode::kType1) counts.locked -= pages;
  if (mode != Mode::kType1) counts.pinned -= pages;
  if (!counts.any()) counts_.erase(payer.space);
}

bool Accounts::may_set_mode() {
  const pid_t tid = object::OriginScope::current().tid;
  return tid == 0 || capable(tid, tasks_.process_of(tid), CAP_SYS_RESOURCE);
}

std::optional<std::string> Accounts::status(const std::string& path, pid_t pid) {
  {
    const schedule::Lock lock(mutex_);
    if (counts_.empty()) return std::nullopt;
  }
  const std::uint64_t space = space_of(tasks_.process_of(pid));
  Counts counts;
  {
    const schedule::Lock lock(mutex_);
    const auto at = counts_.find(space);
    if (at == counts_.end()) return std::nullopt;
    counts = at->second;
  }
  std::string text = read_file(path);
  if (text.empty()) return std::nullopt;
  add_to(text, "VmLck:", counts.locked);
  add_to(text, "VmPin:", counts.pinned);
  return text;
}

}  // namespace teeio::run
