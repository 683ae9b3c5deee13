#pragma once

#include <unicorn/unicorn.h>

#include <cstdint>
#include <memory>

#include "hw/cpu.h"

namespace teeio::guest {

// What both engines share of Unicorn: its words for an access, and how CPUs are made.

/// unicorn.h: enum uc_mem_type.
inline hw::GuestAccess access_of(uc_mem_type type) {
  switch (type) {
    case UC_MEM_WRITE:
    case UC_MEM_WRITE_UNMAPPED:
    case UC_MEM_WRITE_PROT:
      return hw::GuestAccess::kWrite;
    case UC_MEM_FETCH:
    case UC_MEM_FETCH_UNMAPPED:
    case UC_MEM_FETCH_PROT:
      return hw::GuestAccess::kFetch;
    case UC_MEM_READ:
    case UC_MEM_READ_UNMAPPED:
    case UC_MEM_READ_PROT:
    case UC_MEM_READ_AFTER:
      return hw::GuestAccess::kRead;
  }
  return hw::GuestAccess::kRead;
}

/// UC_PROT_*.
inline std::uint32_t right_for(hw::GuestAccess access) {
  switch (access) {
    case hw::GuestAccess::kRead:
      return UC_PROT_READ;
    case hw::GuestAccess::kWrite:
      return UC_PROT_WRITE;
    case hw::GuestAccess::kFetch:
      return UC_PROT_EXEC;
  }
  return UC_PROT_NONE;
}

template <class Engine>
class FactoryOf final : public hw::CpuFactory {
 public:
  Result<std::unique_ptr<hw::Cpu>> make(hw::GuestMemory& memory) override {
    TEEIO_ASSIGN(std::unique_ptr<hw::Cpu> cpu, Engine::create(memory));
    return cpu;
  }
};

}  // namespace teeio::guest
