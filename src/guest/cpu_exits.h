#pragma once

#include <cstdint>

#include "hw/cpu.h"

namespace teeio::guest {

// How the vCPU engine leaves the guest, and the arithmetic that its parts share.

inline hw::CpuExit exit_for(hw::CpuExit::Reason reason) {
  hw::CpuExit exit;
  exit.reason = reason;
  return exit;
}

/// The guest did what this engine does not model.
inline hw::CpuExit unsupported() { return exit_for(hw::CpuExit::Reason::kUnsupported); }
inline hw::CpuExit shutdown() { return exit_for(hw::CpuExit::Reason::kShutdown); }

inline hw::CpuExit fault(Gpa gpa, hw::GuestAccess access) {
  hw::CpuExit exit = exit_for(hw::CpuExit::Reason::kFault);
  exit.gpa = gpa;
  exit.access = access;
  exit.write = access == hw::GuestAccess::kWrite;
  return exit;
}

inline std::uint64_t page_of(std::uint64_t address) { return address & ~(kPageSize - 1); }

/// `size` in bytes.
inline std::uint64_t low_bytes(std::uint64_t value, unsigned size) {
  return size >= 8 ? value : value & ((1ULL << (8 * size)) - 1);
}

}  // namespace teeio::guest
