// The doors to bind, and the guest's requests, as each series numbers them.
#include <linux/iommufd.h>
#include <linux/teeio_proposed.h>
#include <linux/vfio.h>

#include <array>
#include <cstdio>
#include <cstring>

#include "device.h"
#include "evidence.h"

namespace {

int report(const char* what, int error) {
  if (error != 0) std::fprintf(stderr, "minivmm: %s: %s\n", what, std::strerror(error));
  return error;
}

std::uint32_t tvm_arch(Arch arch) {
  switch (arch) {
    case Arch::kTdx:
      return IOMMU_VDEVICE_TSM_TVM_ARCH_TDX;
    case Arch::kCca:
      return IOMMU_VDEVICE_TSM_TVM_ARCH_CCA;
    case Arch::kSev:
      break;
  }
  return IOMMU_VDEVICE_TSM_TVM_ARCH_SEV;
}

// The same request in v7, which has its own numbers.
std::uint32_t v7_request(std::uint32_t op) {
  switch (op) {
    case TSM_REQ_VALIDATE_MMIO:
      return TSM_REQ_V7_VALIDATE_MMIO;
    case TSM_REQ_SET_TDI_STATE:
      return TSM_REQ_V7_SET_TDI_STATE;
    case TSM_REQ_READ_OBJECT:
      return TSM_REQ_V7_READ_OBJECT;
    case TSM_REQ_REGEN_OBJECT:
      return TSM_REQ_V7_REGEN_OBJECT;
    default:
      return TSM_REQ_V7_OBJECT_INFO;
  }
}

// And the object.
std::uint32_t v7_object(std::uint32_t object) {
  switch (object) {
    case TSM_OBJECT_VCA:
      return TSM_OBJECT_V7_VCA;
    case TSM_OBJECT_CERTIFICATES:
      return TSM_OBJECT_V7_CERTIFICATES;
    case TSM_OBJECT_REPORT:
      return TSM_OBJECT_V7_REPORT;
    default:
      return TSM_OBJECT_V7_MEASUREMENTS;
  }
}

}  // namespace

int Device::bind_tdi(Door door, Arch arch) {
  switch (door) {
    case Door::kVfio: {
      vfio_pci_tsm_bind bind{};
      bind.argsz = sizeof bind;
      bind.vdevice_id = vdevice_id_;
      const int result = ioctl_again(vfio_, VFIO_DEVICE_TSM_BIND, &bind);
      return report("VFIO_DEVICE_TSM_BIND", result < 0 ? errno : 0);
    }
    case Door::kIommufd:
      return report("IOMMU_VDEVICE_TSM_OP bind", tsm_op(IOMMU_VDEVICE_TSM_BIND));
    case Door::kGuest:
      if (vdevice_id_ == 0)  // unbind_tdi() ended it
        if (const int error = allocate_vdevice(); error != 0)
          return report("IOMMU_VDEVICE_ALLOC", error);
      return set_tdi_state(arch, TdiState::kLocked);
    case Door::kVdevice:
      return report("IOMMU_VDEVICE_ALLOC", allocate_vdevice());
  }
  return EINVAL;
}

int Device::unbind_tdi(Door door, Arch arch) {
  switch (door) {
    case Door::kVfio: {
      vfio_pci_tsm_unbind unbind{};
      unbind.argsz = sizeof unbind;
      const int result = ioctl_again(vfio_, VFIO_DEVICE_TSM_UNBIND, &unbind);
      return report("VFIO_DEVICE_TSM_UNBIND", result < 0 ? errno : 0);
    }
    case Door::kIommufd:
      return report("IOMMU_VDEVICE_TSM_OP unbind", tsm_op(IOMMU_VDEVICE_TSM_UNBIND));
    case Door::kGuest: {
      const int error = set_tdi_state(arch, TdiState::kUnlocked);
      // Firmware has let go; the host's drivers have not.
      if (error != 0) return error;
      const int unbound = tsm_op(IOMMU_VDEVICE_TSM_UNBIND);
      // A host where the guest alone binds has no such door: the vDEVICE's end unbinds.
      if (unbound == EOPNOTSUPP) return report("IOMMU_DESTROY", destroy_vdevice());
      return report("IOMMU_VDEVICE_TSM_OP unbind", unbound);
    }
    case Door::kVdevice:
      return report("IOMMU_DESTROY", destroy_vdevice());
  }
  return EINVAL;
}

