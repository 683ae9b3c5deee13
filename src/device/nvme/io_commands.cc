#include "device/nvme/io_commands.h"

#include <vector>

namespace teeio::nvme {
namespace {

constexpr std::uint32_t kForceUnitAccess = 1U << 30U;
constexpr std::uint32_t kDirectiveType = 0xfU << 20U;
constexpr std::uint32_t kDeallocate = 1U << 2U;
constexpr std::uint8_t kMediaReadOnly = 1U << 3U;  // of critical warnings

struct Range {
  std::uint64_t first = 0;  ///< blocks
  std::uint64_t blocks = 0;

  [[nodiscard]] bool fits(const NameSpace& space) const {
    const std::uint64_t all = space.bytes() >> kBlockShift;
    return first <= all && blocks <= all - first;
  }
  [[nodiscard]] std::uint64_t offset() const { return first << kBlockShift; }
  [[nodiscard]] std::uint64_t bytes() const { return blocks << kBlockShift; }
};

/// Starting LBA and Number of Logical Blocks, as Read, Write and Write Zeroes have them.
Range range_of(const Command& command) {
  return {command.cdw10 | std::uint64_t{command.cdw11} << 32U, (command.cdw12 & 0xffffU) + 1};
}

Status media_error(State& state, Status status) {
  ++state.counters.media_errors;
  return status;
}

Status flush(State& state, NameSpace& space) {
  if (space.failed()) return Status::kWriteFault;
  if (space.flush()) return Status::kSuccess;
  if ((state.features.told_warnings() & kMediaReadOnly) != 0)
    state.events.raise({Event::Type::kHealth, Event::kReliability, 2});
  return media_error(state, Status::kWriteFault);
}

/// What the command says of the disk, or the cache that is off.
Status settle(State& state, NameSpace& space, const Command& command) {
  const bool through = (command.cdw12 & kForceUnitAccess) != 0 || !state.features.write_cache();
  return through ? flush(state, space) : Status::kSuccess;
}

Status read(State& state, NameSpace& space, const Command& command) {
  const Range range = range_of(command);
  if (range.bytes() > kMaxTransfer) return Status::kInvalidField;
  if (!range.fits(space)) return Status::kLbaOutOfRange;
  const auto length = static_cast<std::uint32_t>(range.bytes());
  if (const auto found = state.data.find(command, length); !found) return found.error();
  ByteView bytes = space.look(range.offset(), length);
  if (bytes.empty()) {
    const auto room = state.room(length);
    if (!space.read(range.offset(), room)) return media_error(state, Status::kUnrecoveredRead);
    bytes = room;
  }
  if (const auto sent = state.data.write(bytes); !sent) return sent.error();
  ++state.counters.reads;
  state.counters.blocks_read += range.blocks;
  return Status::kSuccess;
}

/// Nothing is written of a command whose data cannot be had whole.
Status write(State& state, NameSpace& space, const Command& command) {
  const Range range = range_of(command);
  if (range.bytes() > kMaxTransfer) return Status::kInvalidField;
  if ((command.cdw12 & kDirectiveType) != 0) return Status::kInvalidField;
  if (!range.fits(space)) return Status::kLbaOutOfRange;
  const auto length = static_cast<std::uint32_t>(range.bytes());
  if (const auto found = state.data.find(command, length); !found) return found.error();
  const auto bytes = state.room(length);
  if (const auto got = state.data.read(bytes); !got) return got.error();
  if (!space.write(range.offset(), bytes)) return media_error(state, Status::kWriteFault);
  ++state.counters.writes;
  state.counters.blocks_written += range.blocks;
  return settle(state, space, command);
}

Status write_zeroes(State& state, NameSpace& space, const Command& command) {
  const Range range = range_of(command);
  if (!range.fits(space)) return Status::kLbaOutOfRange;
  if (!space.zero(range.offset(), range.bytes())) return media_error(state, Status::kWriteFault);
  return settle(state, space, command);
}

/// Hints other than Deallocate are taken and not followed, as 6.7 allows.
Status manage_dataset(State& state, NameSpace& space, const Command& command) {
  constexpr std::size_t kRangeBytes = 16;
  const std::size_t count = (command.cdw10 & 0xffU) + 1;
  const auto length = static_cast<std::uint32_t>(count * kRangeBytes);
  if (const auto found = state.data.find(command, length); !found) return found.error();
  const auto bytes = state.room(length);
  if (const auto got = state.data.read(bytes); !got) return got.error();
  if ((command.cdw11 & kDeallocate) == 0) return Status::kSuccess;
  std::vector<Range> ranges;
  Reader r{ByteView(bytes)};
  for (std::size_t i = 0; i < count; ++i) {
    r.skip(4);  // context attributes
    const auto blocks = r.le<std::uint32_t>();
    const Range range{r.le<std::uint64_t>(), blocks};
    if (!range.fits(space)) return Status::kLbaOutOfRange;
    ranges.push_back(range);
  }
  for (const Range& range : ranges)
    if (range.blocks > 0 && !space.zero(range.offset(), range.bytes()))
      return media_error(state, Status::kWriteFault);
  return Status::kSuccess;
}

}  // namespace

Status flush_all(State& state) {
  Status status = Status::kSuccess;
  for (NameSpace& space : state.spaces)
    if (const Status now = flush(state, space); now != Status::kSuccess) status = now;
  return status;
}

Status run_io(State& state, const Command& command) {
  const auto opcode = IoOpcode{command.opcode};
  if (!command.is_plain()) return Status::kInvalidField;
  if (opcode == IoOpcode::kFlush && command.nsid == kAllNamespaces) return flush_all(state);
  NameSpace* const space = state.space(command.nsid);
  switch (opcode) {
    case IoOpcode::kFlush:
      return space == nullptr ? Status::kInvalidNamespace : flush(state, *space);
    case IoOpcode::kWrite:
      return space == nullptr ? Status::kInvalidNamespace : write(state, *space, command);
    case IoOpcode::kRead:
      return space == nullptr ? Status::kInvalidNamespace : read(state, *space, command);
    case IoOpcode::kWriteZeroes:
      return space == nullptr ? Status::kInvalidNamespace : write_zeroes(state, *space, command);
    case IoOpcode::kDatasetManagement:
      return space == nullptr ? Status::kInvalidNamespace : manage_dataset(state, *space, command);
  }
  return Status::kInvalidOpcode;
}

}  // namespace teeio::nvme
