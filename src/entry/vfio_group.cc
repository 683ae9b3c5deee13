#include <algorithm>
#include <array>

#include "abi/vfio.h"
#include "entry/copy.h"
#include "entry/vfio_handlers.h"

// Linux drivers/vfio/group.c.

namespace teeio::entry {
namespace {

vfio::Group& group(Call& call) { return static_cast<vfio::GroupFile&>(call.file).group(); }

/// strndup_user(): a page at a time at most, for what is behind the end may not be there.
/// Errors: EFAULT; EINVAL longer than a page.
Result<std::string> copy_string_in(mm::UserMemory& memory, std::uint64_t address) {
  std::string text;
  std::array<char, 256> piece{};
  while (text.size() < kPageSize) {
    const auto count = static_cast<std::size_t>(
        std::min<std::uint64_t>(piece.size() - address % piece.size(), kPageSize - text.size()));
    const auto part = std::span(piece).first(count);
    TEEIO_TRY(memory.read(address, std::as_writable_bytes(part)));
    const auto end = std::ranges::find(part, '\0');
    text.append(part.begin(), end);
    if (end != part.end()) return text;
    address += count;
  }
  return fail(Errno::kInval, "the name is longer than a page");
}

}  // namespace

Result<std::int64_t> ioctl_group_get_status(Call& call) {
  using Arg = abi::vfio_group_status;
  TEEIO_ASSIGN(Arg arg, copy_argsz_in<Arg>(call.memory(), call.argument, sizeof(Arg)));
  TEEIO_ASSIGN(const auto status, group(call).status());
  arg.flags = 0;
  if (status.viable) arg.flags |= VFIO_GROUP_FLAGS_VIABLE;
  if (status.container_set) arg.flags |= VFIO_GROUP_FLAGS_CONTAINER_SET;
  TEEIO_TRY(copy_out(call.memory(), call.argument, arg));
  return 0;
}

Result<std::int64_t> ioctl_group_set_container(Call& call) {
  TEEIO_ASSIGN(const auto fd, copy_in<std::int32_t>(call.memory(), call.argument));
  TEEIO_ASSIGN(object::Ref<object::File> file, call.caller.file(fd));
  TEEIO_TRY(group(call).set_container(std::move(file)));
  return 0;
}

Result<std::int64_t> ioctl_group_unset_container(Call& call) {
  TEEIO_TRY(group(call).unset_container());
  return 0;
}

Result<std::int64_t> ioctl_group_get_device_fd(Call& call) {
  TEEIO_ASSIGN(const std::string name, copy_string_in(call.memory(), call.argument));
  TEEIO_ASSIGN(object::Ref<object::File> file, group(call).device(name));
  constexpr std::uint32_t kReadWrite = 2, kCloseOnExec = 02000000;
  TEEIO_ASSIGN(const std::int32_t fd,
               call.caller.install(std::move(file), kReadWrite | kCloseOnExec));
  return fd;
}

}  // namespace teeio::entry