void Device::explain_other_abi() const {
  // A size of 0 is refused by whoever knows the call; only v7 has neither.
  vfio_pci_tsm_unbind unbind{};
  iommu_vdevice_tsm_req request{};
  const bool has_unbind =
      ioctl_again(vfio_, VFIO_DEVICE_TSM_UNBIND, &unbind) == 0 || errno != ENOTTY;
  const bool has_request =
      ioctl_again(iommufd_, IOMMU_VDEVICE_TSM_REQ, &request) == 0 || errno != ENOTTY;
  const bool as_expected = abi_ == Abi::kTeeio ? has_unbind : !has_unbind && !has_request;
  if (as_expected) return;
  std::fprintf(stderr,
               "minivmm: this host has TSM calls of another series than minivmm makes, or none: "
               "set abi = \"%s\" in the machine file, or `minivmm --abi` to the machine's; "
               "`teeio abi --profile NAME` lists another's\n",
               abi_ == Abi::kTeeio ? "teeio" : "iommufd-v7");
}

int Device::tsm_op(std::uint32_t type) {
  iommu_vdevice_tsm_op op{};
  op.size = sizeof op;
  op.type = type;
  op.vdevice_id = vdevice_id_;
  return ioctl_again(iommufd_, IOMMU_VDEVICE_TSM_OP, &op) < 0 ? errno : 0;
}

int Device::tsm_request(Arch arch, std::uint32_t op, const void* request, std::uint32_t size,
                        std::vector<unsigned char>* response) {
  std::array<unsigned char, 4096> buffer;
  iommu_vdevice_tsm_req req{};
  req.size = sizeof req;
  req.vdevice_id = vdevice_id_;
  req.op = abi_ == Abi::kV7 ? v7_request(op) : op;
  req.tvm_arch = tvm_arch(arch);
  req.req_len = size;
  req.req_uptr = pointer(request);
  req.resp_len = buffer.size();
  req.resp_uptr = pointer(buffer.data());
  const unsigned long call = abi_ == Abi::kV7 ? IOMMU_VDEVICE_TSM_REQ_V7 : IOMMU_VDEVICE_TSM_REQ;
  const int residue = ioctl_again(iommufd_, call, &req);
  const int error = residue < 0 ? errno : 0;
  if (error != 0) {
    std::fprintf(stderr, "minivmm: IOMMU_VDEVICE_TSM_REQ op %u: %s, firmware says 0x%llx\n", req.op,
                 std::strerror(error), static_cast<unsigned long long>(req.tsm_code));
  } else if (response != nullptr) {
    // v7 answers with the bytes of the buffer that were not used.
    const std::size_t used =
        abi_ == Abi::kV7 ? buffer.size() - static_cast<std::size_t>(residue) : req.resp_len;
    response->assign(buffer.begin(), buffer.begin() + static_cast<std::ptrdiff_t>(used));
  }
  return error;
}

// On TDX the request and its answer wait in firmware, where the guest put the
// one and takes the other: nothing but the permission to go travels here.
int Device::relay_report(Arch arch) { return read_part(arch, TSM_OBJECT_REPORT, 0, nullptr); }
int Device::relay_state(Arch arch) {
  if (abi_ == Abi::kV7) return relay_report(arch);
  return tsm_request(arch, TSM_REQ_OBJECT_INFO, nullptr, 0);
}

