#include "serve/secure_processor/mailbox.h"

#include <algorithm>
#include <array>
#include <string_view>
#include <utility>

#include "base/result.h"
#include "base/types.h"
#include "firmware/sev/rmp.h"
#include "firmware/sev/status.h"
#include "hw/root_port.h"

namespace teeio::secure_processor {
namespace {

constexpr std::size_t kDword = 4;
constexpr std::uint64_t kLowMask = 0xffff'ffff;
constexpr std::array<std::string_view, 8> kCallNames = {
    "", "probe", "remove", "connect", "disconnect", "bind", "unbind", "guest_req"};

std::uint64_t with_low(std::uint64_t whole, std::uint32_t low) { return (whole & ~kLowMask) | low; }
std::uint64_t with_high(std::uint64_t whole, std::uint32_t high) {
  return (whole & kLowMask) | std::uint64_t{high} << 32U;
}
std::uint32_t low_of(std::uint64_t whole) { return static_cast<std::uint32_t>(whole); }
std::uint32_t high_of(std::uint64_t whole) { return static_cast<std::uint32_t>(whole >> 32U); }

bool is_access(std::uint64_t offset, std::size_t size) {
  return (size == kDword || size == 2 * kDword) && offset % kDword == 0 &&
         offset + size <= kRegisterBytes;
}

}  // namespace

void Mailbox::register_read(std::uint64_t offset, std::span<std::byte> out) {
  if (!is_access(offset, out.size())) return std::ranges::fill(out, std::byte{0xff}), void();
  for (; !out.empty(); out = out.subspan(kDword), offset += kDword)
    std::ranges::copy(Writer().le(get(offset)).take(), out.begin());
}

void Mailbox::register_write(std::uint64_t offset, ByteView in) {
  if (!is_access(offset, in.size())) return;
  for (; !in.empty(); in = in.subspan(kDword), offset += kDword)
    put(offset, Reader(in).le<std::uint32_t>());
}

std::uint32_t Mailbox::get(std::uint64_t offset) const {
  if (offset >= kPortWindow) {
    hw::RootPort* const port = processor_.port(port_);
    return port == nullptr ? ~0U
                           : port->config_read(static_cast<std::uint16_t>(offset - kPortWindow), 4);
  }
  switch (static_cast<Register>(offset)) {
    case Register::kIdentity:
      return kIdentityValue;
    case Register::kVersion:
      return kVersionValue;
    case Register::kMemoryLow:
      return low_of(raw(processor_.memory_base()));
    case Register::kMemoryHigh:
      return high_of(raw(processor_.memory_base()));
    case Register::kMemoryBytes:
      return static_cast<std::uint32_t>(Processor::kMemoryBytes);
    case Register::kCommand:
      return response_;
    case Register::kBufferLow:
      return low_of(buffer_);
    case Register::kBufferHigh:
      return high_of(buffer_);
    case Register::kPageLow:
      return low_of(page_);
    case Register::kPageHigh:
      return high_of(page_);
    case Register::kGuestPageLow:
      return low_of(guest_page_);
    case Register::kGuestPageHigh:
      return high_of(guest_page_);
    case Register::kAsid:
      return asid_;
    case Register::kRmpUpdate:
      return rmp_status_;
    case Register::kPort:
      return port_;
    case Register::kCall:
    case Register::kCallEnd:
      return 0;
  }
  return ~0U;
}

void Mailbox::put(std::uint64_t offset, std::uint32_t value) {
  if (offset >= kPortWindow) {
    if (hw::RootPort* const port = processor_.port(port_))
      port->config_write(static_cast<std::uint16_t>(offset - kPortWindow), 4, value);
    return;
  }
  switch (static_cast<Register>(offset)) {
    case Register::kIdentity:
    case Register::kVersion:
    case Register::kMemoryLow:
    case Register::kMemoryHigh:
    case Register::kMemoryBytes:
      return;
    case Register::kCommand:
      return command(value);
    case Register::kBufferLow:
      buffer_ = with_low(buffer_, value);
      return;
    case Register::kBufferHigh:
      buffer_ = with_high(buffer_, value);
      return;
    case Register::kPageLow:
      page_ = with_low(page_, value);
      return;
    case Register::kPageHigh:
      page_ = with_high(page_, value);
      return;
    case Register::kGuestPageLow:
      guest_page_ = with_low(guest_page_, value);
      return;
    case Register::kGuestPageHigh:
      guest_page_ = with_high(guest_page_, value);
      return;
    case Register::kAsid:
      asid_ = value;
      return;
    case Register::kRmpUpdate:
      return rmp_update(value);
    case Register::kPort:
      port_ = value;
      return;
    case Register::kCall:
      return call(value);
    case Register::kCallEnd:
      return call_end(value);
  }
}

void Mailbox::command(std::uint32_t value) {
  const object::LaneScope host(object::Lane::kHostTsm);
  const auto number = static_cast<std::uint16_t>(value >> kCommandShift & kCommandMask);
  const sev::Status status = processor_.command(number, Hpa{buffer_});
  response_ = kResponse | std::to_underlying(status);
}

void Mailbox::rmp_update(std::uint32_t value) {
  constexpr std::uint32_t kKnown = kRmpAssigned | kRmpImmutable | kRmpLarge;
  if ((value & ~kKnown) != 0) {
    rmp_status_ = std::to_underlying(sev::RmpStatus::kFailInput);
    return;
  }
  rmp_status_ = std::to_underlying(processor_.rmp_update(
      Hpa{page_}, {.assigned = (value & kRmpAssigned) != 0,
                   .immutable = (value & kRmpImmutable) != 0,
                   .size = (value & kRmpLarge) != 0 ? sev::RmpSize::k2M : sev::RmpSize::k4K,
                   .asid = asid_,
                   .gpa = Gpa{guest_page_}}));
}

void Mailbox::call(std::uint32_t value) {
  call_.reset();
  const std::uint32_t number = value >> 16U;
  if (number == 0 || number >= kCallNames.size()) return;
  call_.emplace(trace_.call(object::Lane::kHostTsm, object::Lane::kHostTsm, kCallNames.at(number),
                            {.function = Bdf::from_rid(static_cast<std::uint16_t>(value), 0)}));
}

void Mailbox::call_end(std::uint32_t value) {
  if (!call_) return;
  if (value != 0) call_->refuse(errno_name(static_cast<Errno>(value)), "the TSM gives an error");
  call_.reset();
}

void Mailbox::reset() {
  call_.reset();
  buffer_ = page_ = guest_page_ = 0;
  response_ = asid_ = rmp_status_ = port_ = 0;
}

}  // namespace teeio::secure_processor
