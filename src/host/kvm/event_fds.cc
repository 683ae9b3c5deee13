#include "host/kvm/event_fds.h"

#include <algorithm>
#include <limits>

namespace teeio::kvm {
namespace {

// Explored, what the present move does to what a lock guards that is no scheduling point.
void reads(const schedule::Turn& turn) { turn.touch(0, schedule::Touch::How::kRead); }
void writes(const schedule::Turn& turn) { turn.touch(0, schedule::Touch::How::kWrite); }

Result<object::Ref<mm::EventFd>> eventfd(mm::Caller& caller, std::int32_t fd) {
  TEEIO_ASSIGN(object::Ref<object::File> file, caller.file(fd));
  if (file->kind() != object::FileKind::kForeign)
    return fail(Errno::kInval, "the descriptor is no eventfd");
  return static_cast<mm::ForeignFile&>(*file).eventfd();
}

}  // namespace

bool TakenEventFds::take(const mm::EventFd& event) {
  const schedule::RawLockGuard guard(lock_);
  writes(turn_);
  return taken_.insert(event.identity()).second;
}

void TakenEventFds::give_back(const mm::EventFd& event) {
  const schedule::RawLockGuard guard(lock_);
  writes(turn_);
  taken_.erase(event.identity());
}

IrqFds::~IrqFds() {
  for (const Entry& entry : entries_) taken_.give_back(*entry.event);
}

Result<void> IrqFds::assign(mm::Caller& caller, const IrqFdRequest& request) {
  // kvm_arch_irqfd_allowed()
  const x86::IrqchipMode mode = interrupts_.mode();
  if (mode == x86::IrqchipMode::kNone || (request.resample && mode != x86::IrqchipMode::kKernel))
    return fail(Errno::kInval, "the VM lacks the irqchip that the irqfd needs");
  Entry entry{.event = {}, .gsi = request.gsi, .resample = {}};
  TEEIO_ASSIGN(entry.event, eventfd(caller, request.fd));
  if (request.resample) {
    TEEIO_ASSIGN(entry.resample, eventfd(caller, request.resample_fd));
  }
  const schedule::RawLockGuard guard(lock_);
  writes(turn_);
  if (!taken_.take(*entry.event))
    return fail(Errno::kBusy, "the eventfd raises an interrupt already");
  if (entry.resample) interrupts_.set_resampled(entry.gsi, true);
  entries_.push_back(std::move(entry));
  return {};
}

Result<void> IrqFds::deassign(mm::Caller& caller, const IrqFdRequest& request) {
  TEEIO_ASSIGN(const object::Ref<mm::EventFd> event, eventfd(caller, request.fd));
  const schedule::Lock alone(polling_);
  look();  // what was signalled before counts
  std::vector<Entry> gone;
  {
    const schedule::RawLockGuard guard(lock_);
    writes(turn_);
    const auto stays = [&](const Entry& entry) {
      return entry.gsi != request.gsi || entry.event->identity() != event->identity();
    };
    const auto first = std::stable_partition(entries_.begin(), entries_.end(), stays);
    std::move(first, entries_.end(), std::back_inserter(gone));
    entries_.erase(first, entries_.end());
  }
  shut_down(gone);
  return {};
}

void IrqFds::release() {
  const schedule::Lock alone(polling_);
  look();  // irqfd_shutdown() waits for what was signalled
  std::vector<Entry> gone;
  {
    const schedule::RawLockGuard guard(lock_);
    writes(turn_);
    gone.swap(entries_);
  }
  shut_down(gone);
}

void IrqFds::shut_down(const std::vector<Entry>& gone) {
  for (const Entry& entry : gone) {
    taken_.give_back(*entry.event);
    if (!entry.resample) continue;
    // irqfd_resampler_shutdown(): the last of a line takes it down.
    const schedule::RawLockGuard guard(lock_);
    reads(turn_);
    const auto same = [&](const Entry& other) { return other.resample && other.gsi == entry.gsi; };
    if (std::ranges::none_of(entries_, same)) interrupts_.set_resampled(entry.gsi, false);
  }
}

void IrqFds::acknowledged(std::uint32_t gsi) {
  std::vector<object::Ref<mm::EventFd>> events;
  {
    const schedule::RawLockGuard guard(lock_);
    reads(turn_);
    for (const Entry& entry : entries_)
      if (entry.resample && entry.gsi == gsi) events.push_back(entry.resample);
  }
  for (const auto& event : events) event->signal();
}

void IrqFds::poll() {
  {
    const schedule::RawLockGuard guard(lock_);
    reads(turn_);
    if (entries_.empty()) return;
  }
  const schedule::Lock alone(polling_);
  look();
}

void IrqFds::look() {
  std::vector<Entry> entries;
  {
    const schedule::RawLockGuard guard(lock_);
    reads(turn_);
    entries = entries_;
  }
  for (const Entry& entry : entries) {
    if (entry.event->take() == 0) continue;
    if (entry.resample) {  // irqfd_inject(): up until the guest's EOI
      (void)interrupts_.set_line(entry.gsi, true, x86::IrqSource::kResample);
      continue;
    }
    (void)interrupts_.set_line(entry.gsi, true, x86::IrqSource::kUser);
    (void)interrupts_.set_line(entry.gsi, false, x86::IrqSource::kUser);
  }
}

Result<void> IoEventFds::assign(mm::Caller& caller, const IoEventFdRequest& request) {
  const bool natural = request.length == 0 || request.length == 1 || request.length == 2 ||
                       request.length == 4 || request.length == 8;
  if (!natural) return fail(Errno::kInval, "an ioeventfd has a natural length");
  if (request.address > std::numeric_limits<std::uint64_t>::max() - request.length)
    return fail(Errno::kInval, "the ioeventfd wraps around");
  if (request.length == 0 && request.match)
    return fail(Errno::kInval, "a value to match needs a length");
  TEEIO_ASSIGN(object::Ref<mm::EventFd> event, eventfd(caller, request.fd));
  const schedule::RawLockGuard guard(lock_);
  writes(turn_);
  const auto collides = [&](const Entry& other) {
    const IoEventFdRequest& what = other.what;
    if (what.bus != request.bus || what.address != request.address) return false;
    if (what.length == 0 || request.length == 0) return true;
    return what.length == request.length &&
           (!what.match || !request.match || what.value == request.value);
  };
  if (std::ranges::any_of(entries_, collides))
    return fail(Errno::kExist, "another ioeventfd has these stores");
  entries_.push_back({.what = request, .event = std::move(event)});
  return {};
}

Result<void> IoEventFds::deassign(mm::Caller& caller, const IoEventFdRequest& request) {
  TEEIO_ASSIGN(const object::Ref<mm::EventFd> event, eventfd(caller, request.fd));
  const schedule::RawLockGuard guard(lock_);
  writes(turn_);
  const auto at = std::ranges::find_if(entries_, [&](const Entry& entry) {
    const IoEventFdRequest& what = entry.what;
    return what.bus == request.bus && what.address == request.address &&
           what.length == request.length && what.match == request.match &&
           (!what.match || what.value == request.value) &&
           entry.event->identity() == event->identity();
  });
  if (at == entries_.end()) return fail(Errno::kNoEnt, "there is no such ioeventfd");
  entries_.erase(at);
  return {};
}

bool IoEventFds::written(IoEventFdRequest::Bus bus, std::uint64_t address, std::uint32_t length,
                         std::uint64_t value) {
  object::Ref<mm::EventFd> event;
  {
    const schedule::RawLockGuard guard(lock_);
    reads(turn_);
    const auto at =
        std::ranges::find_if(entries_, [&](const Entry& entry) {  // ioeventfd_in_range()
          const IoEventFdRequest& what = entry.what;
          if (what.bus != bus || what.address != address) return false;
          if (what.length == 0) return true;
          const std::uint64_t mask = length >= 8 ? ~0ULL : (1ULL << (8 * length)) - 1;
          return what.length == length && (!what.match || (what.value & mask) == (value & mask));
        });
    if (at == entries_.end()) return false;
    event = at->event;
  }
  event->signal();
  return true;
}

}  // namespace teeio::kvm
