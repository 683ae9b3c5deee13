#include "hw/doe_mailbox.h"

#include <utility>

#include "base/check.h"
#include "hw/find_capability.h"

namespace teeio::hw {
namespace {

constexpr std::uint16_t kDoeCapabilities = 0x04;
constexpr std::uint16_t kDoeControl = 0x08;
constexpr std::uint16_t kDoeStatus = 0x0c;
constexpr std::uint16_t kWriteMailbox = 0x10;
constexpr std::uint16_t kReadMailbox = 0x14;
constexpr std::uint16_t kSize = 0x18;

constexpr std::uint32_t kInterruptSupport = 0x1;
constexpr std::uint32_t kAbort = 0x1;
constexpr std::uint32_t kInterruptEnable = 0x2;
constexpr std::uint32_t kGo = 0x8000'0000;
constexpr std::uint32_t kBusy = 0x1;
constexpr std::uint32_t kInterruptStatus = 0x2;
constexpr std::uint32_t kError = 0x4;
constexpr std::uint32_t kReady = 0x8000'0000;

constexpr std::size_t kWord = 4;

std::uint32_t word_at(ByteView bytes, std::size_t at) {
  return Reader(bytes.subspan(at)).le<std::uint32_t>();
}

/// Words that an object's header says it has; 0 stands for the most.
std::size_t words_of(ByteView object) {
  const std::size_t length = word_at(object, kWord) & 0x3ffffU;
  return length == 0 ? DoeMailbox::kMaxWords : length;
}

}  // namespace

DoeMailbox::DoeMailbox(ConfigSpace& config, DoeHandler& handler,
                       std::optional<std::uint16_t> interrupt_vector)
    : config_(config),
      handler_(handler),
      offset_(config.add_extended_capability(kExtendedDoe, 1, kSize)),
      can_interrupt_(interrupt_vector.has_value()) {
  const std::uint32_t bits =
      interrupt_vector ? kInterruptSupport | static_cast<std::uint32_t>(*interrupt_vector) << 1U
                       : 0U;
  config_.set(static_cast<std::uint16_t>(offset_ + kDoeCapabilities), 4, bits);
}

bool DoeMailbox::contains(std::uint16_t offset) const {
  return offset >= offset_ + kDoeControl && offset < offset_ + kSize;
}

bool DoeMailbox::is_control(std::uint16_t offset) const {
  return offset >= offset_ + kDoeControl && offset < offset_ + kDoeControl + kWord;
}

std::uint32_t DoeMailbox::read(std::uint16_t offset, unsigned size_bytes) const {
  TEEIO_CHECK(contains(offset), "a DOE read is not of the mailbox");
  const auto at = static_cast<std::uint16_t>(offset - offset_);
  std::uint32_t value = 0;
  const schedule::Section section(lock_);
  switch (at & ~3U) {
    case kDoeControl:
      value = interrupt_enabled_ ? kInterruptEnable : 0U;
      break;
    case kDoeStatus:
      if (late_ != 0 && --late_ != 0) {
        value = kBusy;
        break;
      }
      value = (busy_ ? kBusy : 0U) | (interrupt_status_ ? kInterruptStatus : 0U) |
              (error_ ? kError : 0U) | (answer_at_ < answer_.size() ? kReady : 0U);
      break;
    case kReadMailbox:
      if (answer_at_ < answer_.size()) value = word_at(answer_, answer_at_);
      break;
    default:
      break;  // the write mailbox reads as zero
  }
  const std::uint32_t mask = size_bytes == 4 ? ~0U : (1U << (8 * size_bytes)) - 1;
  return value >> (8 * (at % kWord)) & mask;
}

void DoeMailbox::write(std::uint16_t offset, unsigned size_bytes, std::uint32_t value) {
  TEEIO_CHECK(contains(offset), "a DOE write is not of the mailbox");
  if (size_bytes != kWord) return;
  const auto at = static_cast<std::uint16_t>(offset - offset_);
  if (at == kDoeControl) return control_written(value);
  word_written(at, value);
}

void DoeMailbox::word_written(std::uint16_t at, std::uint32_t value) {
  const schedule::Section section(lock_);
  switch (at) {
    case kDoeStatus:
      if ((value & kInterruptStatus) != 0) interrupt_status_ = false;
      return;
    case kWriteMailbox:
      if (busy_ || error_ || late_ != 0) return;
      overflow_ |= request_.size() == kMaxWords * kWord;
      if (!overflow_)
        for (unsigned i = 0; i < kWord; ++i)
          request_.push_back(static_cast<std::byte>(value >> (8 * i)));
      return;
    case kReadMailbox:
      if (answer_at_ < answer_.size()) answer_at_ += kWord;  // any value takes the word away
      return;
    default:
      return;
  }
}

void DoeMailbox::control_written(std::uint32_t value) {
  std::optional<Bytes> object;
  bool interrupt = false;
  {
    const schedule::Section section(lock_);
    interrupt_enabled_ = can_interrupt_ && (value & kInterruptEnable) != 0;
    if ((value & kAbort) != 0) return abort();
    if ((value & kGo) == 0 || busy_ || error_ || late_ != 0) return;
    object = take_request();
    if (error_) interrupt = wants_interrupt();
  }
  if (object) {
    Bytes answer = handler_.handle(*object);
    const bool late = !answer.empty() && handler_.is_late();
    const schedule::Section section(lock_);
    if (late) late_ = kLateLooks;
    interrupt = put_answer(std::move(answer)) && !late;
  }
  if (interrupt) handler_.mailbox_interrupt();
}

void DoeMailbox::abort() {
  request_.clear();
  answer_.clear();
  answer_at_ = 0;
  overflow_ = busy_ = error_ = false;
}

std::optional<Bytes> DoeMailbox::take_request() {
  const bool unread = answer_at_ < answer_.size();
  const bool well_formed = !overflow_ && !unread && request_.size() >= 2 * kWord &&
                           words_of(request_) * kWord == request_.size();
  if (!well_formed) {
    error_ = true;
    return std::nullopt;
  }
  answer_at_ = 0;
  answer_.clear();
  busy_ = true;
  return std::exchange(request_, {});
}

bool DoeMailbox::put_answer(Bytes answer) {
  busy_ = false;
  TEEIO_CHECK(answer.size() % kWord == 0, "a DOE answer is no whole number of words");
  answer_ = std::move(answer);
  return !answer_.empty() && wants_interrupt();
}

/// As QEMU's hw/pci/pcie_doe.c, pcie_doe_irq_assert(): without the enable there is no
/// status, and while the status is set no further message.
bool DoeMailbox::wants_interrupt() {
  if (!interrupt_enabled_ || interrupt_status_) return false;
  interrupt_status_ = true;
  return true;
}

void DoeMailbox::reset() {
  const schedule::Section section(lock_);
  abort();
  interrupt_enabled_ = interrupt_status_ = false;
  late_ = 0;
}

}  // namespace teeio::hw
