#include "run/call.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>

#include "run/filter.h"
#include "run/foreign_file.h"
#include "run/sys.h"
#include "schedule/task.h"

namespace teeio::run {
namespace {

constexpr std::uint64_t kSignalCheckNs = 500'000;

/// Whether /proc says that a signal waits which the thread does not block, or `blocked` not.
bool has_pending_signal(pid_t tid, mm::SignalMask blocked) {
  const std::string status = read_file(proc_path(tid, "status"));
  const auto mask = [&status](const char* name) {
    std::uint64_t bits = 0;
    const std::size_t at = status.find(name);
    if (at != std::string::npos) std::sscanf(status.c_str() + at + 8, "%lx", &bits);
    return bits;
  };
  return ((mask("\nSigPnd:") | mask("\nShdPnd:")) & ~(blocked ? *blocked : mask("\nSigBlk:"))) != 0;
}

/// Of a descriptor that cannot be had: it is closed (by another thread, meanwhile), or the
/// caller is gone.
bool is_final(const Error& why) {
  return why.code == Errno::kBadF || why.code == kCallerIsGone.code;
}

}  // namespace

Call::Call(Context& context, const seccomp_notif& notification)
    : context_(context),
      notification_(notification),
      memory_(context.listener, context.files, context.tasks, notification.id, tid()) {}

Result<object::Ref<object::File>> Call::file(std::int32_t fd) {
  Lookup found = context_.tasks.lookup(tid(), fd);
  switch (found.kind) {
    case Lookup::Kind::kClosed:
      return fail(Errno::kBadF, "no such descriptor");
    case Lookup::Kind::kOurs:
      return found.file->file;
    case Lookup::Kind::kForeign:
      break;
  }
  auto copy = steal_foreign(fd);
  if (!copy && is_final(copy.error())) return std::unexpected(copy.error());
  if (!copy) return object::Ref<object::File>(object::make_ref<SealedFile>());
  return object::Ref<object::File>(object::make_ref<StolenFile>(std::move(*copy)));
}

Result<Fd> Call::steal_foreign(int fd) {
  if (auto copy = context_.tasks.steal(tid(), fd); copy || is_final(copy.error())) return copy;
  if (!context_.listener.waiting(id())) return std::unexpected(kCallerIsGone);
  const std::string path = proc_path(tid(), "fd/" + std::to_string(fd));
  if (!read_link(path).starts_with("/memfd:")) return context_.event_fds.find(tid(), fd);
  for (const int access : {O_RDWR, O_RDONLY})
    if (Fd opened(::open(path.c_str(), access | O_CLOEXEC)); opened.ok()) return opened;
  return fail(Errno::kPerm, "the program forbids inspection of its descriptors");
}

DeviceFileRef Call::ours(int fd) { return context_.tasks.lookup(tid(), fd).file; }

Result<std::int32_t> Call::install(object::Ref<object::File> file, std::uint32_t flags) {
  std::string name = context_.machine.link_of_anonymous(*file);
  return install_named(std::move(file), std::move(name), flags);
}

Result<std::int32_t> Call::install_named(object::Ref<object::File> file, std::string name,
                                         std::uint32_t flags) {
  object::File& object = *file;
  TEEIO_ASSIGN(const DeviceFileRef device,
               context_.files.add(std::move(file), std::move(name), flags, pid(),
                                  context_.machine.polling(object)));
  if (device->polling == entry::SystemCalls::Polling::kAlways)
    context_.machine.set_mapped_file(object, map_backing(device->backing, context_.fault_watch));
  else
    context_.machine.set_readiness(object, make_readiness(device->backing));
  auto opened = context_.files.open_for_program(*device);
  Result<std::int32_t> number = opened ? give(std::move(*opened), flags, Numbers::kOurs, kFirstFd)
                                       : std::unexpected(opened.error());
  if (!number) context_.files.forget(device);
  device->handed_out.store(true);
  return number;
}

Result<std::int32_t> Call::give(Fd opened, std::uint32_t flags, Numbers numbers, int from) {
  const std::uint32_t cloexec = flags & O_CLOEXEC;
  rlimit limit{};
  const bool low =
      numbers == Numbers::kLowest || (::prlimit(tid(), RLIMIT_NOFILE, nullptr, &limit) == 0 &&
                                      limit.rlim_cur <= static_cast<rlim_t>(kFirstFd));
  if (low)
    return context_.listener.add_fd(id(), opened.get(), cloexec, Listener::Number::kLowest, 0);
  const schedule::Lock lock(context_.numbers);
  TEEIO_ASSIGN(const int number, context_.tasks.free_number(tid(), from));
  return context_.listener.add_fd(id(), opened.get(), cloexec, Listener::Number::kExact, number);
}

bool Call::looks_for_signal(mm::SignalMask blocked) {
  const std::uint64_t now = schedule::now_ns();
  // What arrived before the call was delivered before it: begin after a while.
  if (next_signal_check_ns_ == 0) next_signal_check_ns_ = now + kSignalCheckNs;
  if (now < next_signal_check_ns_) return false;
  next_signal_check_ns_ = now + kSignalCheckNs;
  return !context_.listener.waiting(id()) || has_pending_signal(tid(), blocked);
}

std::optional<Error> Call::injected(std::string_view name) {
  if (context_.injector == nullptr) return std::nullopt;
  if (Order* const order = context_.injector->order(); order != nullptr)
    order->enter(pid(), tid(), [this] { return context_.listener.waiting(id()); });
  const Injector::Due due = context_.injector->call(name, tid());
  switch (due.what) {
    case Injector::Due::What::kNothing:
      return std::nullopt;
    case Injector::Due::What::kRefuse:
      return Error{due.error, "refused by --inject"};
    case Injector::Due::What::kKillBefore:
      (void)::kill(pid(), SIGKILL);
      return Error{Errno::kIntr, "killed by --inject"};
    case Injector::Due::What::kKillAfter:
      dies_after_ = true;
      return std::nullopt;
  }
  return std::nullopt;
}

std::optional<Error> Call::injected(std::string_view call, const DeviceFile& file) {
  if (context_.injector == nullptr) return std::nullopt;
  return injected(injected_name(call, file.is_attribute()));
}

void Call::end() {
  if (dies_after_) (void)::kill(pid(), SIGKILL);
  if (context_.injector == nullptr) return;
  if (Order* const order = context_.injector->order(); order != nullptr) order->leave(tid());
}

void Call::enter_machine(int fd) {
  entered_machine_ = true;
  origin_.emplace(object::Origin{.pid = pid(), .tid = tid(), .fd = fd, .call = {}});
}

}  // namespace teeio::run
