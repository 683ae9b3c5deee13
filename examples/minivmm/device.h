#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "fd.h"
#include "options.h"

// What sysfs says of a function.
struct Function {
  std::string bdf;
  std::string vfio_path;  // /dev/vfio/devices/vfioN
  std::string pf0;        // the function whose tsm/ directory connects the card
  bool is_virtual = false;
  std::uint16_t requester_id() const;
};
// Functions that VFIO has and whose card has a TSM.
std::vector<Function> assignable_functions();
// echo tsmN > tsm/connect, unless it is connected.
void connect_tsm(const Function& function);

struct Region {
  std::uint64_t size = 0;
  std::uint64_t offset = 0;
};

// A VFIO device on an iommufd, with what makes it a vDEVICE of a VM.
class Device {
 public:
  Device(const Function& function, Abi abi);

  const Function& function() const { return function_; }
  const Fd& vfio() const { return vfio_; }
  const Region& bar(unsigned index) const { return bars_.at(index); }

  void bind_iommufd();
  // IOAS and nest-parent HWPT; the device's DMA reaches `memory` by addresses from `iova`.
  void attach_shared_dma(std::span<std::byte> memory, std::uint64_t iova);
  // `size` bytes of a guest_memfd, by addresses from 0.
  void map_private_dma(const Fd& file, std::uint64_t size);
  void allocate_viommu();
  // Gives 0 or an errno: in v7 this binds.
  int allocate_vdevice();
  Fd export_bar(unsigned index) const;

  // Reads and writes of a region, as the guest makes them.
  std::uint64_t read(const Region& region, std::uint64_t offset, unsigned size) const;
  void write(const Region& region, std::uint64_t offset, unsigned size, std::uint64_t value) const;
  const Region& config() const { return config_; }

  // Through one of the doors. Give 0 or an errno; what firmware says of a
  // refusal goes to standard error.
  int bind_tdi(Door door, Arch arch);
  int unbind_tdi(Door door, Arch arch);

  // IOMMU_VDEVICE_TSM_REQ.
  int relay_report(Arch arch);
  // The report itself, where firmware gives it to the host (CCA).
  int read_report(Arch arch, std::vector<unsigned char>& report);
  int relay_state(Arch arch);  // in v7: the report again, as firmware knows what it holds
  // An SNP guest's message for firmware, and the answer.
  int relay_message(Arch arch, std::uint32_t op, std::span<const std::byte> message,
                    std::vector<unsigned char>& answer);
  int measure_anew(Arch arch, const unsigned char* nonce);
  int join_objects(Arch arch, std::vector<unsigned char>& evidence);
  int read_object(Arch arch, std::uint32_t object, std::vector<unsigned char>& bytes);
  // What the device proves: measured anew with the guest's nonce of 32 bytes, or without
  // one (nullptr) as the host has kept it.
  int read_evidence(Arch arch, const unsigned char* nonce, std::vector<unsigned char>& evidence);
  enum class TdiState { kUnlocked, kLocked, kRun };  // enum tsm_tdi_state
  int set_tdi_state(Arch arch, TdiState state);
  int get_tdi_state(Arch arch, TdiState& state);  // CCA; v7 has no such request
  // A realm wants device memory at its addresses.
  int map_mmio(Arch arch, std::uint64_t base, std::uint64_t top, std::uint64_t address);

  // After a failure: says so if the host's TSM calls are not those that this program makes.
  void explain_other_abi() const;

  void close_vfio() { vfio_.close(); }
  void close_iommufd() { iommufd_.close(); }

 private:
  Region region(unsigned index) const;
  int destroy_vdevice();
  int read_part(Arch arch, std::uint32_t object, std::uint64_t offset,
                std::vector<unsigned char>* part);
  int tsm_op(std::uint32_t type);
  int tsm_request(Arch arch, std::uint32_t op, const void* request, std::uint32_t size,
                  std::vector<unsigned char>* response = nullptr);

  Function function_;
  Abi abi_;
  Fd iommufd_;
  Fd vfio_;
  std::array<Region, 6> bars_;
  Region config_;
  std::uint32_t device_id_ = 0;
  std::uint32_t ioas_id_ = 0;
  std::uint32_t hwpt_id_ = 0;
  std::uint32_t viommu_id_ = 0;
  std::uint32_t vdevice_id_ = 0;
};
