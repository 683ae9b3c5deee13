#include "hw/amd_iommu/registers_file.h"

namespace teeio::hw::amd {
namespace {

// Lengths below 256 entries are reserved (3.4.1): taken as the smallest one.
constexpr unsigned kLengthField = 56;
constexpr unsigned kSmallestLength = 8;
constexpr std::uint64_t kRingBase = kAddressField | std::uint64_t{0xf} << kLengthField;
constexpr std::uint64_t kPointer = 0x7'fff0;  // 18:4

}  // namespace

std::uint64_t RegisterFile::Ring::bytes(std::uint64_t entry_bytes) const {
  const auto length = static_cast<unsigned>(base >> kLengthField & 0xfU);
  return entry_bytes << (length < kSmallestLength ? kSmallestLength : length);
}

std::uint64_t RegisterFile::Ring::after(std::uint64_t offset, std::uint64_t entry_bytes) const {
  return (offset + entry_bytes) % bytes(entry_bytes);
}

std::uint64_t RegisterFile::read(std::uint32_t offset) const {
  const schedule::RawLockGuard guard(lock_);
  switch (offset) {
    case kDeviceTable:
      return device_table_.load();
    case kCommandBase:
      return commands_.base;
    case kEventBase:
      return events_.base;
    case kControl:
      return control_.load();
    case kExtendedFeatures:
      return features_;
    case kExtendedFeatures2:
      return features2_;
    case kCommandHead:
      return commands_.head;
    case kCommandTail:
      return commands_.tail;
    case kEventHead:
      return events_.head;
    case kEventTail:
      return events_.tail;
    case kStatus:
      return status_;
    default:
      return 0;
  }
}

void RegisterFile::write(std::uint32_t offset, std::uint64_t value) {
  const schedule::RawLockGuard guard(lock_);
  switch (offset) {
    case kDeviceTable:
      device_table_.store(value & (kAddressField | 0x1ffU));
      return;
    // A new base starts its ring anew (3.4.1, 3.4.2).
    case kCommandBase:
      commands_ = {.base = value & kRingBase};
      return;
    case kEventBase:
      events_ = {.base = value & kRingBase};
      next_event_ = 0;
      return;
    case kControl:
      return write_control(value);
    case kCommandHead:
      commands_.head = (value & kPointer) % commands_.bytes(kCommandBytes);
      return;
    case kCommandTail:
      commands_.tail = (value & kPointer) % commands_.bytes(kCommandBytes);
      return;
    case kEventHead:
      events_.head = (value & kPointer) % events_.bytes(kEventBytes);
      return;
    case kEventTail:
      events_.tail = next_event_ = (value & kPointer) % events_.bytes(kEventBytes);
      return;
    case kStatus:
      return write_status(value);
    default:
      return;
  }
}

void RegisterFile::write_control(std::uint64_t value) {
  const bool on = (value & kIommuEnable) != 0;
  const auto runs = [&](std::uint64_t bit) { return on && (value & bit) != 0; };
  const auto started = [&](std::uint64_t bit) {
    const std::uint64_t old = control_.load();
    return runs(bit) && ((old & bit) == 0 || (old & kIommuEnable) == 0);
  };
  if (started(kCommandEnable)) status_ |= kCommandRunning;
  if (started(kEventLogEnable)) status_ |= kEventLogRunning;
  if (!runs(kCommandEnable)) status_ &= ~kCommandRunning;
  if (!runs(kEventLogEnable)) status_ &= ~kEventLogRunning;
  control_.store(value);
}

void RegisterFile::write_status(std::uint64_t value) {
  constexpr std::uint64_t kWriteOneToClear =
      kEventOverflow | kEventInterrupt | kCompletionInterrupt;
  status_ &= ~(value & kWriteOneToClear);
}

void RegisterFile::set_features(std::uint64_t features, std::uint64_t features2) {
  const schedule::RawLockGuard guard(lock_);
  features_ |= features;
  features2_ |= features2;
}

std::optional<Hpa> RegisterFile::next_command() const {
  const schedule::RawLockGuard guard(lock_);
  if ((status_ & kCommandRunning) == 0 || commands_.head == commands_.tail) return std::nullopt;
  return commands_.at(commands_.head);
}

void RegisterFile::command_done() {
  const schedule::RawLockGuard guard(lock_);
  commands_.head = commands_.after(commands_.head, kCommandBytes);
}

void RegisterFile::stop_commands() {
  const schedule::RawLockGuard guard(lock_);
  status_ &= ~kCommandRunning;
}

void RegisterFile::completion_interrupt() {
  const schedule::RawLockGuard guard(lock_);
  status_ |= kCompletionInterrupt;
}

void RegisterFile::set_event_interrupt(std::function<void()> interrupt) {
  const schedule::RawLockGuard guard(lock_);
  interrupt_ = std::move(interrupt);
}

void RegisterFile::log(std::uint64_t low, std::uint64_t high) {
  Hpa at{0};
  {
    const schedule::RawLockGuard guard(lock_);
    if ((status_ & kEventLogRunning) == 0) return;
    const std::uint64_t next = events_.after(next_event_, kEventBytes);
    if (next == events_.head) {
      status_ |= kEventOverflow;
      status_ &= ~kEventLogRunning;
      return;
    }
    at = events_.at(next_event_);
    next_event_ = next;
    ++writers_;
  }
  const Bytes entry = Writer().le(low).le(high).take();
  // A log outside of memory loses its entries.
  (void)memory_.write(at, entry);
  std::function<void()> interrupt;
  {
    const schedule::RawLockGuard guard(lock_);
    if (--writers_ == 0) events_.tail = next_event_;
    status_ |= kEventInterrupt;
    interrupt = interrupt_;
  }
  if (interrupt) interrupt();
}

}  // namespace teeio::hw::amd
