#pragma once

#include <sys/types.h>

#include <string>

#include "host/mm/device_mappings.h"
#include "host/mm/user_memory.h"
#include "run/listener.h"

namespace teeio::run {

class DeviceFiles;
class Tasks;
struct Thread;

/// The memory of one thread of the program during one call, reached as its
/// ancestor: by process_vm_readv() or, where that is forbidden, /proc/<tid>/mem.
///
/// Lifetime: of the call. A write after the caller's death is EFAULT, so that
/// whoever got its thread id since is safe.
class ProgramMemory final : public mm::UserMemory, public mm::DeviceMappings {
 public:
  ProgramMemory(const Listener& listener, DeviceFiles& files, Tasks& tasks, std::uint64_t call,
                pid_t tid)
      : listener_(listener), files_(files), tasks_(tasks), call_(call), tid_(tid) {}

  Result<void> read(std::uint64_t address, std::span<std::byte> out) override;
  Result<void> write(std::uint64_t address, ByteView in) override;
  Result<object::Ref<mm::Pages>> pin(std::uint64_t address, std::uint64_t length,
                                     mm::Access access) override;
  Result<std::vector<mm::PageId>> pages(std::uint64_t address, std::uint64_t length) override;
  Result<Mapping> device_mapping(std::uint64_t address, std::uint64_t length,
                                 mm::Access access) override;
  /// A path: bytes up to a NUL. Errors: EFAULT, ENAMETOOLONG from PATH_MAX on.
  Result<std::string> read_path(std::uint64_t address);

 private:
  [[nodiscard]] Thread thread();

  const Listener& listener_;
  DeviceFiles& files_;
  Tasks& tasks_;
  const std::uint64_t call_;
  const pid_t tid_;
};

}  // namespace teeio::run
