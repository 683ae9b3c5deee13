#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "abi/profile.h"
#include "base/result.h"
#include "entry/argument.h"
#include "host/iommufd/environment.h"
#include "host/kvm/kvm.h"
#include "host/mm/caller.h"
#include "host/pci_tsm/pci_tsm.h"
#include "host/vfio/device.h"
#include "object/fail_nth.h"
#include "object/file.h"
#include "object/trace.h"

namespace teeio::mock {
class Bench;
}

namespace teeio::entry {

/// The host's rooms as the handlers reach them. Made by machine/.
/// Lifetime: outlives every call.
struct Host {
  object::Trace& trace;
  iommufd::Environment& iommufd;
  kvm::Kvm& kvm;
  tsm::PciTsm& tsm;
  abi::AbiProfile profile = abi::AbiProfile::kTeeio;
  vfio::ContainerKind container = vfio::ContainerKind::kType1;
  mock::Bench* bench = nullptr;         ///< null: a kernel without CONFIG_IOMMUFD_TEST
  object::FailNth* fail_nth = nullptr;  ///< null: without CONFIG_FAULT_INJECTION
};

/// One ioctl on its way.
struct Call {
  Host& host;
  mm::Caller& caller;
  object::File& file;
  std::uint64_t argument;  ///< a program address, or a value

  [[nodiscard]] mm::UserMemory& memory() const { return caller.memory(); }
};

enum class Support : std::uint8_t { kComplete, kPartial, kRefused };

/// One ioctl: its number, its name, its handler, its argument and how far it goes. The
/// table is the one place for all of them: dispatch, `teeio abi` and `-v` read it.
struct Row {
  std::uint32_t command;
  std::string_view name;
  /// One that is kRefused checks its arguments as Linux does, and then refuses; without a
  /// handler it is refused as what nobody knows.
  Result<std::int64_t> (*handler)(Call&);
  Argument argument;
  Support support = Support::kComplete;
  std::string_view why = {};  ///< what is missing, unless kComplete
  /// Of a proposed one: its number in a profile. `command` may be one that Linux has given to
  /// another call since.
  std::optional<std::uint32_t> abi::ProposedAbi::* proposed = nullptr;
  enum class When : std::uint8_t {
    kSetUp,   ///< a device that is bound to an iommufd, a container that has an IOMMU
    kAlways,  ///< also before
  } when = When::kSetUp;

  /// Its number; nullopt where the profile has no such call.
  [[nodiscard]] constexpr std::optional<std::uint32_t> number(const abi::ProposedAbi& abi) const {
    return proposed == nullptr ? std::optional(command) : abi.*proposed;
  }
};

/// Whether each number that names a struct's size has its fields.
consteval bool structs_are_laid_out(std::span<const Row> rows) {
  for (const Row& row : rows) {
    const bool sized =
        (row.command >> 30U & 1U) != 0 && (row.command >> 16U & 0x3fffU) != 0;  // _IOW
    if (sized && row.argument.kind != Argument::Kind::kStruct) return false;
  }
  return true;
}

[[nodiscard]] std::span<const Row> iommufd_rows();
[[nodiscard]] std::span<const Row> vfio_rows();
[[nodiscard]] std::span<const Row> vfio_group_rows();
[[nodiscard]] std::span<const Row> vfio_container_rows();
[[nodiscard]] std::span<const Row> kvm_rows();
[[nodiscard]] std::span<const Row> kvm_vm_rows();
[[nodiscard]] std::span<const Row> kvm_vcpu_rows();
[[nodiscard]] std::span<const Row> kvm_vfio_rows();

}  // namespace teeio::entry
