#include "run/device_files.h"
#include "run/dispatch.h"
#include "run/process_maps.h"

namespace teeio::run {

/// MADV_COLLAPSE: a tmpfs would make one large page of many, which no mapping of a device, a vCPU
/// or a guest_memfd allows (hugepage_vma_check(); guest_memfd.c: all folios are of order 0).
Reply on_madvise(Call& call, const Row&) {
  const std::uint64_t start = call.arg(0);
  for (const MapsLine& line : read_maps(call.tid(), start, start + call.arg(1)))
    if (call.context().files.find(line.device, line.inode))
      return Reply::of(Error{Errno::kInval, "the mapping's pages are small ones"});
  return Reply::go_on();
}

}  // namespace teeio::run
