// What `-v` calls the values that vendors add to Linux's ioctls.
#include <fmt/format.h>

#include "abi/iommufd.h"
#include "abi/kvm.h"
#include "abi/proposed.h"
#include "entry/argument.h"
#include "firmware/sev/status.h"
#include "firmware/tdx/status.h"

namespace teeio::entry {
namespace {

constexpr Word kVmTypes[] = {
    TEEIO_MACRO(KVM_X86_DEFAULT_VM),   TEEIO_MACRO(KVM_X86_SW_PROTECTED_VM),
    TEEIO_MACRO(KVM_X86_SEV_VM),       TEEIO_MACRO(KVM_X86_SEV_ES_VM),
    TEEIO_MACRO(KVM_X86_SNP_VM),       TEEIO_MACRO(KVM_X86_TDX_VM),
    TEEIO_MACRO(KVM_VM_TYPE_ARM_REALM)};
constexpr Word kVmCommands[] = {TEEIO_WORD(KVM_TDX_CAPABILITIES), TEEIO_WORD(KVM_TDX_INIT_VM),
                                TEEIO_WORD(KVM_TDX_INIT_VCPU), TEEIO_WORD(KVM_TDX_INIT_MEM_REGION),
                                TEEIO_WORD(KVM_TDX_FINALIZE_VM), TEEIO_WORD(KVM_TDX_GET_CPUID),
                                // An SNP VM's, whose numbers are others.
                                TEEIO_WORD(KVM_SEV_INIT2), TEEIO_WORD(KVM_SEV_SNP_LAUNCH_START),
                                TEEIO_WORD(KVM_SEV_SNP_LAUNCH_UPDATE),
                                TEEIO_WORD(KVM_SEV_SNP_LAUNCH_FINISH)};
/// Of one command; no other has flags.
constexpr Word kVmCommandFlags[] = {TEEIO_MACRO(KVM_TDX_MEASURE_MEMORY_REGION)};
constexpr Word kArchs[] = {TEEIO_WORD(IOMMU_VDEVICE_TSM_TVM_ARCH_CCA),
                           TEEIO_WORD(IOMMU_VDEVICE_TSM_TVM_ARCH_SEV),
                           TEEIO_WORD(IOMMU_VDEVICE_TSM_TVM_ARCH_TDX)};
constexpr Word kRequests[] = {
    TEEIO_WORD(TSM_REQ_READ_OBJECT),    TEEIO_WORD(TSM_REQ_REGEN_OBJECT),
    TEEIO_WORD(TSM_REQ_OBJECT_INFO),    TEEIO_WORD(TSM_REQ_VALIDATE_MMIO),
    TEEIO_WORD(TSM_REQ_SET_TDI_STATE),  TEEIO_WORD(TSM_REQ_SEV_ENABLE_DMA),
    TEEIO_WORD(TSM_REQ_SEV_DISABLE_DMA)};
constexpr Word kViommuTypes[] = {TEEIO_WORD(IOMMU_VIOMMU_TYPE_DEFAULT),
                                 TEEIO_WORD(IOMMU_VIOMMU_TYPE_ARM_SMMUV3),
                                 TEEIO_WORD(IOMMU_VIOMMU_TYPE_TEGRA241_CMDQV)};
constexpr Word kHwptData[] = {TEEIO_WORD(IOMMU_HWPT_DATA_NONE), TEEIO_WORD(IOMMU_HWPT_DATA_VTD_S1),
                              TEEIO_WORD(IOMMU_HWPT_DATA_ARM_SMMUV3),
                              TEEIO_WORD(IOMMU_HWPT_DATA_AMD_GUEST)};
constexpr Word kInvalidateData[] = {TEEIO_WORD(IOMMU_HWPT_INVALIDATE_DATA_VTD_S1),
                                    TEEIO_WORD(IOMMU_VIOMMU_INVALIDATE_DATA_ARM_SMMUV3)};
constexpr Word kVeventqTypes[] = {TEEIO_WORD(IOMMU_VEVENTQ_TYPE_DEFAULT),
                                  TEEIO_WORD(IOMMU_VEVENTQ_TYPE_ARM_SMMUV3),
                                  TEEIO_WORD(IOMMU_VEVENTQ_TYPE_TEGRA241_CMDQV)};
constexpr Word kHwQueueTypes[] = {TEEIO_WORD(IOMMU_HW_QUEUE_TYPE_DEFAULT),
                                  TEEIO_WORD(IOMMU_HW_QUEUE_TYPE_TEGRA241_CMDQV)};
constexpr Word kHwInfoTypes[] = {
    TEEIO_WORD(IOMMU_HW_INFO_TYPE_NONE), TEEIO_WORD(IOMMU_HW_INFO_TYPE_INTEL_VTD),
    TEEIO_WORD(IOMMU_HW_INFO_TYPE_ARM_SMMUV3), TEEIO_WORD(IOMMU_HW_INFO_TYPE_TEGRA241_CMDQV),
    TEEIO_WORD(IOMMU_HW_INFO_TYPE_AMD)};
// Realm Management Monitor specification (DEN0137), RmiStatusCode.
constexpr Word kMonitorCodes[] = {
    {0, "RMI_SUCCESS"},   {1, "RMI_ERROR_INPUT"},  {2, "RMI_ERROR_REALM"},   {3, "RMI_ERROR_REC"},
    {4, "RMI_ERROR_RTT"}, {6, "RMI_ERROR_DEVICE"}, {16, "RMI_ERROR_GRANULE"}};

}  // namespace

std::span<const Word> vm_type_words() { return kVmTypes; }
std::span<const Word> vm_command_words() { return kVmCommands; }
std::span<const Word> vm_command_flag_words() { return kVmCommandFlags; }
std::span<const Word> viommu_type_words() { return kViommuTypes; }
std::span<const Word> hwpt_data_words() { return kHwptData; }
std::span<const Word> invalidate_data_words() { return kInvalidateData; }
std::span<const Word> veventq_type_words() { return kVeventqTypes; }
std::span<const Word> hw_queue_type_words() { return kHwQueueTypes; }
std::span<const Word> hw_info_type_words() { return kHwInfoTypes; }
std::span<const Word> tvm_arch_words() { return kArchs; }
std::span<const Word> guest_request_words() { return kRequests; }

std::string firmware_code_name(std::uint32_t tvm_arch, std::uint64_t code) {
  if (tvm_arch == abi::IOMMU_VDEVICE_TSM_TVM_ARCH_CCA) {
    for (const Word& word : kMonitorCodes)
      if (word.value == code) return std::string(word.name);
    return {};
  }
  if (tvm_arch == abi::IOMMU_VDEVICE_TSM_TVM_ARCH_SEV)
    return std::string(sev::status_name(static_cast<sev::Status>(code)));
  // A request that was refused for its own fields may name nobody's firmware.
  if (tvm_arch != abi::IOMMU_VDEVICE_TSM_TVM_ARCH_TDX) return {};
  constexpr int kOperandBits = 32;  // the lower half says which operand
  const auto status = static_cast<tdx::Code>(code >> kOperandBits);
  const auto operand = static_cast<std::uint32_t>(code);
  const std::string_view name = tdx::code_name(status);
  if (name == "TDX_UNKNOWN") return {};
  if (operand == 0) return std::string(name);
  const std::string_view which = tdx::operand_name(static_cast<tdx::Operand>(operand));
  return which == "?" ? fmt::format("{}|{:#x}", name, operand) : fmt::format("{}|{}", name, which);
}

std::string firmware_code_name(std::uint64_t code) {
  return firmware_code_name(abi::IOMMU_VDEVICE_TSM_TVM_ARCH_TDX, code);
}

}  // namespace teeio::entry