int Device::read_report(Arch arch, std::vector<unsigned char>& report) {
  return read_part(arch, TSM_OBJECT_REPORT, 0, &report);
}

int Device::read_evidence(Arch arch, const unsigned char* nonce,
                          std::vector<unsigned char>& evidence) {
  if (nonce != nullptr)
    if (const int error = measure_anew(arch, nonce); error != 0) return error;
  if (abi_ == Abi::kV7) return join_objects(arch, evidence);
  return read_object(arch, TSM_OBJECT_EVIDENCE, evidence);
}

// v7 has no object of all that proves a device, and TDX's guest wants just that.
int Device::join_objects(Arch arch, std::vector<unsigned char>& evidence) {
  EvidenceParts parts;
  int error = read_object(arch, TSM_OBJECT_VCA, parts.vca);
  if (error == 0) error = read_object(arch, TSM_OBJECT_CERTIFICATES, parts.certificates);
  if (error == 0) error = read_object(arch, TSM_OBJECT_MEASUREMENTS, parts.measurements);
  if (error == 0) evidence = join_evidence(parts);
  return error;
}

int Device::measure_anew(Arch arch, const unsigned char* nonce) {
  if (abi_ == Abi::kV7) {
    tsm_req_regen_object_v7 regen{};
    regen.object = TSM_OBJECT_V7_MEASUREMENTS;
    regen.nonce_uptr = pointer(nonce);
    return tsm_request(arch, TSM_REQ_REGEN_OBJECT, &regen, sizeof regen);
  }
  tsm_req_regen_object regen{};
  std::memcpy(regen.nonce, nonce, sizeof regen.nonce);
  return tsm_request(arch, TSM_REQ_REGEN_OBJECT, &regen, sizeof regen);
}

int Device::read_part(Arch arch, std::uint32_t object, std::uint64_t offset,
                      std::vector<unsigned char>* part) {
  if (abi_ == Abi::kV7) {
    tsm_req_read_object_v7 read{};
    read.object = v7_object(object);
    read.offset = offset;
    return tsm_request(arch, TSM_REQ_READ_OBJECT, &read, sizeof read, part);
  }
  const tsm_req_read_object read{object, static_cast<std::uint32_t>(offset)};
  return tsm_request(arch, TSM_REQ_READ_OBJECT, &read, sizeof read, part);
}

int Device::read_object(Arch arch, std::uint32_t object, std::vector<unsigned char>& bytes) {
  std::vector<unsigned char> part;
  do {
    if (const int error = read_part(arch, object, bytes.size(), &part); error != 0) return error;
    bytes.insert(bytes.end(), part.begin(), part.end());
  } while (!part.empty());
  return 0;
}

int Device::relay_message(Arch arch, std::uint32_t op, std::span<const std::byte> message,
                          std::vector<unsigned char>& answer) {
  return tsm_request(arch, op, message.data(), static_cast<std::uint32_t>(message.size()), &answer);
}

int Device::set_tdi_state(Arch arch, TdiState state) {
  tsm_req_set_tdi_state request{};
  request.state = static_cast<std::uint32_t>(state);
  return tsm_request(arch, TSM_REQ_SET_TDI_STATE, &request, sizeof request);
}

int Device::get_tdi_state(Arch arch, TdiState& state) {
  std::vector<unsigned char> answer;
  const int error = tsm_request(arch, TSM_REQ_OBJECT_INFO, nullptr, 0, &answer);
  std::uint32_t value = 0;
  if (error == 0 && answer.size() >= sizeof value) std::memcpy(&value, answer.data(), sizeof value);
  state = static_cast<TdiState>(value);
  return error;
}

int Device::map_mmio(Arch arch, std::uint64_t base, std::uint64_t top, std::uint64_t address) {
  tsm_req_validate_mmio request{};
  request.gpa_base = base;
  request.gpa_top = top;
  request.address = address;
  return tsm_request(arch, TSM_REQ_VALIDATE_MMIO, &request, sizeof request);
}
