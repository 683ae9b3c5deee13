#pragma once

#include <linux/filter.h>

#include <cstdint>
#include <vector>

namespace teeio::run {

/// The lowest number that our descriptors get. Below FD_SETSIZE, because
/// select() must work; high, because the filter tells ours from others by it.
inline constexpr int kFirstFd = 768;
/// Numbers up to this one are looked at too: shells redirect into them.
inline constexpr int kLastStandardFd = 2;
/// Offsets from here on are taken for VFIO region offsets (VFIO_PCI_OFFSET_SHIFT).
inline constexpr unsigned kRegionShift = 40;

/// Which calls of one system call are trapped. A foreign call that is trapped
/// continues natively, so a shape may be too wide, never too narrow.
enum class Shape : std::uint8_t {
  kAlways,
  kOurFd,           ///< arg 0 is >= kFirstFd
  kRedirectedFd,    ///< arg 0 is >= kFirstFd or a standard number
  kNewFd,           ///< arg 1 is >= kFirstFd or a standard number (dup2, dup3)
  kPosition,        ///< as pread: our fd, or count <= 8, or a region offset
  kVectorPosition,  ///< as preadv: our fd, or a region offset
  kIoctl,           ///< our fd, or type ';' (iommufd, VFIO) or 0xAE (KVM)
  /// The same where KVM is the host's own: of KVM's calls on other descriptors only those on
  /// devices, one of which may be ours, and KVM_RUN on none.
  kIoctlHostKvm,
  kMmap,       ///< not anonymous, and our fd or a region offset
  kFcntl,      ///< of our fd, but for F_GETFD and F_SETFD
  kCollapse,   ///< madvise() with MADV_COLLAPSE
  kEverybody,  ///< kill() of process -1
  kAbsent,     ///< never reaches us: ENOSYS
};

struct FilterRow {
  std::uint32_t number;  ///< __NR_…
  Shape shape;
};

/// The BPF program for x86-64. Calls of the 32-bit and x32 ABIs are trapped
/// whatever they are; what no row names runs natively and costs nothing (the
/// kernel keeps a bitmap of calls whose arguments no filter looks at).
[[nodiscard]] std::vector<sock_filter> build_filter(const std::vector<FilterRow>& rows);

}  // namespace teeio::run
