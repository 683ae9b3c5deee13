#pragma once

#include <linux/kvm.h>

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "fd.h"

// Anonymous memory of this process.
class Mapping {
 public:
  Mapping() = default;
  Mapping(std::size_t size, int fd, int flags);
  Mapping(Mapping&& other) noexcept { *this = std::move(other); }
  Mapping& operator=(Mapping&& other) noexcept {
    std::swap(at_, other.at_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~Mapping() { unmap(); }
  void unmap();
  std::span<std::byte> bytes() const { return {static_cast<std::byte*>(at_), size_}; }
  void* at() const { return at_; }

 private:
  void* at_ = nullptr;
  std::size_t size_ = 0;
};

// A VM of KVM with one vCPU.
class Vm {
 public:
  explicit Vm(unsigned long type);

  void init_td();
  // An SNP guest's launch begins; takes whole pages, of a KVM_SEV_SNP_PAGE_TYPE_*; and ends,
  // with the vCPU's registers as they are.
  void start_snp();
  void update_snp(std::uint64_t gpa, std::span<const std::byte> pages, std::uint8_t type);
  void finish_snp();
  // A realm: the host's calls (RHI) that KVM passes on; whole pages for its protected memory;
  // its vCPU's first instruction, with `argument` in x0; a vCPU's registers.
  void forward_host_calls(bool abort);
  void populate(std::uint64_t gpa, std::span<const std::byte> pages);
  void init_arm_vcpu(std::uint64_t pc, std::uint64_t argument);
  std::uint64_t arm_register(unsigned number) const;
  void set_arm_register(unsigned number, std::uint64_t value) const;
  // RAM at `gpa`: private memory from a guest_memfd, with `shared` as its other
  // side.
  void add_ram(std::uint32_t slot, std::uint64_t gpa, const Mapping& shared);
  // Whether a range is private (new RAM is shared).
  void set_private(std::uint64_t gpa, std::uint64_t size, bool is_private);
  void add_mmio(std::uint32_t slot, std::uint64_t gpa, std::uint64_t size, const Fd& dma_buf);
  void remove_slot(std::uint32_t slot);
  // KVM must know the VM's devices before they are bound to an iommufd.
  void associate(const Fd& vfio);
  void dissociate(const Fd& vfio);

  void add_vcpu();
  // A TD's vCPU begins with `argument` in RCX and R8.
  void init_td_vcpu(std::uint64_t argument);
  // Flat 32-bit code at `rip`, with `argument` in R8.
  void set_entry(std::uint64_t rip, std::uint64_t argument);
  // Maps guest memory as an access of the guest would.
  void pre_fault(std::uint64_t gpa, std::uint64_t size);
  // Copies pages into private memory before the first run, and measures them.
  void load(std::uint64_t gpa, std::span<const std::byte> pages);
  void finalize();

  // Runs until something needs an answer. Gives 0 or an errno; EFAULT with
  // KVM_EXIT_MEMORY_FAULT is an exit like others.
  int run();
  // The guest_memfd of the slot that came first.
  const Fd& ram_file() const { return memory_.front(); }
  kvm_run& state() const { return *static_cast<kvm_run*>(run_.at()); }

  void close();

 private:
  void tdx(const Fd& fd, std::uint32_t id, std::uint32_t flags, std::uint64_t data,
           const char* what);
  void sev(std::uint32_t id, std::uint64_t data, const char* what);

  Fd kvm_;
  Fd vm_;
  Fd vcpu_;
  Fd vfio_device_;
  std::vector<Fd> memory_;  // guest_memfds, as long as their slots
  Mapping run_;
};
