#include "entry/support.h"

#include <algorithm>

#include "abi/ioctls.h"
#include "abi/iommufd.h"
#include "abi/proposed.h"

namespace teeio::entry {
namespace {

using object::FileKind;

std::optional<abi::FileKind> abi_kind(FileKind kind) {
  switch (kind) {
    case FileKind::kIommu:
      return abi::FileKind::kIommufd;
    case FileKind::kVfioDevice:
      return abi::FileKind::kVfioDevice;
    case FileKind::kKvm:
      return abi::FileKind::kKvm;
    case FileKind::kKvmVm:
      return abi::FileKind::kVm;
    case FileKind::kKvmVcpu:
      return abi::FileKind::kVcpu;
    case FileKind::kKvmVfioDevice:
      return abi::FileKind::kKvmDevice;
    case FileKind::kGuestMemfd:
    case FileKind::kDmaBuf:
    case FileKind::kAttribute:
    case FileKind::kForeign:
      return std::nullopt;
  }
  return std::nullopt;
}

/// A proposed ioctl's number in the tables and in a profile.
struct Proposed {
  std::uint32_t row;
  std::optional<std::uint32_t> number;
};

std::vector<Proposed> proposed(abi::AbiProfile profile) {
  const abi::ProposedAbi p = abi::proposed_abi(profile);
  return {{VFIO_DEVICE_TSM_BIND, p.vfio_tsm_bind},
          {VFIO_DEVICE_TSM_UNBIND, p.vfio_tsm_unbind},
          {IOMMU_VDEVICE_TSM_OP, p.vdevice_tsm_op},
          {IOMMU_VDEVICE_TSM_REQ, p.vdevice_tsm_req},
          {IOMMU_VDEVICE_TSM_GUEST_REQUEST, p.vdevice_tsm_guest_request}};
}

const Row* row_numbered(std::span<const Row> rows, std::uint32_t number) {
  const auto at = std::find_if(rows.begin(), rows.end(),
                               [number](const Row& row) { return row.command == number; });
  return at == rows.end() ? nullptr : &*at;
}

constexpr FileKind kKinds[] = {FileKind::kIommu, FileKind::kVfioDevice, FileKind::kKvm,
                               FileKind::kKvmVm, FileKind::kKvmVcpu,    FileKind::kKvmVfioDevice};

}  // namespace

std::span<const Row> rows_of(FileKind kind) {
  switch (kind) {
    case FileKind::kIommu:
      return iommufd_rows();
    case FileKind::kVfioDevice:
      return vfio_rows();
    case FileKind::kKvm:
      return kvm_rows();
    case FileKind::kKvmVm:
      return kvm_vm_rows();
    case FileKind::kKvmVcpu:
      return kvm_vcpu_rows();
    case FileKind::kKvmVfioDevice:
      return kvm_vfio_rows();
    case FileKind::kGuestMemfd:
    case FileKind::kDmaBuf:
    case FileKind::kAttribute:
    case FileKind::kForeign:
      return {};
  }
  return {};
}

const Row* find_row(FileKind kind, abi::AbiProfile profile, std::uint32_t command) {
  const std::span<const Row> rows = rows_of(kind);
  if (kind == FileKind::kIommu || kind == FileKind::kVfioDevice) {
    for (const Proposed& p : proposed(profile))
      if (p.number == command)
        if (const Row* row = row_numbered(rows, p.row); row != nullptr) return row;
    for (const Proposed& p : proposed(profile))
      if (p.row == command) return nullptr;  // a proposed number that this profile does not use
  }
  return row_numbered(rows, command);
}

std::string_view linux_name(FileKind kind, std::uint32_t command) {
  const auto in_abi = abi_kind(kind);
  return in_abi ? abi::ioctl_name(*in_abi, command) : std::string_view{};
}

/// As the real kernel answers where a feature is missing: recorded from 7.3.4.
Errno refusal_of(FileKind kind, bool known) {
  switch (kind) {
    case FileKind::kIommu:
      return known ? Errno::kOpNotSupp : Errno::kNoTty;
    case FileKind::kKvm:
    case FileKind::kKvmVcpu:
      return Errno::kInval;
    case FileKind::kVfioDevice:
    case FileKind::kKvmVm:
    case FileKind::kKvmVfioDevice:
    case FileKind::kGuestMemfd:
    case FileKind::kDmaBuf:
    case FileKind::kAttribute:
    case FileKind::kForeign:
      return Errno::kNoTty;
  }
  return Errno::kNoTty;
}

std::vector<SupportRow> support_table(abi::AbiProfile profile) {
  std::vector<SupportRow> table;
  for (const FileKind kind : kKinds) {
    const std::size_t first = table.size();
    const std::vector<Proposed> numbers = proposed(profile);
    for (const Row& row : rows_of(kind)) {
      const auto moved = std::find_if(numbers.begin(), numbers.end(),
                                      [&](const Proposed& p) { return p.row == row.command; });
      if (moved != numbers.end() && !moved->number) continue;
      const std::uint32_t number = moved != numbers.end() ? *moved->number : row.command;
      table.push_back({kind, number, row.name, row.support, row.why, {}});
    }
    for (const abi::IoctlName& name : abi::ioctls_of(*abi_kind(kind)))
      if (find_row(kind, profile, name.request) == nullptr &&
          abi::hidden_ioctl(profile) != name.request)
        table.push_back({kind, name.request, name.name, Support::kRefused,
                         "outside of what this host models", refusal_of(kind, true)});
    std::sort(table.begin() + static_cast<std::ptrdiff_t>(first), table.end(),
              [](const SupportRow& a, const SupportRow& b) { return a.command < b.command; });
  }
  return table;
}

}  // namespace teeio::entry
