#pragma once

#include <cstdint>
#include <span>
#include <string_view>

namespace teeio::abi {

/// One ioctl of Linux 7.3 under its Linux name.
struct IoctlName {
  std::uint32_t request;
  std::string_view name;
};

/// The kind of file that an ioctl is made on: one number can mean different
/// calls on different files.
enum class FileKind : std::uint8_t {
  kIommufd,
  kVfioDevice,
  kVfioGroup,
  kVfioContainer,
  kKvm,
  kVm,
  kVcpu,
  kKvmDevice
};

/// Every ioctl that Linux 7.3 has on such a file (KVM: those that abi/kvm.h
/// declares), by number, whether or not teeio answers it. Proposed calls are
/// not here; abi/profile.h has their numbers.
[[nodiscard]] std::span<const IoctlName> ioctls_of(FileKind kind);

/// The name of `request` on such a file, or "" when Linux 7.3 has none.
[[nodiscard]] std::string_view ioctl_name(FileKind kind, std::uint32_t request);

}  // namespace teeio::abi
