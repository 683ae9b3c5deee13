#pragma once

#include <sys/types.h>

#include <memory>

#include "host/mm/device_mappings.h"
#include "host/mm/user_memory.h"
#include "run/fd.h"

namespace teeio::run {

class AddressSpace;
class DeviceFiles;

/// A thread of the program, its process and its memory.
struct Thread {
  pid_t tid;
  pid_t process;
  std::shared_ptr<const AddressSpace> space;  ///< never null
};

/// UserMemory::pin(). Memory that is one shared mapping of a file is mapped
/// here too and survives the program's munmap; other memory is reached through
/// the program's address space and is EFAULT once that is gone
/// (docs/divergences.md). Errors: EFAULT, also for a mapping of a device
/// (Linux: pin_user_pages() refuses VM_PFNMAP).
Result<object::Ref<mm::Pages>> pin_pages(DeviceFiles& files, Thread thread, std::uint64_t address,
                                         std::uint64_t length, mm::Access access);

/// UserMemory::pages(). Errors: EFAULT.
Result<std::vector<mm::PageId>> pages_at(Thread thread, std::uint64_t address,
                                         std::uint64_t length);

/// DeviceMappings::device_mapping(). Errors: EFAULT not one mapping of one of our files.
Result<mm::DeviceMappings::Mapping> find_device_mapping(DeviceFiles& files, Thread thread,
                                                        std::uint64_t address, std::uint64_t length,
                                                        mm::Access access);

/// Bytes [start, start + length) of `fd`'s file, mapped here.
/// Errors: EACCES when the descriptor does not allow `access`, ENOMEM.
Result<object::Ref<mm::Pages>> map_pages(const Fd& fd, std::uint64_t start, std::uint64_t length,
                                         mm::Access access);

}  // namespace teeio::run
