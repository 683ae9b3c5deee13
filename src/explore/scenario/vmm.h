#pragma once

#include <cstdint>
#include <string_view>

#include "abi/iommufd.h"
#include "abi/kvm.h"
#include "abi/vfio.h"
#include "firmware/sev/platform.h"
#include "machine/program.h"
#include "schedule/relaxed.h"

namespace teeio::explore {

// The functions of the built-in machines: a TEE-I/O card with two VFs, and a plain one.
inline constexpr std::string_view kCard = "/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0";
inline constexpr std::string_view kPf = "/dev/vfio/devices/vfio0";
inline constexpr std::string_view kVf0 = "/dev/vfio/devices/vfio1";
inline constexpr std::string_view kVf1 = "/dev/vfio/devices/vfio2";
inline constexpr std::string_view kPlainCard = "/dev/vfio/devices/vfio3";

inline constexpr std::uint64_t kOrdinaryVm = 0;
inline constexpr std::uint64_t kTdxVm = 5;        ///< KVM_X86_TDX_VM
inline constexpr std::uint64_t kRealmVm = 0x100;  ///< KVM_VM_TYPE_ARM_REALM as posted
inline constexpr std::uint64_t kSnpVm = 4;        ///< KVM_X86_SNP_VM
/// Where the MMIO of BAR2 lies for the guest.
inline constexpr Gpa kMmioGpa{0x8000'0000};

/// `echo tsm0 > …/tsm/connect` of the card, and its opposite.
Result<void> connect(machine::Program& program);
Result<void> disconnect(machine::Program& program);

/// A VMM with one VM and one assigned function, step by step. Each step gives
/// the errno of its call, so that whoever drives it can stop at the one it is
/// about.
///
/// Locking: as Program; but a step that stores a descriptor or an id is for one
/// task at a time.
class Vmm : public machine::Program {
 public:
  explicit Vmm(machine::Machine& machine, std::int32_t pid = 1) : Program(machine, pid) {}

  // --- The VM ---
  /// KVM_CREATE_VM, and KVM_TDX_INIT_VM of a TD.
  Result<void> make_vm(std::uint64_t type = kTdxVm);
  /// KVM_SEV_*: an SNP guest's launch, with nothing in it; the end makes its vCPU too.
  Result<void> sev(std::uint32_t id, std::uint64_t data);
  Result<void> start_snp();
  Result<void> finish_snp();
  Result<void> make_vcpu();
  /// A vCPU, and a TD that may run.
  Result<void> finalize();
  Result<void> tdx(int fd, std::uint32_t id, std::uint64_t data);
  Result<void> set_region(const abi::kvm_userspace_memory_region2& region);
  Result<void> set_private(Gpa start, std::uint64_t size, bool is_private = true);
  Result<void> pre_fault(Gpa page, std::uint64_t size = kPageSize);

  // --- The function ---
  Result<void> open_device(std::string_view path);
  /// KVM_DEV_VFIO_FILE_ADD or _DEL.
  Result<void> associate(std::uint64_t attribute = KVM_DEV_VFIO_FILE_ADD);
  Result<void> bind_iommufd();
  Result<void> make_viommu(std::uint32_t type = IOMMU_VIOMMU_TYPE_TSM);
  Result<void> make_vdevice(std::uint64_t id = 0x10);
  enum class Upto : std::uint8_t { kViommu, kVdevice };
  /// Everything before bind, for a function of the card.
  Result<void> prepare(std::string_view device, std::uint64_t vm_type = kTdxVm,
                       Upto last = Upto::kVdevice);
  /// IOMMU_DESTROY.
  Result<void> destroy(std::uint32_t id);

  // --- Bind, by each door ---
  Result<void> vfio_bind() { return vfio_bind(vdevice_id); }
  Result<void> vfio_bind(std::uint32_t id, std::uint32_t flags = 0);
  Result<void> vfio_unbind(std::uint32_t flags = 0);
  /// IOMMU_VDEVICE_TSM_OP.
  Result<void> iommufd_op(std::uint32_t type) { return iommufd_op(type, vdevice_id); }
  Result<void> iommufd_op(std::uint32_t type, std::uint32_t id, std::uint32_t flags = 0);
  /// IOMMU_VDEVICE_TSM_REQ with a payload of one u32.
  Result<std::int64_t> request(std::uint32_t op, std::uint32_t arch, std::uint32_t payload,
                               std::uint64_t* code = nullptr);

  // --- Private MMIO ---
  /// VFIO_DEVICE_FEATURE_DMA_BUF of a BAR's first `size` bytes: its descriptor.
  Result<int> export_bar(std::uint32_t bar, std::uint64_t size);
  /// The memslot of `mmio_buffer` at kMmioGpa; `size` 0 deletes it.
  Result<void> set_mmio_slot(std::uint32_t slot = kMmioSlot, std::uint64_t size = kPageSize);
  /// The first page of BAR2 as the guest's private MMIO at kMmioGpa.
  Result<void> map_private_mmio(std::uint32_t slot = kMmioSlot);

  // --- Trusted DMA ---
  /// The guest's part; `function` is bound to the VM.
  Result<void> guest_enables_dma(Bdf function);
  /// What firmware knows of this VM, an SNP guest. Errors: ENXIO it is none.
  Result<sev::GuestContext> snp_guest();
  /// IOMMU_VDEVICE_TSM_REQ with bytes each way.
  Result<Bytes> send(std::uint32_t op, std::uint32_t arch, ByteView payload);

  void close_vm_files();

  static constexpr std::uint32_t kMmioSlot = 7;
  using Descriptor = schedule::Relaxed<int>;  // one task may close what another uses
  Descriptor kvm{-1}, vm{-1}, vcpu{-1}, kvm_vfio{-1}, vfio{-1}, iommufd{-1}, mmio_buffer{-1};
  std::uint32_t dev_id = 0, ioas_id = 0, hwpt_id = 0, viommu_id = 0, vdevice_id = 0;
  std::uint64_t virt_id = 0;  ///< of the vDEVICE: how the guest names it
};

}  // namespace teeio::explore
