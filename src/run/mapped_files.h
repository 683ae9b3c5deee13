#pragma once

#include <sys/types.h>

#include <memory>

#include "host/mm/user_memory.h"
#include "run/fd.h"
#include "run/process_maps.h"

namespace teeio::run {

struct MappedFile {
  std::shared_ptr<const Fd> file;  ///< nullptr: there is none
  bool is_kept = false;            ///< by who holds it: the next who asks is given the same
};

/// The file of a shared mapping of `tid`: by the kernel's own link where we may follow
/// it, else by any descriptor of the program for it, else by its name.
///
/// Files in memory (tmpfs, hugetlbfs, memfds) stay open as long as somebody holds them, and are
/// the same for all who do: a program may pin each page of its memory alone. Of others each pin
/// has a look of its own, and no descriptor for longer.
/// Locking: its own, a leaf.
[[nodiscard]] MappedFile mapped_file(pid_t tid, const MapsLine& line, mm::Access access);

}  // namespace teeio::run
