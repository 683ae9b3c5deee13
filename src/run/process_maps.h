#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

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

}  // namespace teeio::run
