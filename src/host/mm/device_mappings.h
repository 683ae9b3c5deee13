#pragma once

#include <cstdint>

#include "base/result.h"
#include "host/mm/user_memory.h"
#include "object/file.h"
#include "object/ref.h"

namespace teeio::mm {

/// What a UserMemory may be besides: one that knows which of a program's addresses are a
/// mapping of a device's file (Linux: VM_PFNMAP areas, which follow_fault_pfn() looks into).
class DeviceMappings {
 public:
  struct Mapping {
    object::Ref<object::File> file;
    std::uint64_t offset;  ///< in the file
  };
  DeviceMappings() = default;
  DeviceMappings(const DeviceMappings&) = delete;
  DeviceMappings& operator=(const DeviceMappings&) = delete;
  /// The one file that [address, address + length) maps without a gap. Errors: EFAULT.
  virtual Result<Mapping> device_mapping(std::uint64_t address, std::uint64_t length,
                                         Access access) = 0;

 protected:
  ~DeviceMappings() = default;
};

}  // namespace teeio::mm
