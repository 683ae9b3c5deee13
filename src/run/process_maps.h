#pragma once

#include <sys/types.h>

#include <cstdint>
#include <expected>
#include <string>
#include <vector>

#include "run/fd.h"

namespace teeio::run {

/// One line of /proc/<tid>/maps.
struct MapsLine {
  std::uint64_t start = 0;
  std::uint64_t end = 0;
  bool readable = false;
  bool writable = false;
  bool executable = false;
  bool shared = false;
  std::uint64_t offset = 0;  ///< of `start` in the file, bytes
  dev_t device = 0;
  ino_t inode = 0;
  std::string path;
};

/// In ascending order; empty when the process is gone.
[[nodiscard]] std::vector<MapsLine> read_maps(pid_t tid);
/// Those that overlap [address, end). Costs what they are, however many there are else,
/// where the kernel can be asked for one (Linux 6.11).
[[nodiscard]] std::vector<MapsLine> read_maps(pid_t tid, std::uint64_t address, std::uint64_t end);

/// Why an open /proc/<tid>/maps does not say.
enum class NoMaps : std::uint8_t {
  kGone,       ///< nobody has that address space any more
  kCannotAsk,  ///< a kernel that can only be asked for all of them
};
/// As read_maps() of a range, without their paths. The file stays with the address space that it
/// was opened on (fs/proc/task_mmu.c, proc_maps_open()).
[[nodiscard]] std::expected<std::vector<MapsLine>, NoMaps> ask_maps(const Fd& maps,
                                                                    std::uint64_t address,
                                                                    std::uint64_t end);

}  // namespace teeio::run
