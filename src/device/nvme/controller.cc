#include "device/nvme/controller.h"

#include <algorithm>
#include <array>
#include <utility>

#include "device/nvme/admin_commands.h"
#include "device/nvme/io_commands.h"

namespace teeio::nvme {
namespace {

// Registers. 3.1.
constexpr std::uint64_t kCapabilitiesLow = 0x00;
constexpr std::uint64_t kCapabilitiesHigh = 0x04;
constexpr std::uint64_t kVersionRegister = 0x08;
constexpr std::uint64_t kConfiguration = 0x14;
constexpr std::uint64_t kStatus = 0x1c;
constexpr std::uint64_t kAdminSizes = 0x24;
constexpr std::uint64_t kAdminSqLow = 0x28;
constexpr std::uint64_t kAdminSqHigh = 0x2c;
constexpr std::uint64_t kAdminCqLow = 0x30;
constexpr std::uint64_t kAdminCqHigh = 0x34;
constexpr std::uint64_t kDoorbells = 0x1000;

/// Queue entries, contiguous queues required, 7.5 s to become ready.
constexpr std::uint32_t kCapLow = (kMaxEntries - 1) | 1U << 16U | 15U << 24U;
constexpr std::uint32_t kCapHigh = 1U << 5U;  // the NVM command set; doorbells every 4 bytes

constexpr std::uint32_t kEnable = 1;
constexpr std::uint32_t kWritable = 0x00ff'fff1;
constexpr std::uint32_t kShutdownMask = 3U << 14U;
constexpr std::uint32_t kStatusReady = 1;
constexpr std::uint32_t kStatusFatal = 2;
constexpr std::uint32_t kStatusShuttingDown = 1U << 2U;
constexpr std::uint32_t kStatusShutDown = 2U << 2U;
constexpr std::uint64_t kQueueBase = ~std::uint64_t{kPage - 1};
/// Commands that are fetched, and interrupted for, at once.
constexpr std::uint32_t kBatch = 16;

bool is_register_access(std::uint64_t offset, std::size_t size) {
  return (size == 4 || size == 8) && offset % size == 0;
}
std::uint64_t low_of(std::uint64_t old, std::uint32_t value) {
  return (old & ~std::uint64_t{0xffff'ffff}) | (value & kQueueBase);
}
std::uint64_t high_of(std::uint64_t old, std::uint32_t value) {
  return (old & 0xffff'ffff) | std::uint64_t{value} << 32U;
}

EntrySizes entry_sizes(std::uint32_t value) { return {value >> 16U & 0xfU, value >> 20U & 0xfU}; }

/// Command set, page size, arbitration and entry sizes of CC are ones that CAP and Identify
/// offer; entry sizes of 0 are a driver's that makes no I/O queue yet. 3.1.5.
bool is_sane_configuration(std::uint32_t value) {
  const auto [sq, cq] = entry_sizes(value);
  return (value & 0x3ff0U) == 0 && (sq == 0 || sq == kSqEntryShift) &&
         (cq == 0 || cq == kCqEntryShift);
}

}  // namespace

void Controller::read(std::uint64_t offset, std::span<std::byte> out) const {
  if (!is_register_access(offset, out.size())) {
    std::ranges::fill(out, std::byte{0xff});
    return;
  }
  for (std::size_t i = 0; i < out.size(); ++i)
    out[i] = static_cast<std::byte>(read_register(offset + i / 4 * 4) >> (8 * (i % 4)));
}

void Controller::write(std::uint64_t offset, ByteView in) {
  if (!is_register_access(offset, in.size())) return;
  Reader r(in);
  for (std::uint64_t at = offset; !r.rest().empty(); at += 4)
    write_register(at, r.le<std::uint32_t>());
}

std::uint32_t Controller::read_register(std::uint64_t offset) const {
  switch (offset) {
    case kCapabilitiesLow:
      return kCapLow;
    case kCapabilitiesHigh:
      return kCapHigh;
    case kVersionRegister:
      return kVersion;
    case kConfiguration:
      return configuration_;
    case kStatus:
      return (ready_ ? kStatusReady : 0U) | (fatal_ ? kStatusFatal : 0U) | shutdown_status();
    case kAdminSizes:
      return admin_sizes_;
    case kAdminSqLow:
      return static_cast<std::uint32_t>(admin_sq_);
    case kAdminSqHigh:
      return static_cast<std::uint32_t>(admin_sq_ >> 32U);
    case kAdminCqLow:
      return static_cast<std::uint32_t>(admin_cq_);
    case kAdminCqHigh:
      return static_cast<std::uint32_t>(admin_cq_ >> 32U);
    default:
      return 0;
  }
}

void Controller::write_register(std::uint64_t offset, std::uint32_t value) {
  if (offset >= kDoorbells) return ring(offset, value);
  if (offset == kConfiguration) return configure(value);
  if ((configuration_ & kEnable) != 0) return;  // the admin queue's place is fixed
  if (offset == kAdminSizes) admin_sizes_ = value & 0x0fff'0fffU;
  if (offset == kAdminSqLow) admin_sq_ = low_of(admin_sq_, value);
  if (offset == kAdminSqHigh) admin_sq_ = high_of(admin_sq_, value);
  if (offset == kAdminCqLow) admin_cq_ = low_of(admin_cq_, value);
  if (offset == kAdminCqHigh) admin_cq_ = high_of(admin_cq_, value);
}

void Controller::configure(std::uint32_t value) {
  const std::uint32_t before = std::exchange(configuration_, value & kWritable);
  const bool was_on = (before & kEnable) != 0;
  const bool on = (value & kEnable) != 0;
  state_.entry_sizes = entry_sizes(configuration_);
  if (was_on && !on) disable();
  if (!was_on && on) enable();
  if ((value & kShutdownMask) != 0 && (before & kShutdownMask) == 0) shut_down();
}

void Controller::enable() {
  const std::uint32_t sq_entries = (admin_sizes_ & 0xfffU) + 1;
  const std::uint32_t cq_entries = (admin_sizes_ >> 16U & 0xfffU) + 1;
  shut_down_ = false;
  if (!is_sane_configuration(configuration_) || sq_entries < 2 || cq_entries < 2) return fail();
  state_.queues.sq[0] = SubmissionQueue{.base = admin_sq_, .entries = sq_entries};
  state_.queues.cq[0] =
      CompletionQueue{.base = admin_cq_, .entries = cq_entries, .interrupts = true};
  ready_ = true;
}

void Controller::disable() {
  state_.queues.forget();
  state_.features = {};
  state_.events = {};
  ready_ = fatal_ = shut_down_ = false;
}

/// 3.1.5, CC.SHN: nothing of what was written may be lost from here on. When it may be, the
/// shutdown never is complete, and CSTS.CFS says why: no command could.
void Controller::shut_down() {
  shut_down_ = true;
  if (flush_all(state_) != Status::kSuccess) fail();
}

std::uint32_t Controller::shutdown_status() const {
  if (!shut_down_) return 0;
  return fatal_ ? kStatusShuttingDown : kStatusShutDown;
}

void Controller::reset() {
  disable();
  configuration_ = admin_sizes_ = 0;
  state_.entry_sizes = {};
  admin_sq_ = admin_cq_ = 0;
  state_.errors = {};
}

/// 3.1.24, 3.1.25: SQyTDBL and CQyHDBL alternate.
void Controller::ring(std::uint64_t offset, std::uint32_t value) {
  if (!works()) return;
  const std::uint64_t number = (offset - kDoorbells) / 4;
  const auto id = static_cast<std::uint16_t>(number / 2);
  const bool completion = number % 2 != 0;
  const bool exists = id <= kIoQueues && (completion ? state_.queues.cq.at(id).has_value()
                                                     : state_.queues.sq.at(id).has_value());
  if (!exists)
    doorbell_error(Event::kInvalidDoorbell, Status::kInvalidQueueId);
  else if (completion)
    ring_cq(id, value & 0xffffU);
  else
    ring_sq(id, value & 0xffffU);
  tell_events();
}

void Controller::doorbell_error(std::uint8_t info, Status status) {
  state_.errors.add(status);
  state_.events.raise({Event::Type::kError, info, 1});
}

void Controller::ring_sq(std::uint16_t id, std::uint32_t tail) {
  SubmissionQueue& queue = *state_.queues.sq.at(id);
  if (tail >= queue.entries)
    return doorbell_error(Event::kInvalidDoorbellValue, Status::kInvalidField);
  queue.tail = tail;
  run(id);
}

void Controller::ring_cq(std::uint16_t id, std::uint32_t head) {
  CompletionQueue& queue = *state_.queues.cq.at(id);
  const std::uint32_t taken = (head + queue.entries - queue.head) % queue.entries;
  if (head >= queue.entries || taken > queue.used())
    return doorbell_error(Event::kInvalidDoorbellValue, Status::kInvalidField);
  queue.head = head;
  if (id == 0) tell_events();  // before commands that came later
  for (std::uint16_t sq = 0; sq <= kIoQueues; ++sq)
    if (const auto& other = state_.queues.sq.at(sq); other && other->cq == id && !other->empty())
      run(sq);
}

void Controller::run(std::uint16_t id) {
  SubmissionQueue& sq = *state_.queues.sq.at(id);
  CompletionQueue& cq = *state_.queues.cq.at(sq.cq);
  std::array<std::byte, std::size_t{kBatch} * kSqEntryBytes> entries;
  while (works() && !sq.empty() && !cq.full() && state_.host.may_issue()) {
    const std::uint32_t count = std::min({sq.in_a_row(), kBatch, cq.room()});
    const auto bytes = std::span(entries).first(std::size_t{count} * kSqEntryBytes);
    if (!state_.host.read(sq.base + std::uint64_t{sq.head} * kSqEntryBytes, bytes)) return fail();
    for (std::uint32_t i = 0; i < count && works() && !cq.full(); ++i) {
      sq.head = (sq.head + 1) % sq.entries;
      run_one(id,
              Command::decode(
                  std::span(bytes).subspan(std::size_t{i} * kSqEntryBytes).first<kSqEntryBytes>()));
    }
    notify(cq);
  }
}

void Controller::run_one(std::uint16_t sq, const Command& command) {
  Completion completion{.sq_id = sq, .command_id = command.id};
  if (sq != 0) {
    completion.status = run_io(state_, command);
  } else if (const auto done = run_admin(state_, command); !done) {
    completion.status = done.error();
  } else if (*done) {
    completion.result = **done;
  } else {
    return tell_events();
  }
  if (completion.status != Status::kSuccess)
    state_.errors.add(completion, command.nsid,
                      sq == 0 ? 0 : command.cdw10 | std::uint64_t{command.cdw11} << 32U);
  complete(completion);
}

void Controller::complete(Completion completion) {
  const SubmissionQueue& sq = *state_.queues.sq.at(completion.sq_id);
  completion.sq_head = static_cast<std::uint16_t>(sq.head);
  if (!state_.queues.cq.at(sq.cq)->post(state_.host, completion)) fail();
}

void Controller::tell_events() {
  CompletionQueue& queue = *state_.queues.cq.at(0);
  while (works() && !queue.full() && state_.host.may_issue()) {
    const auto due = state_.events.next();
    if (!due) break;
    complete(*due);
  }
  notify(queue);
}

void Controller::notify(CompletionQueue& queue) {
  if (std::exchange(queue.news, false) && queue.interrupts) state_.host.interrupt(queue.vector);
}

}  // namespace teeio::nvme
