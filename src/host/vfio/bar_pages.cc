#include "host/vfio/bar_pages.h"

#include "host/mm/device_mappings.h"
#include "host/vfio/device.h"

namespace teeio::vfio {
namespace {

class BarPages final : public iommufd::IoptPages {
 public:
  BarPages(Hpa base, bool writable, std::uint64_t address)
      : IoptPages(schedule::Rank::kIoptPages, Source::kProgram, writable, address), base_(base) {}

  Result<void> map(iommu::Domain& domain, Iova iova, std::uint64_t start_byte, std::uint64_t length,
                   iommu::Prot prot) override TEEIO_REQUIRES(mutex()) {
    return domain.map(iova, base_ + start_byte, length, prot);
  }
  void unmap(iommu::Domain& domain, Iova iova, std::uint64_t /*start_byte*/,
             std::uint64_t length) override TEEIO_REQUIRES(mutex()) {
    (void)domain.unmap(iova, length);
  }

 private:
  const Hpa base_;
};

}  // namespace

Result<object::Ref<iommufd::IoptPages>> bar_pages(mm::UserMemory& memory, std::uint64_t address,
                                                  std::uint64_t length, mm::Access access) {
  auto* const mappings = dynamic_cast<mm::DeviceMappings*>(&memory);
  if (mappings == nullptr) return fail(Errno::kFault, "the memory is not there");
  TEEIO_ASSIGN(const auto mapping, mappings->device_mapping(address, length, access));
  if (mapping.file->kind() != object::FileKind::kVfioDevice)
    return fail(Errno::kFault, "the mapping has no memory of a device behind it");
  Device& device = static_cast<DeviceFile&>(*mapping.file).device();
  const auto bar = static_cast<std::uint32_t>(mapping.offset >> kRegionShift);
  const std::uint64_t at = mapping.offset & ((std::uint64_t{1} << kRegionShift) - 1);
  // As the program's own access would find it, and would be killed by it if not.
  std::byte first{};
  if (bar >= kBarRegions || !device.read(bar, at, {&first, 1}))
    return fail(Errno::kFault, "the device's memory is off, or its guest's");
  return object::Ref<iommufd::IoptPages>(object::make_ref<BarPages>(
      device.pci().bars()[bar].base + at, access == mm::Access::kReadWrite, address));
}

}  // namespace teeio::vfio
