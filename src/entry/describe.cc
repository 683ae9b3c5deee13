#include "entry/describe.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <iterator>
#include <span>

#include "abi/iommufd.h"
#include "abi/kvm.h"
#include "abi/proposed.h"
#include "abi/vfio.h"
#include "base/bytes.h"

namespace teeio::entry {
namespace {

/// A field to print: where it is, and whether as an address or mask (hex), a
/// descriptor (signed) or a count.
struct Field {
  std::string_view name;
  std::size_t offset;
  std::size_t size;
  enum class Form : std::uint8_t { kNumber, kHex, kFd } form = Form::kNumber;
};

struct Layout {
  std::string_view call;
  std::span<const Field> fields;
};

using Form = Field::Form;
#define TEEIO_FIELD(type, member, form) \
  Field { #member, offsetof(type, member), sizeof(type::member), Form::form }

constexpr Field kDestroy[] = {TEEIO_FIELD(abi::iommu_destroy, id, kNumber)};
constexpr Field kIoasAlloc[] = {TEEIO_FIELD(abi::iommu_ioas_alloc, flags, kHex),
                                TEEIO_FIELD(abi::iommu_ioas_alloc, out_ioas_id, kNumber)};
constexpr Field kIovaRanges[] = {TEEIO_FIELD(abi::iommu_ioas_iova_ranges, ioas_id, kNumber),
                                 TEEIO_FIELD(abi::iommu_ioas_iova_ranges, num_iovas, kNumber)};
constexpr Field kIoasMap[] = {TEEIO_FIELD(abi::iommu_ioas_map, flags, kHex),
                              TEEIO_FIELD(abi::iommu_ioas_map, ioas_id, kNumber),
                              TEEIO_FIELD(abi::iommu_ioas_map, user_va, kHex),
                              TEEIO_FIELD(abi::iommu_ioas_map, length, kHex),
                              TEEIO_FIELD(abi::iommu_ioas_map, iova, kHex)};
constexpr Field kIoasMapFile[] = {TEEIO_FIELD(abi::iommu_ioas_map_file, flags, kHex),
                                  TEEIO_FIELD(abi::iommu_ioas_map_file, ioas_id, kNumber),
                                  TEEIO_FIELD(abi::iommu_ioas_map_file, fd, kFd),
                                  TEEIO_FIELD(abi::iommu_ioas_map_file, start, kHex),
                                  TEEIO_FIELD(abi::iommu_ioas_map_file, length, kHex),
                                  TEEIO_FIELD(abi::iommu_ioas_map_file, iova, kHex)};
constexpr Field kIoasUnmap[] = {TEEIO_FIELD(abi::iommu_ioas_unmap, ioas_id, kNumber),
                                TEEIO_FIELD(abi::iommu_ioas_unmap, iova, kHex),
                                TEEIO_FIELD(abi::iommu_ioas_unmap, length, kHex)};
constexpr Field kIoasCopy[] = {TEEIO_FIELD(abi::iommu_ioas_copy, flags, kHex),
                               TEEIO_FIELD(abi::iommu_ioas_copy, dst_ioas_id, kNumber),
                               TEEIO_FIELD(abi::iommu_ioas_copy, src_ioas_id, kNumber),
                               TEEIO_FIELD(abi::iommu_ioas_copy, length, kHex),
                               TEEIO_FIELD(abi::iommu_ioas_copy, dst_iova, kHex),
                               TEEIO_FIELD(abi::iommu_ioas_copy, src_iova, kHex)};
constexpr Field kOption[] = {TEEIO_FIELD(abi::iommu_option, option_id, kNumber),
                             TEEIO_FIELD(abi::iommu_option, op, kNumber),
                             TEEIO_FIELD(abi::iommu_option, object_id, kNumber),
                             TEEIO_FIELD(abi::iommu_option, val64, kNumber)};
constexpr Field kVfioIoas[] = {TEEIO_FIELD(abi::iommu_vfio_ioas, ioas_id, kNumber),
                               TEEIO_FIELD(abi::iommu_vfio_ioas, op, kNumber)};
constexpr Field kInvalidate[] = {TEEIO_FIELD(abi::iommu_hwpt_invalidate, hwpt_id, kNumber),
                                 TEEIO_FIELD(abi::iommu_hwpt_invalidate, data_type, kNumber),
                                 TEEIO_FIELD(abi::iommu_hwpt_invalidate, entry_len, kNumber),
                                 TEEIO_FIELD(abi::iommu_hwpt_invalidate, entry_num, kNumber)};
constexpr Field kSetDirty[] = {TEEIO_FIELD(abi::iommu_hwpt_set_dirty_tracking, flags, kHex),
                               TEEIO_FIELD(abi::iommu_hwpt_set_dirty_tracking, hwpt_id, kNumber)};
constexpr Field kGetDirty[] = {TEEIO_FIELD(abi::iommu_hwpt_get_dirty_bitmap, hwpt_id, kNumber),
                               TEEIO_FIELD(abi::iommu_hwpt_get_dirty_bitmap, flags, kHex),
                               TEEIO_FIELD(abi::iommu_hwpt_get_dirty_bitmap, iova, kHex),
                               TEEIO_FIELD(abi::iommu_hwpt_get_dirty_bitmap, length, kHex),
                               TEEIO_FIELD(abi::iommu_hwpt_get_dirty_bitmap, page_size, kHex)};
constexpr Field kFaultQueue[] = {TEEIO_FIELD(abi::iommu_fault_alloc, flags, kHex)};
constexpr Field kVeventq[] = {TEEIO_FIELD(abi::iommu_veventq_alloc, viommu_id, kNumber),
                              TEEIO_FIELD(abi::iommu_veventq_alloc, type, kNumber),
                              TEEIO_FIELD(abi::iommu_veventq_alloc, veventq_depth, kNumber)};
constexpr Field kHwQueue[] = {TEEIO_FIELD(abi::iommu_hw_queue_alloc, viommu_id, kNumber),
                              TEEIO_FIELD(abi::iommu_hw_queue_alloc, type, kNumber),
                              TEEIO_FIELD(abi::iommu_hw_queue_alloc, nesting_parent_iova, kHex),
                              TEEIO_FIELD(abi::iommu_hw_queue_alloc, length, kHex)};
constexpr Field kTypeInfo[] = {TEEIO_FIELD(abi::vfio_iommu_type1_info, argsz, kNumber),
                               TEEIO_FIELD(abi::vfio_iommu_type1_info, flags, kHex),
                               TEEIO_FIELD(abi::vfio_iommu_type1_info, iova_pgsizes, kHex)};
constexpr Field kDmaMap[] = {TEEIO_FIELD(abi::vfio_iommu_type1_dma_map, flags, kHex),
                             TEEIO_FIELD(abi::vfio_iommu_type1_dma_map, vaddr, kHex),
                             TEEIO_FIELD(abi::vfio_iommu_type1_dma_map, iova, kHex),
                             TEEIO_FIELD(abi::vfio_iommu_type1_dma_map, size, kHex)};
constexpr Field kDmaUnmap[] = {TEEIO_FIELD(abi::vfio_iommu_type1_dma_unmap, flags, kHex),
                               TEEIO_FIELD(abi::vfio_iommu_type1_dma_unmap, iova, kHex),
                               TEEIO_FIELD(abi::vfio_iommu_type1_dma_unmap, size, kHex)};
constexpr Field kHwptAlloc[] = {TEEIO_FIELD(abi::iommu_hwpt_alloc, flags, kHex),
                                TEEIO_FIELD(abi::iommu_hwpt_alloc, dev_id, kNumber),
                                TEEIO_FIELD(abi::iommu_hwpt_alloc, pt_id, kNumber),
                                TEEIO_FIELD(abi::iommu_hwpt_alloc, out_hwpt_id, kNumber)};
constexpr Field kHwInfo[] = {TEEIO_FIELD(abi::iommu_hw_info, flags, kHex),
                             TEEIO_FIELD(abi::iommu_hw_info, dev_id, kNumber),
                             TEEIO_FIELD(abi::iommu_hw_info, data_len, kNumber)};
constexpr Field kViommuAlloc[] = {TEEIO_FIELD(abi::iommu_viommu_alloc, flags, kHex),
                                  TEEIO_FIELD(abi::iommu_viommu_alloc, type, kNumber),
                                  TEEIO_FIELD(abi::iommu_viommu_alloc, dev_id, kNumber),
                                  TEEIO_FIELD(abi::iommu_viommu_alloc, hwpt_id, kNumber),
                                  TEEIO_FIELD(abi::iommu_viommu_alloc, out_viommu_id, kNumber)};
constexpr Field kVdeviceAlloc[] = {TEEIO_FIELD(abi::iommu_vdevice_alloc, viommu_id, kNumber),
                                   TEEIO_FIELD(abi::iommu_vdevice_alloc, dev_id, kNumber),
                                   TEEIO_FIELD(abi::iommu_vdevice_alloc, out_vdevice_id, kNumber),
                                   TEEIO_FIELD(abi::iommu_vdevice_alloc, virt_id, kHex)};
constexpr Field kTsmOp[] = {TEEIO_FIELD(abi::iommu_vdevice_tsm_op, type, kNumber),
                            TEEIO_FIELD(abi::iommu_vdevice_tsm_op, flags, kHex),
                            TEEIO_FIELD(abi::iommu_vdevice_tsm_op, vdevice_id, kNumber)};
constexpr Field kTsmReq[] = {TEEIO_FIELD(abi::iommu_vdevice_tsm_req, vdevice_id, kNumber),
                             TEEIO_FIELD(abi::iommu_vdevice_tsm_req, op, kNumber),
                             TEEIO_FIELD(abi::iommu_vdevice_tsm_req, tvm_arch, kNumber),
                             TEEIO_FIELD(abi::iommu_vdevice_tsm_req, req_len, kNumber),
                             TEEIO_FIELD(abi::iommu_vdevice_tsm_req, resp_len, kNumber),
                             TEEIO_FIELD(abi::iommu_vdevice_tsm_req, tsm_code, kHex)};
constexpr Field kBind[] = {TEEIO_FIELD(abi::vfio_device_bind_iommufd, argsz, kNumber),
                           TEEIO_FIELD(abi::vfio_device_bind_iommufd, flags, kHex),
                           TEEIO_FIELD(abi::vfio_device_bind_iommufd, iommufd, kFd),
                           TEEIO_FIELD(abi::vfio_device_bind_iommufd, out_devid, kNumber)};
constexpr Field kAttach[] = {TEEIO_FIELD(abi::vfio_device_attach_iommufd_pt, flags, kHex),
                             TEEIO_FIELD(abi::vfio_device_attach_iommufd_pt, pt_id, kNumber)};
constexpr Field kRegionInfo[] = {TEEIO_FIELD(abi::vfio_region_info, flags, kHex),
                                 TEEIO_FIELD(abi::vfio_region_info, index, kNumber),
                                 TEEIO_FIELD(abi::vfio_region_info, size, kHex),
                                 TEEIO_FIELD(abi::vfio_region_info, offset, kHex)};
constexpr Field kIrqInfo[] = {TEEIO_FIELD(abi::vfio_irq_info, flags, kHex),
                              TEEIO_FIELD(abi::vfio_irq_info, index, kNumber),
                              TEEIO_FIELD(abi::vfio_irq_info, count, kNumber)};
constexpr Field kIrqSet[] = {
    TEEIO_FIELD(abi::vfio_irq_set, flags, kHex), TEEIO_FIELD(abi::vfio_irq_set, index, kNumber),
    TEEIO_FIELD(abi::vfio_irq_set, start, kNumber), TEEIO_FIELD(abi::vfio_irq_set, count, kNumber)};
constexpr Field kFeature[] = {TEEIO_FIELD(abi::vfio_device_feature, argsz, kNumber),
                              TEEIO_FIELD(abi::vfio_device_feature, flags, kHex)};
constexpr Field kTsmBind[] = {TEEIO_FIELD(abi::vfio_pci_tsm_bind, flags, kHex),
                              TEEIO_FIELD(abi::vfio_pci_tsm_bind, vdevice_id, kNumber)};
constexpr Field kRegion2[] = {TEEIO_FIELD(abi::kvm_userspace_memory_region2, slot, kNumber),
                              TEEIO_FIELD(abi::kvm_userspace_memory_region2, flags, kHex),
                              TEEIO_FIELD(abi::kvm_userspace_memory_region2, guest_phys_addr, kHex),
                              TEEIO_FIELD(abi::kvm_userspace_memory_region2, memory_size, kHex),
                              TEEIO_FIELD(abi::kvm_userspace_memory_region2, userspace_addr, kHex),
                              TEEIO_FIELD(abi::kvm_userspace_memory_region2, guest_memfd, kFd)};
constexpr Field kAttributes[] = {TEEIO_FIELD(abi::kvm_memory_attributes, address, kHex),
                                 TEEIO_FIELD(abi::kvm_memory_attributes, size, kHex),
                                 TEEIO_FIELD(abi::kvm_memory_attributes, attributes, kHex)};
constexpr Field kGmem[] = {TEEIO_FIELD(abi::kvm_create_guest_memfd, size, kHex),
                           TEEIO_FIELD(abi::kvm_create_guest_memfd, flags, kHex)};
constexpr Field kCreateDevice[] = {TEEIO_FIELD(abi::kvm_create_device, type, kNumber),
                                   TEEIO_FIELD(abi::kvm_create_device, fd, kFd),
                                   TEEIO_FIELD(abi::kvm_create_device, flags, kHex)};
constexpr Field kDeviceAttr[] = {TEEIO_FIELD(abi::kvm_device_attr, group, kNumber),
                                 TEEIO_FIELD(abi::kvm_device_attr, attr, kNumber)};
constexpr Field kTdxCommand[] = {
    TEEIO_FIELD(abi::kvm_tdx_cmd, id, kNumber), TEEIO_FIELD(abi::kvm_tdx_cmd, flags, kHex),
    TEEIO_FIELD(abi::kvm_tdx_cmd, data, kHex), TEEIO_FIELD(abi::kvm_tdx_cmd, hw_error, kHex)};
#undef TEEIO_FIELD

constexpr Layout kLayouts[] = {
    {"IOMMU_DESTROY", kDestroy},
    {"IOMMU_IOAS_ALLOC", kIoasAlloc},
    {"IOMMU_IOAS_IOVA_RANGES", kIovaRanges},
    {"IOMMU_IOAS_MAP", kIoasMap},
    {"IOMMU_IOAS_MAP_FILE", kIoasMapFile},
    {"IOMMU_IOAS_UNMAP", kIoasUnmap},
    {"IOMMU_IOAS_COPY", kIoasCopy},
    {"IOMMU_OPTION", kOption},
    {"IOMMU_VFIO_IOAS", kVfioIoas},
    {"IOMMU_HWPT_ALLOC", kHwptAlloc},
    {"IOMMU_HWPT_INVALIDATE", kInvalidate},
    {"IOMMU_HWPT_SET_DIRTY_TRACKING", kSetDirty},
    {"IOMMU_HWPT_GET_DIRTY_BITMAP", kGetDirty},
    {"IOMMU_FAULT_QUEUE_ALLOC", kFaultQueue},
    {"IOMMU_VEVENTQ_ALLOC", kVeventq},
    {"IOMMU_HW_QUEUE_ALLOC", kHwQueue},
    {"VFIO_IOMMU_GET_INFO", kTypeInfo},
    {"VFIO_IOMMU_MAP_DMA", kDmaMap},
    {"VFIO_IOMMU_UNMAP_DMA", kDmaUnmap},
    {"IOMMU_GET_HW_INFO", kHwInfo},
    {"IOMMU_VIOMMU_ALLOC", kViommuAlloc},
    {"IOMMU_VDEVICE_ALLOC", kVdeviceAlloc},
    {"IOMMU_VDEVICE_TSM_OP", kTsmOp},
    {"IOMMU_VDEVICE_TSM_REQ", kTsmReq},
    {"VFIO_DEVICE_BIND_IOMMUFD", kBind},
    {"VFIO_DEVICE_ATTACH_IOMMUFD_PT", kAttach},
    {"VFIO_DEVICE_GET_REGION_INFO", kRegionInfo},
    {"VFIO_DEVICE_GET_IRQ_INFO", kIrqInfo},
    {"VFIO_DEVICE_SET_IRQS", kIrqSet},
    {"VFIO_DEVICE_FEATURE", kFeature},
    {"VFIO_DEVICE_TSM_BIND", kTsmBind},
    {"KVM_SET_USER_MEMORY_REGION2", kRegion2},
    {"KVM_SET_MEMORY_ATTRIBUTES", kAttributes},
    {"KVM_CREATE_GUEST_MEMFD", kGmem},
    {"KVM_CREATE_DEVICE", kCreateDevice},
    {"KVM_SET_DEVICE_ATTR", kDeviceAttr},
    {"KVM_MEMORY_ENCRYPT_OP", kTdxCommand},
};

std::string print(const Field& field, ByteView bytes) {
  std::uint64_t value = 0;
  std::memcpy(&value, bytes.data() + field.offset, std::min(field.size, sizeof(value)));
  switch (field.form) {
    case Form::kNumber:
      return fmt::format("{}={}", field.name, value);
    case Form::kHex:
      return fmt::format("{}={:#x}", field.name, value);
    case Form::kFd:
      return fmt::format("{}={}", field.name, static_cast<std::int32_t>(value));
  }
  return {};
}

}  // namespace

std::string describe_argument(mm::UserMemory& memory, std::string_view name,
                              std::uint64_t argument) {
  const auto layout = std::find_if(std::begin(kLayouts), std::end(kLayouts),
                                   [name](const Layout& l) { return l.call == name; });
  std::string plain = fmt::format("{:#x}", argument);
  if (layout == std::end(kLayouts)) return plain;
  const Field& last = layout->fields.back();
  Bytes bytes(std::max<std::size_t>(last.offset + last.size, 8));
  if (!memory.read(argument, bytes)) return plain;
  std::string text = "{";
  for (const Field& field : layout->fields) {
    if (text.size() > 1) text += ", ";
    text += print(field, bytes);
  }
  return text + "}";
}

}  // namespace teeio::entry
