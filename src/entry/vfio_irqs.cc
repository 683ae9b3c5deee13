#include <bit>
#include <cstddef>

#include "abi/vfio.h"
#include "entry/copy.h"
#include "entry/vfio_handlers.h"

namespace teeio::entry {
namespace {

using vfio::Irqs;

/// vfio_set_irqs_validate_and_prepare(): everything but the data and the action.
Result<Irqs::Request> validate(vfio::Device& device, const abi::vfio_irq_set& header) {
  constexpr std::uint32_t kFlags = VFIO_IRQ_SET_DATA_TYPE_MASK | VFIO_IRQ_SET_ACTION_TYPE_MASK;
  if (header.index >= static_cast<std::uint32_t>(vfio::IrqIndex::kCount) ||
      header.count >= 0xffffffffU - header.start || (header.flags & ~kFlags) != 0)
    return fail(Errno::kInval, "the interrupt set is malformed");
  const auto index = static_cast<vfio::IrqIndex>(header.index);
  const std::uint32_t max = device.irqs().count(index);
  if (header.start >= max || header.start + header.count > max)
    return fail(Errno::kInval, "the index has no such interrupts");
  Irqs::Request request{.index = index,
                        .start = header.start,
                        .count = header.count,
                        .data = Irqs::Data::kNone,
                        .action = Irqs::Action::kTrigger,
                        .eventfds = {},
                        .bools = {}};
  switch (header.flags & VFIO_IRQ_SET_DATA_TYPE_MASK) {
    case VFIO_IRQ_SET_DATA_NONE:
      break;
    case VFIO_IRQ_SET_DATA_BOOL:
      request.data = Irqs::Data::kBool;
      break;
    case VFIO_IRQ_SET_DATA_EVENTFD:
      request.data = Irqs::Data::kEventfd;
      break;
    default:
      return fail(Errno::kInval, "an interrupt set has one kind of data");
  }
  const std::size_t unit = request.data == Irqs::Data::kNone   ? 0
                           : request.data == Irqs::Data::kBool ? 1
                                                               : sizeof(std::int32_t);
  if ((header.argsz - sizeof(header)) / std::max<std::size_t>(unit, 1) < header.count && unit != 0)
    return fail(Errno::kInval, "argsz does not cover the interrupt set's data");
  return request;
}

// vfio_pci_set_irqs_ioctl(), which has the data already.
Result<Irqs::Action> action_of(std::uint32_t flags) {
  switch (flags & VFIO_IRQ_SET_ACTION_TYPE_MASK) {
    case VFIO_IRQ_SET_ACTION_MASK:
      return Irqs::Action::kMask;
    case VFIO_IRQ_SET_ACTION_UNMASK:
      return Irqs::Action::kUnmask;
    case VFIO_IRQ_SET_ACTION_TRIGGER:
      return Irqs::Action::kTrigger;
    default:
      return fail(Errno::kNoTty, "an interrupt set has one action");
  }
}

}  // namespace

Result<object::Ref<mm::EventFd>> eventfd_of(Call& call, std::int32_t fd) {
  if (fd < 0) return object::Ref<mm::EventFd>();
  TEEIO_ASSIGN(const object::Ref<object::File> file, call.caller.file(fd));
  if (file->kind() != object::FileKind::kForeign)
    return fail(Errno::kInval, "the descriptor is no eventfd");
  return static_cast<mm::ForeignFile&>(*file).eventfd();
}

Result<std::int64_t> ioctl_set_irqs(Call& call) {
  using Arg = abi::vfio_irq_set;
  vfio::Device& device = static_cast<vfio::DeviceFile&>(call.file).device();
  Arg header;
  TEEIO_TRY(call.memory().read(call.argument, writable_bytes_of(header)));
  if (header.argsz < sizeof(Arg)) return fail(Errno::kInval, "argsz is smaller than the structure");
  TEEIO_ASSIGN(Irqs::Request request, validate(device, header));
  const std::uint64_t data = call.argument + sizeof(Arg);
  if (request.data == Irqs::Data::kBool)
    for (std::uint32_t i = 0; i < header.count; ++i) {
      TEEIO_ASSIGN(const std::uint8_t value, copy_in<std::uint8_t>(call.memory(), data + i));
      request.bools.push_back(value != 0);
    }
  if (request.data == Irqs::Data::kEventfd)
    for (std::uint32_t i = 0; i < header.count; ++i) {
      TEEIO_ASSIGN(const std::int32_t fd,
                   copy_in<std::int32_t>(call.memory(), data + i * sizeof(std::int32_t)));
      request.eventfds.push_back({.fd = fd, .eventfd = eventfd_of(call, fd)});
    }
  TEEIO_ASSIGN(request.action, action_of(header.flags));
  TEEIO_TRY(device.irqs().set(request));
  return 0;
}

/// vfio_pci_ioctl_ioeventfd().
Result<std::int64_t> ioctl_vfio_ioeventfd(Call& call) {
  using Arg = abi::vfio_device_ioeventfd;
  Arg arg{};
  constexpr std::size_t kMinimum = offsetof(Arg, fd) + sizeof(arg.fd);
  TEEIO_TRY(call.memory().read(call.argument, writable_bytes_of(arg).first(kMinimum)));
  if (arg.argsz < kMinimum) return fail(Errno::kInval, "argsz is smaller than the structure");
  const std::uint32_t size = arg.flags & VFIO_DEVICE_IOEVENTFD_SIZE_MASK;
  if (size != arg.flags || !std::has_single_bit(size) || arg.fd < -1)
    return fail(Errno::kInval, "an ioeventfd has one size, and a descriptor or -1");
  TEEIO_TRY(static_cast<vfio::DeviceFile&>(call.file).device().set_ioeventfd(
      arg.offset, arg.data, size, {.fd = arg.fd, .eventfd = eventfd_of(call, arg.fd)}));
  return 0;
}

}  // namespace teeio::entry
