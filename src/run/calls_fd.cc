#include <fcntl.h>
#include <linux/close_range.h>
#include <sys/eventfd.h>
#include <sys/resource.h>
#include <sys/syscall.h>

#include <algorithm>

#include "run/dispatch.h"

namespace teeio::run {
namespace {

/// A duplicate with a number that the filter knows; where the program's
/// descriptor cannot be had, the kernel gives a low one.
Reply duplicate(Call& call, std::uint32_t flags, int from) {
  auto copy = call.context().tasks.steal(call.tid(), call.int_arg(0));
  if (!copy) return Reply::go_on();
  return Reply::of(call.give(std::move(*copy), flags, Call::Numbers::kOurs, from));
}

void describe(Call& call, const Row& row, const DeviceFile& file) {
  if (!call.context().log.traces_calls()) return;
  call.describe(std::string(row.name) + "(" + std::to_string(call.int_arg(0)) + "<" + file.name +
                ">)");
}

}  // namespace

Reply on_close(Call& call, const Row& row) {
  if (call.context().log.traces_calls())
    if (const DeviceFileRef device = call.ours(call.int_arg(0))) describe(call, row, *device);
  if (call.context().injector != nullptr)
    if (const DeviceFileRef device = call.ours(call.int_arg(0)); device)
      if (const auto instead = call.injected("close")) return Reply::of(*instead);
  call.context().tasks.on_change(call.tid(), call.word_arg(0), call.word_arg(0));
  // Linux: close(2) of a file without flush() gives 0, once the number is open.
  return call.description().empty() ? Reply::go_on() : Reply::go_on(0);
}

Reply on_close_range(Call& call, const Row&) {
  if ((call.word_arg(2) & CLOSE_RANGE_CLOEXEC) == 0)
    call.context().tasks.on_change(call.tid(), call.word_arg(0), call.word_arg(1));
  return Reply::go_on();
}

Reply on_dup(Call& call, const Row& row) {
  const DeviceFileRef device = call.ours(call.int_arg(0));
  if (!device) return Reply::go_on();
  describe(call, row, *device);
  return duplicate(call, 0, kFirstFd);
}

Reply on_dup_to(Call& call, const Row&) {
  call.context().tasks.on_change(call.tid(), call.word_arg(1), call.word_arg(1));
  return Reply::go_on();
}

Reply on_fcntl(Call& call, const Row& row) {
  if (call.int_arg(1) != F_DUPFD && call.int_arg(1) != F_DUPFD_CLOEXEC) return Reply::go_on();
  const DeviceFileRef device = call.ours(call.int_arg(0));
  if (!device) return Reply::go_on();
  rlimit limit{};
  if (::prlimit(call.tid(), RLIMIT_NOFILE, nullptr, &limit) == 0 && call.arg(2) >= limit.rlim_cur)
    return Reply::of(Error{Errno::kInval, "the number asked for is above RLIMIT_NOFILE"});
  describe(call, row, *device);
  const std::uint32_t flags = call.int_arg(1) == F_DUPFD_CLOEXEC ? O_CLOEXEC : 0;
  return duplicate(call, flags, std::max(kFirstFd, call.int_arg(2)));
}

Reply on_eventfd(Call& call, const Row& row) {
  const int flags = row.number == SYS_eventfd2 ? call.int_arg(1) : 0;
  auto made = call.context().event_fds.make(call.word_arg(0), flags);
  if (!made) return Reply::of(made.error());
  const std::uint32_t cloexec = (flags & EFD_CLOEXEC) != 0 ? O_CLOEXEC : 0;
  return Reply::of(call.give(std::move(*made), cloexec, Call::Numbers::kLowest, 0));
}

}  // namespace teeio::run
