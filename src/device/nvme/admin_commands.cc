#include "device/nvme/admin_commands.h"

#include <algorithm>

#include "device/nvme/identify.h"
#include "device/nvme/io_commands.h"
#include "device/nvme/log_pages.h"

namespace teeio::nvme {
namespace {

using Result0 = Outcome<std::optional<std::uint32_t>>;

constexpr std::uint32_t kContiguous = 1;
constexpr std::uint32_t kInterruptsEnabled = 2;
constexpr std::uint32_t kRetainEvent = 1U << 15U;

std::unexpected<Status> refuse(Status status) { return std::unexpected(status); }

/// Of Create commands: QID 15:0, QSIZE 31:16, which counts from 0.
struct QueueRequest {
  std::uint16_t id;
  std::uint32_t entries;

  explicit QueueRequest(const Command& command)
      : id(static_cast<std::uint16_t>(command.cdw10)), entries((command.cdw10 >> 16U) + 1) {}
  [[nodiscard]] bool id_exists() const { return id >= 1 && id <= kIoQueues; }
  [[nodiscard]] bool size_is_sane() const { return entries >= 2 && entries <= kMaxEntries; }
};

/// What Create I/O Completion Queue and Create I/O Submission Queue check alike. `sized`: CC has
/// the size of such entries.
Outcome<void> check_place(const Command& command, const QueueRequest& wanted, bool sized) {
  if (!sized || !wanted.size_is_sane()) return refuse(Status::kInvalidQueueSize);
  if ((command.cdw11 & kContiguous) == 0) return refuse(Status::kInvalidField);  // CAP.CQR
  if (command.prp1 % kPage != 0) return refuse(Status::kPrpOffsetInvalid);
  return {};
}

/// 5.3.
Result0 create_cq(State& state, const Command& command) {
  const QueueRequest wanted(command);
  if (!wanted.id_exists() || state.queues.cq.at(wanted.id)) return refuse(Status::kInvalidQueueId);
  const bool sized = state.entry_sizes.cq == kCqEntryShift;
  if (const auto sane = check_place(command, wanted, sized); !sane) return refuse(sane.error());
  const std::uint32_t vector = command.cdw11 >> 16U;
  if (vector >= kDoeVector) return refuse(Status::kInvalidVector);
  state.queues.cq.at(wanted.id) =
      CompletionQueue{.base = command.prp1,
                      .entries = wanted.entries,
                      .interrupts = (command.cdw11 & kInterruptsEnabled) != 0,
                      .vector = static_cast<std::uint16_t>(vector)};
  return 0U;
}

/// 5.4. QPRIO has no meaning under round robin, the one arbitration that CAP.AMS offers.
Result0 create_sq(State& state, const Command& command) {
  const QueueRequest wanted(command);
  const std::uint32_t cq = command.cdw11 >> 16U;
  if (cq == 0 || cq > kIoQueues) return refuse(Status::kInvalidQueueId);
  if (!state.queues.cq.at(cq)) return refuse(Status::kCqInvalid);
  if (!wanted.id_exists() || state.queues.sq.at(wanted.id)) return refuse(Status::kInvalidQueueId);
  const bool sized = state.entry_sizes.sq == kSqEntryShift;
  if (const auto sane = check_place(command, wanted, sized); !sane) return refuse(sane.error());
  state.queues.sq.at(wanted.id) = SubmissionQueue{
      .base = command.prp1, .entries = wanted.entries, .cq = static_cast<std::uint16_t>(cq)};
  return 0U;
}

/// 5.5.
Result0 delete_cq(State& state, const Command& command) {
  const QueueRequest named(command);
  if (!named.id_exists() || !state.queues.cq.at(named.id)) return refuse(Status::kInvalidQueueId);
  if (state.queues.in_use(named.id)) return refuse(Status::kInvalidQueueDeletion);
  state.queues.cq.at(named.id).reset();
  return 0U;
}

/// 5.6. Commands that wait because their completion queue is full are gone with it.
Result0 delete_sq(State& state, const Command& command) {
  const QueueRequest named(command);
  if (!named.id_exists() || !state.queues.sq.at(named.id)) return refuse(Status::kInvalidQueueId);
  state.queues.sq.at(named.id).reset();
  return 0U;
}

Result0 identify_command(State& state, const Command& command) {
  const auto found = identify(state, command);
  if (!found) return refuse(found.error());
  if (const auto sent = state.answer(command, *found); !sent) return refuse(sent.error());
  return 0U;
}

/// 5.14. What lies behind a page's end is zero.
Result0 get_log_page(State& state, const Command& command) {
  const std::uint64_t dwords =
      (command.cdw10 >> 16U | std::uint64_t{command.cdw11 & 0xffffU} << 16U) + 1;
  const std::uint64_t offset = command.cdw12 | std::uint64_t{command.cdw13} << 32U;
  const auto page = log_page(state, command);
  if (!page) return refuse(page.error());
  if (dwords * 4 > kMaxTransfer || offset % 4 != 0 || offset > page->size())
    return refuse(Status::kInvalidField);
  const auto bytes = state.room(dwords * 4);
  std::ranges::fill(bytes, std::byte{0});
  const ByteView rest = ByteView(*page).subspan(offset);
  std::ranges::copy(rest.first(std::min(rest.size(), bytes.size())), bytes.begin());
  if (const auto sent = state.answer(command, bytes); !sent) return refuse(sent.error());
  if ((command.cdw10 & kRetainEvent) == 0)
    state.events.log_was_read(static_cast<std::uint8_t>(command.cdw10));
  return 0U;
}

/// 5.1. Only Asynchronous Event Requests wait here; bit 0: nothing was aborted. What was is
/// completed before the Abort is.
Result0 abort(State& state, const Command& command) {
  const auto sq = static_cast<std::uint16_t>(command.cdw10);
  const auto id = static_cast<std::uint16_t>(command.cdw10 >> 16U);
  if (sq == 0 && state.events.abort(id, command.id)) return std::nullopt;
  return 1U;
}

Result0 event_request(State& state, const Command& command) {
  if (const auto taken = state.events.request(command.id); !taken) return refuse(taken.error());
  return std::nullopt;
}

Features::Situation situation_of(const State& state) {
  return {state.queues.any_io(), static_cast<std::uint32_t>(state.spaces.size())};
}

Result0 get_features(State& state, const Command& command) {
  const auto found = state.features.get(command, situation_of(state));
  if (!found) return refuse(found.error());
  return *found;
}

/// 5.21. Both as QEMU's hw/nvme/ctrl.c, nvme_set_feature(), has them: without a cache no driver
/// flushes, so what was in it is written now; and a threshold that is passed already is told.
Result0 set_features(State& state, const Command& command) {
  constexpr std::uint32_t kTemperatureThreshold = 4;
  constexpr std::uint8_t kTemperatureWarning = 1U << 1U;
  const bool had_cache = state.features.write_cache();
  const auto done = state.features.set(command, situation_of(state));
  if (!done) return refuse(done.error());
  if (had_cache && !state.features.write_cache())
    if (const Status flushed = flush_all(state); flushed != Status::kSuccess)
      return refuse(flushed);
  if ((command.cdw10 & 0xffU) == kTemperatureThreshold && state.features.temperature_warning() &&
      (state.features.told_warnings() & kTemperatureWarning) != 0)
    state.events.raise({Event::Type::kHealth, Event::kTemperature, 2});
  return *done;
}

}  // namespace

Result0 run_admin(State& state, const Command& command) {
  if (!command.is_plain()) return refuse(Status::kInvalidField);
  if (state.events.waits(command.id)) return refuse(Status::kCommandIdConflict);
  switch (AdminOpcode{command.opcode}) {
    case AdminOpcode::kDeleteSq:
      return delete_sq(state, command);
    case AdminOpcode::kCreateSq:
      return create_sq(state, command);
    case AdminOpcode::kGetLogPage:
      return get_log_page(state, command);
    case AdminOpcode::kDeleteCq:
      return delete_cq(state, command);
    case AdminOpcode::kCreateCq:
      return create_cq(state, command);
    case AdminOpcode::kIdentify:
      return identify_command(state, command);
    case AdminOpcode::kAbort:
      return abort(state, command);
    case AdminOpcode::kSetFeatures:
      return set_features(state, command);
    case AdminOpcode::kGetFeatures:
      return get_features(state, command);
    case AdminOpcode::kAsyncEvent:
      return event_request(state, command);
  }
  return refuse(Status::kInvalidOpcode);
}

}  // namespace teeio::nvme
