#include "entry/support.h"

#include <algorithm>

#include "abi/ioctls.h"
#include "entry/vendor_nodes.h"

namespace teeio::entry {
namespace {

using object::FileKind;

std::optional<abi::FileKind> abi_kind(FileKind kind) {
  switch (kind) {
    case FileKind::kIommu:
      return abi::FileKind::kIommufd;
    case FileKind::kVfioDevice:
      return abi::FileKind::kVfioDevice;
    case FileKind::kVfioGroup:
      return abi::FileKind::kVfioGroup;
    case FileKind::kVfioContainer:
      return abi::FileKind::kVfioContainer;
    case FileKind::kKvm:
      return abi::FileKind::kKvm;
    case FileKind::kKvmVm:
      return abi::FileKind::kVm;
    case FileKind::kKvmVcpu:
      return abi::FileKind::kVcpu;
    case FileKind::kKvmVfioDevice:
      return abi::FileKind::kKvmDevice;
    case FileKind::kGuestMemfd:
    case FileKind::kIommuFaults:
    case FileKind::kIommuEvents:
    case FileKind::kIommuTestAccess:
    case FileKind::kDmaBuf:
    case FileKind::kAttribute:
    case FileKind::kVendorNode:
    case FileKind::kForeign:
      return std::nullopt;
  }
  return std::nullopt;
}

constexpr FileKind kKinds[] = {
    FileKind::kIommu,         FileKind::kVfioDevice,    FileKind::kVfioGroup,
    FileKind::kVfioContainer, FileKind::kKvm,           FileKind::kKvmVm,
    FileKind::kKvmVcpu,       FileKind::kKvmVfioDevice, FileKind::kVendorNode};

}  // namespace

std::span<const Row> rows_of(FileKind kind) {
  switch (kind) {
    case FileKind::kIommu:
      return iommufd_rows();
    case FileKind::kVfioDevice:
      return vfio_rows();
    case FileKind::kVfioGroup:
      return vfio_group_rows();
    case FileKind::kVfioContainer:
      return vfio_container_rows();
    case FileKind::kKvm:
      return kvm_rows();
    case FileKind::kKvmVm:
      return kvm_vm_rows();
    case FileKind::kKvmVcpu:
      return kvm_vcpu_rows();
    case FileKind::kKvmVfioDevice:
      return kvm_vfio_rows();
    case FileKind::kVendorNode:
      return vendor_node_rows();
    case FileKind::kAttribute:
    case FileKind::kGuestMemfd:
    case FileKind::kIommuFaults:
    case FileKind::kIommuEvents:
    case FileKind::kIommuTestAccess:
    case FileKind::kDmaBuf:
    case FileKind::kForeign:
      return {};
  }
  return {};
}

const Row* find_row(FileKind kind, abi::AbiProfile profile, std::uint32_t command) {
  const std::span<const Row> rows = rows_of(kind);
  const abi::ProposedAbi abi = abi::proposed_abi(profile);
  // A proposed call comes before what Linux has at its number.
  for (const bool is_proposed : {true, false})
    for (const Row& row : rows)
      if ((row.proposed != nullptr) == is_proposed && row.number(abi) == command) return &row;
  return nullptr;
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
    case FileKind::kVfioGroup:
    case FileKind::kVfioContainer:
    case FileKind::kKvmVm:
    case FileKind::kKvmVfioDevice:
    case FileKind::kGuestMemfd:
    case FileKind::kIommuFaults:
    case FileKind::kIommuEvents:
    case FileKind::kIommuTestAccess:
    case FileKind::kDmaBuf:
    case FileKind::kAttribute:
    case FileKind::kVendorNode:
    case FileKind::kForeign:
      return Errno::kNoTty;
  }
  return Errno::kNoTty;
}

std::string_view profile_hint(FileKind kind, abi::AbiProfile profile, std::uint32_t command) {
  // In the order of kAbiProfiles: each says what to put into the machine file.
  constexpr std::string_view kHints[] = {
      "a proposed call where abi = \"teeio\"", "a proposed call where abi = \"iommufd-v5\"",
      "a proposed call where abi = \"iommufd-v6\"", "a proposed call where abi = \"iommufd-v7\"",
      "a proposed call where abi = \"vfio-rfc-2025\""};
  static_assert(std::size(kHints) == abi::kAbiProfiles.size());
  if (find_row(kind, profile, command) != nullptr) return {};
  for (std::size_t i = 0; i < abi::kAbiProfiles.size(); ++i) {
    const Row* row = find_row(kind, abi::kAbiProfiles[i], command);
    if (row != nullptr && row->proposed != nullptr) return kHints[i];
  }
  return {};
}

std::vector<SupportRow> support_table(abi::AbiProfile profile) {
  std::vector<SupportRow> table;
  for (const FileKind kind : kKinds) {
    const std::size_t first = table.size();
    for (const Row& row : rows_of(kind)) {
      const auto number = row.number(abi::proposed_abi(profile));
      if (!number) continue;
      if (row.proposed == nullptr && abi::hidden_ioctl(profile) == row.command) continue;
      table.push_back({kind, *number, row.name, row.support, row.why, refusal_of(kind, true)});
    }
    const auto in_abi = abi_kind(kind);
    for (const abi::IoctlName& name :
         in_abi ? abi::ioctls_of(*in_abi) : std::span<const abi::IoctlName>{})
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
