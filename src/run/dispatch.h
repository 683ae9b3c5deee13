#pragma once

#include <linux/seccomp.h>

#include <span>
#include <string_view>

#include "run/call.h"
#include "run/filter.h"

namespace teeio::run {

/// One system call: which of its calls are trapped, and who answers them.
struct Row {
  std::uint32_t number;
  Shape shape;
  std::string_view name;
  Reply (*answer)(Call&, const Row&);
  // Of the calls that are refused on virtual paths, calls_refused.cc:
  int directory = -1;  ///< argument with a directory descriptor; -1: none
  int path = -1;       ///< argument with a path
  Errno refusal = Errno::kPerm;
  Follow follow = Follow::kNo;  ///< a symbolic link as the path's last component
};

/// In the order in which the filter asks.
[[nodiscard]] std::span<const Row> rows();
struct FilterNeeds {
  bool steals = true;             ///< can_steal_descriptors(); otherwise eventfds are made here
  bool counts_processes = false;  ///< there is a ProcessLimit
  bool host_kvm = false;          ///< /dev/kvm is the host's own
};
[[nodiscard]] std::vector<FilterRow> filter_rows(const FilterNeeds& needs);

/// Answers a trapped call.
[[nodiscard]] Reply dispatch(Call& call, const seccomp_data& data);

// calls_io.cc: reading, writing, ioctl, mmap
Reply on_ioctl(Call& call, const Row& row);
Reply on_read(Call& call, const Row& row);
Reply on_write(Call& call, const Row& row);
Reply on_copy(Call& call, const Row& row);
Reply on_mmap(Call& call, const Row& row);
Reply on_resize(Call& call, const Row& row);
Reply on_fallocate(Call& call, const Row& row);
Reply on_lseek(Call& call, const Row& row);
Reply on_sync(Call& call, const Row& row);
// calls_memory.cc
Reply on_madvise(Call& call, const Row& row);
// calls_fd.cc: numbers
Reply on_close(Call& call, const Row& row);
Reply on_close_range(Call& call, const Row& row);
Reply on_dup(Call& call, const Row& row);
Reply on_dup_to(Call& call, const Row& row);
Reply on_fcntl(Call& call, const Row& row);
Reply on_eventfd(Call& call, const Row& row);
// calls_open.cc
Reply on_open(Call& call, const Row& row);
// calls_stat.cc
Reply on_fstat(Call& call, const Row& row);
Reply on_stat(Call& call, const Row& row);
Reply on_statx(Call& call, const Row& row);
Reply on_access(Call& call, const Row& row);
Reply on_truncate(Call& call, const Row& row);
Reply on_readlink(Call& call, const Row& row);
// calls_metadata.cc: permissions, owner and times of a file of the tree
Reply on_chmod(Call& call, const Row& row);
Reply on_chown(Call& call, const Row& row);
Reply on_fchmod(Call& call, const Row& row);
Reply on_fchown(Call& call, const Row& row);
Reply on_utimes(Call& call, const Row& row);
// calls_statfs.cc
Reply on_statfs(Call& call, const Row& row);
Reply on_fstatfs(Call& call, const Row& row);
// calls_directory.cc: the working directory, and watches of a directory
Reply on_chdir(Call& call, const Row& row);
Reply on_getcwd(Call& call, const Row& row);
Reply on_watch(Call& call, const Row& row);
// calls_refused.cc: what no virtual path or descriptor offers
Reply on_refused_path(Call& call, const Row& row);
Reply on_refused_pair(Call& call, const Row& row);
Reply on_no_xattr(Call& call, const Row& row);
Reply on_no_xattrs(Call& call, const Row& row);
Reply on_exec(Call& call, const Row& row);
Reply on_root_change(Call& call, const Row& row);
// calls_process.cc
Reply on_new_process(Call& call, const Row& row);
Reply on_kill(Call& call, const Row& row);
Reply on_new_user(Call& call, const Row& row);

/// The place that a call's path argument names; a path that cannot be read is
/// the host's, so that the kernel gives the error.
[[nodiscard]] Result<Place> place_of(Call& call, int directory, std::uint64_t path_address,
                                     Follow follow, std::uint64_t limits = 0);
/// Fills an attribute's backing file with what the machine has now for bytes
/// [offset, offset + count), so that a native read gives it.
Result<Bytes> refresh(Call& call, const DeviceFile& file, std::uint64_t offset, std::size_t count);

}  // namespace teeio::run
