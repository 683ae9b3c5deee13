#include "device/dma_engine.h"

#include <algorithm>
#include <utility>

namespace teeio::device {
namespace {

// Register offsets; docs/devices/dma-engine.md.
constexpr std::uint64_t kId = 0x00;
constexpr std::uint64_t kVersion = 0x04;
constexpr std::uint64_t kControl = 0x08;
constexpr std::uint64_t kStatus = 0x0c;
constexpr std::uint64_t kRingBaseLow = 0x10;
constexpr std::uint64_t kRingBaseHigh = 0x14;
constexpr std::uint64_t kRingSize = 0x18;
constexpr std::uint64_t kRingControl = 0x1c;
constexpr std::uint64_t kHead = 0x20;
constexpr std::uint64_t kDoorbell = 0x24;
constexpr std::uint64_t kErrorCode = 0x28;
constexpr std::uint64_t kErrorIndex = 0x2c;
constexpr std::uint64_t kCompleted = 0x30;
constexpr std::uint64_t kLocalSize = 0x34;
constexpr std::uint64_t kInterruptStatus = 0x38;
constexpr std::uint64_t kScratch = 0x40;
constexpr std::uint64_t kScratchEnd = 0x80;

constexpr std::uint32_t kIdValue = 0x3141'4d44;  // "DMA1"
constexpr std::uint32_t kVersionValue = 0x0001'0000;
constexpr std::uint32_t kControlEnable = 1U << 0U;
constexpr std::uint32_t kControlReset = 1U << 1U;
constexpr std::uint32_t kStatusEnabled = 1U << 0U;
constexpr std::uint32_t kStatusHalted = 1U << 1U;
constexpr std::uint32_t kStatusTrusted = 1U << 2U;
constexpr std::uint32_t kMinRing = 2;
constexpr std::uint32_t kMaxRing = 4096;
constexpr std::uint64_t kRingAlignment = 64;
constexpr std::size_t kChunk = 16 * 1024;  // bytes: stays in a level-1 cache

std::uint64_t with_low(std::uint64_t value, std::uint32_t low) {
  return (value & ~std::uint64_t{0xffff'ffff}) | low;
}
std::uint64_t with_high(std::uint64_t value, std::uint32_t high) {
  return (value & 0xffff'ffff) | std::uint64_t{high} << 32U;
}
DmaError not_allowed(hw::TBit t) {
  return t == hw::TBit::kTrusted ? DmaError::kTrusted : DmaError::kNoDma;
}
bool is_register_access(std::uint64_t offset, std::size_t size) {
  return (size == 4 || size == 8) && offset % size == 0;
}

}  // namespace

void DmaEngine::read(std::uint64_t offset, std::span<std::byte> out) const {
  if (!is_register_access(offset, out.size())) {
    std::ranges::fill(out, std::byte{0xff});
    return;
  }
  for (std::size_t at = 0; at < out.size(); at += 4) {
    const Bytes value = Writer().le(read_register(offset + at)).take();
    std::ranges::copy(value, out.subspan(at).begin());
  }
}

void DmaEngine::write(std::uint64_t offset, ByteView in) {
  if (!is_register_access(offset, in.size())) return;
  Reader r(in);
  for (std::size_t at = 0; at < in.size(); at += 4)
    write_register(offset + at, r.le<std::uint32_t>());
}

std::uint32_t DmaEngine::read_register(std::uint64_t offset) const {
  const Registers& reg = registers_;
  switch (offset) {
    case kId:
      return kIdValue;
    case kVersion:
      return kVersionValue;
    case kControl:
      return reg.enabled ? kControlEnable : 0;
    case kStatus:
      return (reg.enabled ? kStatusEnabled : 0U) |
             (reg.error != DmaError::kNone ? kStatusHalted : 0U) |
             (function_.may_issue(hw::TBit::kTrusted) ? kStatusTrusted : 0U);
    case kRingBaseLow:
      return static_cast<std::uint32_t>(reg.ring_base);
    case kRingBaseHigh:
      return static_cast<std::uint32_t>(reg.ring_base >> 32U);
    case kRingSize:
      return reg.ring_size;
    case kRingControl:
      return reg.ring_control;
    case kHead:
      return reg.head;
    case kDoorbell:
      return reg.tail;
    case kErrorCode:
      return std::to_underlying(reg.error);
    case kErrorIndex:
      return reg.error_index;
    case kCompleted:
      return reg.completed;
    case kLocalSize:
      return static_cast<std::uint32_t>(local_.size());
    case kInterruptStatus:
      return function_.interrupt_causes();
    default:
      break;
  }
  if (offset >= kScratch && offset < kScratchEnd) return reg.scratch.at((offset - kScratch) / 4);
  return 0;
}

void DmaEngine::write_register(std::uint64_t offset, std::uint32_t value) {
  Registers& reg = registers_;
  if (offset >= kScratch && offset < kScratchEnd) {
    reg.scratch.at((offset - kScratch) / 4) = value;
    return;
  }
  if (offset == kControl) return write_control(value);
  if (offset == kDoorbell) return ring_doorbell(value);
  if (offset == kInterruptStatus) return function_.acknowledge_interrupts(value);
  if (offset == kErrorCode && value != 0) reg.error = DmaError::kNone;
  if (reg.enabled) return;  // the ring's place is fixed while the engine is enabled
  if (offset == kRingBaseLow) reg.ring_base = with_low(reg.ring_base, value);
  if (offset == kRingBaseHigh) reg.ring_base = with_high(reg.ring_base, value);
  if (offset == kRingSize) reg.ring_size = value;
  if (offset == kRingControl) reg.ring_control = value & 1U;
}

void DmaEngine::write_control(std::uint32_t value) {
  if ((value & kControlReset) != 0) return reset();
  const bool enable = (value & kControlEnable) != 0;
  if (enable && !registers_.enabled) registers_.head = registers_.tail = 0;
  registers_.enabled = enable;
}

void DmaEngine::ring_doorbell(std::uint32_t tail) {
  if (!registers_.enabled || registers_.error != DmaError::kNone) return;
  if (const DmaError error = check_ring(tail); error != DmaError::kNone) return halt(error);
  registers_.tail = tail;
  while (registers_.head != registers_.tail) {
    if (const DmaError error = step(); error != DmaError::kNone) return halt(error);
  }
}

DmaError DmaEngine::check_ring(std::uint32_t tail) const {
  const std::uint32_t size = registers_.ring_size;
  const bool power_of_two = (size & (size - 1)) == 0;
  const bool sane = size >= kMinRing && size <= kMaxRing && power_of_two && tail < size &&
                    registers_.ring_base % kRingAlignment == 0;
  return sane ? DmaError::kNone : DmaError::kRing;
}

hw::TBit DmaEngine::ring_t() const {
  return (registers_.ring_control & 1U) != 0 ? hw::TBit::kTrusted : hw::TBit::kShared;
}

Iova DmaEngine::descriptor_at(std::uint32_t index) const {
  return Iova{registers_.ring_base + index * DmaDescriptor::kSize};
}

DmaError DmaEngine::step() {
  if (!function_.may_issue(ring_t())) return not_allowed(ring_t());
  const Iova at = descriptor_at(registers_.head);
  std::array<std::byte, DmaDescriptor::kSize> raw_descriptor{};
  if (!function_.dma_read(ring_traffic(), at, raw_descriptor)) return DmaError::kFetch;
  const auto descriptor = DmaDescriptor::decode(raw_descriptor);
  const DmaError error = descriptor ? execute(*descriptor) : descriptor.error();
  const std::uint32_t status = error == DmaError::kNone
                                   ? DmaDescriptor::kStatusDone
                                   : DmaDescriptor::kStatusError | std::to_underlying(error);
  const bool written =
      function_.dma_write(ring_traffic(), at + DmaDescriptor::kStatusOffset, bytes_of(status))
          .has_value();
  if (error != DmaError::kNone) return error;
  if (!written) return DmaError::kWriteBack;
  registers_.head = (registers_.head + 1) % registers_.ring_size;
  ++registers_.completed;
  if (descriptor->interrupt) function_.fire(kCompletionVector);
  return DmaError::kNone;
}

DmaError DmaEngine::check(const DmaDescriptor& descriptor) const {
  using Source = DmaDescriptor::Source;
  using Destination = DmaDescriptor::Destination;
  if (descriptor.uses_memory() && !function_.may_issue(descriptor.t))
    return not_allowed(descriptor.t);
  if (descriptor.pasid && !function_.may_name(*descriptor.pasid)) return DmaError::kPasid;
  const bool source_fits = descriptor.source_kind != Source::kLocal ||
                           local_.contains(descriptor.source, descriptor.length);
  const bool destination_fits = descriptor.destination_kind != Destination::kLocal ||
                                local_.contains(descriptor.destination, descriptor.length);
  return source_fits && destination_fits ? DmaError::kNone : DmaError::kLocalRange;
}

DmaError DmaEngine::execute(const DmaDescriptor& descriptor) {
  if (const DmaError error = check(descriptor); error != DmaError::kNone) return error;
  std::array<std::byte, kChunk> buffer;
  for (std::uint64_t done = 0; done < descriptor.length;) {
    const std::span<std::byte> chunk =
        std::span(buffer).first(std::min<std::uint64_t>(kChunk, descriptor.length - done));
    if (const DmaError error = read_source(descriptor, done, chunk); error != DmaError::kNone)
      return error;
    if (const DmaError error = write_destination(descriptor, done, chunk); error != DmaError::kNone)
      return error;
    done += chunk.size();
  }
  return DmaError::kNone;
}

DmaError DmaEngine::read_source(const DmaDescriptor& descriptor, std::uint64_t done,
                                std::span<std::byte> out) {
  switch (descriptor.source_kind) {
    case DmaDescriptor::Source::kMemory:
      return function_.dma_read({descriptor.t, descriptor.pasid}, Iova{descriptor.source + done},
                                out)
                 ? DmaError::kNone
                 : DmaError::kRead;
    case DmaDescriptor::Source::kLocal:
      local_.read(descriptor.source + done, out);
      return DmaError::kNone;
    case DmaDescriptor::Source::kFill:
      // Chunks start at multiples of 8 bytes, so the pattern goes on across them.
      for (std::size_t i = 0; i < out.size(); ++i)
        out[i] = static_cast<std::byte>(descriptor.source >> (8 * (i % 8)));
      return DmaError::kNone;
  }
  std::unreachable();
}

DmaError DmaEngine::write_destination(const DmaDescriptor& descriptor, std::uint64_t done,
                                      ByteView in) {
  if (descriptor.destination_kind == DmaDescriptor::Destination::kLocal) {
    local_.write(descriptor.destination + done, in);
    return DmaError::kNone;
  }
  return function_.dma_write({descriptor.t, descriptor.pasid}, Iova{descriptor.destination + done},
                             in)
             ? DmaError::kNone
             : DmaError::kWrite;
}

void DmaEngine::halt(DmaError error) {
  registers_.error = error;
  registers_.error_index = registers_.head;
  function_.fire(kErrorVector);
}

}  // namespace teeio::device
