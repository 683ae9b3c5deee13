#include "serve/vfio_user/irq_lines.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <bit>
#include <string_view>
#include <utility>

#include "base/event_signal.h"
#include "hw/capabilities.h"
#include "hw/find_capability.h"
#include "hw/iommu.h"
#include "hw/msi.h"
#include "hw/msix.h"

namespace teeio::vfio_user {
namespace {

// VFIO_IRQ_INFO_* and VFIO_IRQ_SET_*. Source: Linux include/uapi/linux/vfio.h.
constexpr std::uint32_t kInfoEventfd = 1;
constexpr std::uint32_t kInfoMaskable = 2;
constexpr std::uint32_t kInfoAutomasked = 4;
constexpr std::uint32_t kInfoNoResize = 8;
constexpr std::uint32_t kDataNone = 1;
constexpr std::uint32_t kDataBool = 2;
constexpr std::uint32_t kDataEventfd = 4;
constexpr std::uint32_t kActionMask = 8;
constexpr std::uint32_t kActionUnmask = 16;
constexpr std::uint32_t kActionTrigger = 32;
constexpr std::uint32_t kData = kDataNone | kDataBool | kDataEventfd;
constexpr std::uint32_t kAction = kActionMask | kActionUnmask | kActionTrigger;

constexpr std::uint16_t kMsixControl = 2;
constexpr std::uint32_t kMsixEnable = 0x8000;
constexpr std::uint32_t kMasked = 1;

std::optional<IrqLines::Msix> find_msix(hw::PciFunction& function) {
  const auto at = hw::find_capability(function, hw::kCapabilityMsix);
  if (!at) return std::nullopt;
  const auto reg = [&](unsigned offset, unsigned size) {
    return function.config_read(static_cast<std::uint16_t>(*at + offset), size);
  };
  const std::uint32_t table = reg(4, 4);
  return IrqLines::Msix{.capability = *at,
                        .vectors = static_cast<std::uint16_t>((reg(2, 2) & 0x7ffU) + 1),
                        .bar = table & 7U,
                        .table = table & ~7U};
}

constexpr std::uint16_t kMsiControl = 2, kMsiAddress = 4;
constexpr std::uint32_t kMsiEnable = 1;
constexpr unsigned kMsiChosen = 4, kMsiPossible = 1;  // shifts of a power of two
constexpr std::uint32_t kMsi64Bit = 1U << 7U;

std::optional<IrqLines::Msi> find_msi(hw::PciFunction& function) {
  const auto at = hw::find_capability(function, hw::kCapabilityMsi);
  if (!at) return std::nullopt;
  const std::uint32_t control =
      function.config_read(static_cast<std::uint16_t>(*at + kMsiControl), 2);
  return IrqLines::Msi{.capability = *at,
                       .vectors = 1U << (control >> kMsiPossible & 7U),
                       .bytes = static_cast<std::uint16_t>((control & kMsi64Bit) != 0 ? 14 : 10)};
}

/// As eventfd_ctx_fdget(): anything else would be written to for nothing, or block.
bool is_eventfd(const Fd& fd) {
  std::array<char, 64> name{};
  const std::string path = fmt::format("/proc/self/fd/{}", fd.get());
  const ssize_t length = ::readlink(path.c_str(), name.data(), name.size());
  return length > 0 &&
         std::string_view(name.data(), static_cast<std::size_t>(length)) == "anon_inode:[eventfd]";
}

Result<void> check_eventfds(const std::vector<Fd>& fds) {
  for (const Fd& fd : fds)
    if (!is_eventfd(fd)) return fail(Errno::kInval, "a descriptor is no eventfd");
  return {};
}

bool wanted(const IrqSet& request, std::uint32_t number) {
  return (request.flags & kDataNone) != 0 || request.data[number] != std::byte{0};
}

}  // namespace

IrqLines::IrqLines(hw::PciFunction& function)
    : function_(function),
      msix_(find_msix(function)),
      msi_(find_msi(function)),
      pin_(function.physical_function() == nullptr &&
           function.config_read(hw::kInterruptPin, 1) != 0),
      vectors_(std::max<std::size_t>({1, msix_ ? msix_->vectors : 0U, msi_ ? msi_->vectors : 0U})) {
}

/// Source: vfio_pci_get_irq_count() and vfio_pci_ioctl_get_irq_info(). MSI-X takes further
/// vectors while it is on.
IrqLines::Info IrqLines::info(std::uint32_t index) const {
  switch (index) {
    case kIntx:
      return {.flags = kInfoEventfd | kInfoMaskable | kInfoAutomasked, .count = pin_ ? 1U : 0U};
    case kMsi:
      return {.flags = kInfoEventfd | kInfoNoResize, .count = msi_ ? msi_->vectors : 0U};
    case kMsix:
      return {.flags = kInfoEventfd, .count = msix_ ? msix_->vectors : 0U};
    case kError:
    case kRequest:
      return {.flags = kInfoEventfd | kInfoNoResize, .count = 1};
    default:
      return {.flags = kInfoEventfd | kInfoNoResize, .count = 0};
  }
}

/// The checks are those of drivers/vfio/vfio_main.c, vfio_set_irqs_validate_and_prepare().
Result<void> IrqLines::set(const IrqSet& request, std::vector<Fd> fds) {
  const std::uint32_t data = request.flags & kData;
  const std::uint32_t action = request.flags & kAction;
  if (request.index >= kIrqIndices || (request.flags & ~(kData | kAction)) != 0)
    return fail(Errno::kInval, "no such interrupt index, or unknown flags");
  const std::uint64_t count = info(request.index).count;
  if (request.start >= count || std::uint64_t{request.start} + request.count > count)
    return fail(Errno::kInval, "the index has no such interrupts");
  if (data != kDataNone && data != kDataBool && data != kDataEventfd)
    return fail(Errno::kInval, "one kind of data");
  if (action != kActionMask && action != kActionUnmask && action != kActionTrigger)
    return fail(Errno::kInval, "one kind of action");
  if (data == kDataBool && request.data.size() < request.count)
    return fail(Errno::kInval, "a byte is missing");
  if (data != kDataEventfd ? !fds.empty() : !fds.empty() && fds.size() != request.count)
    return fail(Errno::kInval, "one descriptor an interrupt, or none at all");
  if (request.index == kIntx && action != kActionTrigger)
    return mask_intx(request, action == kActionMask);
  if (action != kActionTrigger)
    return fail(Errno::kNoTty, "these interrupts cannot be masked or unmasked");
  TEEIO_TRY(check_eventfds(fds));
  if (request.index == kError || request.index == kRequest)
    return set_single(request, std::move(fds));
  const bool is_on = on_ == request.index;
  if (is_on && request.count == 0 && (request.flags & kDataNone) != 0) {
    disable();
    return {};
  }
  if (on_ && !is_on) return fail(Errno::kInval, "another kind of interrupt is on");
  if (request.index == kIntx) return set_intx(request, std::move(fds));
  return set_messages(request, std::move(fds));
}

/// Source: vfio_pci_set_intx_mask() and vfio_pci_set_intx_unmask().
Result<void> IrqLines::mask_intx(const IrqSet& request, bool masked) {
  if (on_ != kIntx || request.start != 0 || request.count != 1)
    return fail(Errno::kInval, "INTx is off");
  if ((request.flags & kDataEventfd) != 0)
    return fail(Errno::kNoTty, "INTx is masked and unmasked by messages alone");
  if (!wanted(request, 0)) return {};
  const schedule::Lock lock(lock_);
  // What waits comes again, and stays masked.
  masked_ = masked || level_;
  if (!masked && level_) signal_event(vectors_.front());
  return {};
}

/// Source: vfio_pci_set_intx_trigger().
Result<void> IrqLines::set_intx(const IrqSet& request, std::vector<Fd> fds) {
  if (request.start != 0 || request.count != 1) return fail(Errno::kInval, "there is one INTx");
  const schedule::Lock lock(lock_);
  if ((request.flags & kDataEventfd) == 0) {
    if (!on_) return fail(Errno::kInval, "INTx is off");
    if (wanted(request, 0)) signal_event(vectors_.front());
    return {};
  }
  vectors_.front() = fds.empty() ? Fd() : std::move(fds.front());
  if (on_) return {};
  on_ = kIntx;
  masked_ = level_;
  if (level_) signal_event(vectors_.front());
  return {};
}

void IrqLines::intx(bool asserted) {
  const schedule::Lock lock(lock_);
  level_ = asserted;
  if (!asserted || on_ != kIntx || std::exchange(masked_, true)) return;
  signal_event(vectors_.front());
}

/// Source: vfio_pci_set_msi_trigger().
Result<void> IrqLines::set_messages(const IrqSet& request, std::vector<Fd> fds) {
  if ((request.flags & kDataEventfd) != 0) return give(request, std::move(fds));
  if (!on_) return fail(Errno::kInval, "this kind of interrupt is off");
  const schedule::Lock lock(lock_);
  for (std::uint32_t i = 0; i < request.count; ++i)
    if (wanted(request, i)) signal_event(vectors_.at(request.start + i));
  return {};
}

/// Source: vfio_pci_set_ctx_trigger_single().
Result<void> IrqLines::set_single(const IrqSet& request, std::vector<Fd> fds) {
  const schedule::Lock lock(lock_);
  Fd& line = request.index == kError ? error_ : request_;
  if ((request.flags & kDataEventfd) != 0) {
    line = fds.empty() ? Fd() : std::move(fds.front());
  } else if (request.count == 0) {
    line.reset();
  } else if (wanted(request, 0)) {
    signal_event(line);
  }
  return {};
}

Result<void> IrqLines::give(const IrqSet& request, std::vector<Fd> fds) {
  const std::uint32_t first = request.start, count = request.count;
  const bool on = !fds.empty();
  if (!on_ && first + count == 0) return fail(Errno::kRange, "no vectors are asked for");
  if (request.index == kMsi && on_ && on && first + count > msi_on_)
    return fail(Errno::kInval, "MSI was switched on with fewer vectors");
  if (!on)
    for (std::uint32_t i = 0; i < count; ++i) program(first + i, true);
  {
    const schedule::Lock lock(lock_);
    for (std::uint32_t i = 0; i < count; ++i)
      vectors_.at(first + i) = on ? std::move(fds[i]) : Fd();
  }
  if (!on_) switch_on(request.index, first + count);  // also when no vector has an eventfd yet
  if (!on) return {};
  // What was pending leaves now.
  for (std::uint32_t i = 0; i < count; ++i) program(first + i, false);
  return {};
}

void IrqLines::switch_on(std::uint32_t index, std::uint32_t vectors) {
  on_ = index;
  if (index == kMsix) return switch_msix(true);
  msi_on_ = vectors;
  program_msi(vectors);
}

void IrqLines::disable() {
  if (on_ == kMsix) {
    for (std::uint32_t vector = 0; vector < msix_->vectors; ++vector) program(vector, true);
    switch_msix(false);
  }
  if (on_ == kMsi) program_msi(0);
  msi_on_ = 0;
  on_.reset();
  const schedule::Lock lock(lock_);
  for (Fd& fd : vectors_) fd.reset();
}

/// The vector is in the low bits of the data; 0: MSI is off. The masks are the client's.
void IrqLines::program_msi(std::uint32_t vectors) {
  const auto at = [&](unsigned reg) { return static_cast<std::uint16_t>(msi_->capability + reg); };
  const std::uint32_t control = function_.config_read(at(kMsiControl), 2);
  const bool wide = (control & kMsi64Bit) != 0;
  const std::uint32_t kept = control & ~(kMsiEnable | 7U << kMsiChosen);
  function_.config_write(at(kMsiControl), 2, kept);
  if (vectors == 0) return;
  const std::uint64_t address = raw(hw::kInterruptRangeStart);
  function_.config_write(at(kMsiAddress), 4, static_cast<std::uint32_t>(address));
  if (wide)
    function_.config_write(at(kMsiAddress + 4U), 4, static_cast<std::uint32_t>(address >> 32U));
  function_.config_write(at(wide ? kMsiAddress + 8U : kMsiAddress + 4U), 2, 0);
  const auto chosen = static_cast<std::uint32_t>(std::countr_zero(std::bit_ceil(vectors)));
  function_.config_write(at(kMsiControl), 2, kept | chosen << kMsiChosen | kMsiEnable);
}

void IrqLines::switch_msix(bool on) {
  function_.config_write(static_cast<std::uint16_t>(msix_->capability + kMsixControl), 2,
                         on ? kMsixEnable : 0U);
}

/// The table answers only while memory space does, which the client may not have enabled
/// (Linux: vfio_pci_memory_lock_and_enable()).
template <class Step>
void IrqLines::with_memory(Step step) {
  const std::uint32_t command = function_.config_read(hw::kCommand, 2);
  const bool off = (command & hw::kCommandMemorySpace) == 0;
  if (off) function_.config_write(hw::kCommand, 2, command | hw::kCommandMemorySpace);
  step();
  if (off) function_.config_write(hw::kCommand, 2, command);
}

void IrqLines::program(std::uint32_t vector, bool masked) {
  if (on_ == kMsi || !msix_) return;  // MSI's masks are the client's
  hw::MmioTarget* const target = function_.bars().at(msix_->bar).target;
  const Bytes entry =
      Writer().le(raw(hw::kInterruptRangeStart)).le(vector).le(masked ? kMasked : 0U).take();
  with_memory([&] {
    // As registers of 4 bytes, the mask last.
    for (std::size_t at = 0; at < entry.size(); at += 4)
      target->mmio_write(msix_->table + std::uint64_t{vector} * 16 + at,
                         ByteView(entry).subspan(at, 4));
  });
}

void IrqLines::message(std::uint64_t address, std::uint32_t data) {
  const schedule::Lock lock(lock_);
  if (on_ == kIntx) return;
  if (address == raw(hw::kInterruptRangeStart) && data < vectors_.size())
    signal_event(vectors_[data]);
}

void IrqLines::rearm() {
  if (on_ == kMsi) return program_msi(msi_on_);
  if (on_ != kMsix) return;
  std::vector<bool> has;
  {
    const schedule::Lock lock(lock_);
    for (const Fd& fd : vectors_) has.push_back(fd.ok());
  }
  switch_msix(true);
  for (std::uint32_t vector = 0; vector < msix_->vectors; ++vector)
    if (has[vector]) program(vector, false);
}

void IrqLines::request_release() {
  const schedule::Lock lock(lock_);
  signal_event(request_);
}

void IrqLines::drop_all() {
  if (on_) disable();
  const schedule::Lock lock(lock_);
  for (Fd& fd : vectors_) fd.reset();
  error_.reset();
  request_.reset();
}

}  // namespace teeio::vfio_user
