#include "run/filter.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/audit.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <sys/mman.h>
#include <sys/syscall.h>

#include <array>
#include <cerrno>
#include <cstring>

#include "run/dispatch.h"

namespace teeio::run {
namespace {

constexpr std::uint32_t kAllow = SECCOMP_RET_ALLOW;
constexpr std::uint32_t kNotify = SECCOMP_RET_USER_NOTIF;

/// The kernel's interpreter, as far as the filter goes.
std::uint32_t evaluate(const std::vector<sock_filter>& code, const seccomp_data& data) {
  std::uint32_t accumulator = 0;
  for (std::size_t at = 0; at < code.size(); ++at) {
    const sock_filter& step = code[at];
    const auto jump = [&](bool taken) { at += taken ? step.jt : step.jf; };
    switch (step.code) {
      case BPF_LD | BPF_W | BPF_ABS:
        std::memcpy(&accumulator, reinterpret_cast<const char*>(&data) + step.k, 4);
        break;
      case BPF_ALU | BPF_AND | BPF_K:
        accumulator &= step.k;
        break;
      case BPF_JMP | BPF_JEQ | BPF_K:
        jump(accumulator == step.k);
        break;
      case BPF_JMP | BPF_JGE | BPF_K:
        jump(accumulator >= step.k);
        break;
      case BPF_JMP | BPF_JGT | BPF_K:
        jump(accumulator > step.k);
        break;
      case BPF_JMP | BPF_JSET | BPF_K:
        jump((accumulator & step.k) != 0);
        break;
      case BPF_RET | BPF_K:
        return step.k;
      default:
        ADD_FAILURE() << "unknown instruction " << step.code;
        return 0;
    }
  }
  ADD_FAILURE() << "the filter runs off its end";
  return 0;
}

using Arguments = std::array<std::uint64_t, 6>;

std::uint32_t verdict_of(const std::vector<sock_filter>& code, long number,
                         const Arguments& arguments, std::uint32_t arch) {
  seccomp_data data{};
  data.nr = static_cast<int>(number);
  data.arch = arch;
  for (std::size_t i = 0; i < arguments.size(); ++i) data.args[i] = arguments[i];
  return evaluate(code, data);
}

std::uint32_t verdict(long number, const Arguments& arguments,
                      std::uint32_t arch = AUDIT_ARCH_X86_64) {
  static const std::vector<sock_filter> code = build_filter(filter_rows({.steals = true}));
  return verdict_of(code, number, arguments, arch);
}

constexpr std::uint64_t kMinusOne = ~0ULL;
constexpr std::uint64_t kRegion = 1ULL << kRegionShift;

TEST(Filter, IoctlIsTrappedByNumberAndByTypeOnly) {
  EXPECT_EQ(verdict(SYS_ioctl, {3, 0x3b64}), kNotify);  // ';'
  EXPECT_EQ(verdict(SYS_ioctl, {3, 0xae80}), kNotify);  // KVM_RUN
  EXPECT_EQ(verdict(SYS_ioctl, {3, 0x5401}), kAllow);   // TCGETS
  EXPECT_EQ(verdict(SYS_ioctl, {767, 0x5401}), kAllow);
  EXPECT_EQ(verdict(SYS_ioctl, {768, 0x5401}), kNotify);
  EXPECT_EQ(verdict(SYS_ioctl, {kMinusOne, 0x5401}), kAllow);
}

TEST(Filter, OfTheHostsKvmOnlyCallsOnDevicesAreTrapped) {
  const std::vector<sock_filter> code =
      build_filter(filter_rows({.steals = true, .host_kvm = true}));
  const auto ioctl = [&code](std::uint64_t fd, std::uint64_t command) {
    return verdict_of(code, SYS_ioctl, {fd, command}, AUDIT_ARCH_X86_64);
  };
  for (const std::uint64_t fd : {3U, 767U, 768U, 100000U})
    EXPECT_EQ(ioctl(fd, KVM_RUN), kAllow) << fd;
  for (const unsigned long command :
       {KVM_CREATE_DEVICE, KVM_SET_DEVICE_ATTR, KVM_GET_DEVICE_ATTR, KVM_HAS_DEVICE_ATTR})
    for (const std::uint64_t fd : {3U, 768U}) EXPECT_EQ(ioctl(fd, command), kNotify) << command;
  constexpr std::uint64_t kKernels[] = {KVM_CREATE_VM, KVM_CREATE_VCPU, KVM_SET_USER_MEMORY_REGION,
                                        KVM_IRQFD,     KVM_IOEVENTFD,   KVM_SIGNAL_MSI,
                                        KVM_GET_REGS};
  for (const std::uint64_t command : kKernels) EXPECT_EQ(ioctl(3, command), kAllow) << command;
  EXPECT_EQ(ioctl(3, 0x3b64), kNotify);
  EXPECT_EQ(ioctl(768, 0x5401), kNotify);
}

TEST(Filter, ReadAndWriteAreTrappedOnOurNumbersAndTheStandardOnes) {
  for (const long number : {SYS_read, SYS_write, SYS_readv, SYS_writev, SYS_close}) {
    EXPECT_EQ(verdict(number, {0}), kNotify);
    EXPECT_EQ(verdict(number, {2}), kNotify);
    EXPECT_EQ(verdict(number, {3}), kAllow);
    EXPECT_EQ(verdict(number, {767}), kAllow);
    EXPECT_EQ(verdict(number, {768}), kNotify);
    EXPECT_EQ(verdict(number, {kMinusOne}), kAllow);
  }
}

TEST(Filter, PreadIsTrappedWhenSmallOrAtARegionOffset) {
  EXPECT_EQ(verdict(SYS_pread64, {3, 0, 8, 0}), kNotify);
  EXPECT_EQ(verdict(SYS_pread64, {3, 0, 9, 0}), kAllow);
  EXPECT_EQ(verdict(SYS_pwrite64, {3, 0, 4096, kRegion}), kNotify);
  EXPECT_EQ(verdict(SYS_pwrite64, {3, 0, 4096, kRegion - 1}), kAllow);
  EXPECT_EQ(verdict(SYS_pwrite64, {768, 0, 4096, 0}), kNotify);
  EXPECT_EQ(verdict(SYS_preadv, {3, 0, 1, kRegion}), kNotify);
  EXPECT_EQ(verdict(SYS_preadv, {3, 0, 1, 0}), kAllow);
}

TEST(Filter, AnonymousMappingsAreNeverTrapped) {
  EXPECT_EQ(verdict(SYS_mmap, {0, 4096, 3, MAP_PRIVATE | MAP_ANONYMOUS, kMinusOne, 0}), kAllow);
  EXPECT_EQ(verdict(SYS_mmap, {0, 4096, 3, MAP_SHARED | MAP_ANONYMOUS, 768, kRegion}), kAllow);
  EXPECT_EQ(verdict(SYS_mmap, {0, 4096, 3, MAP_SHARED, 768, 0}), kNotify);
  EXPECT_EQ(verdict(SYS_mmap, {0, 4096, 3, MAP_SHARED, 3, kRegion}), kNotify);
  EXPECT_EQ(verdict(SYS_mmap, {0, 4096, 3, MAP_SHARED, 3, 0}), kAllow);
}

TEST(Filter, OnlyDuplicatingCommandsOfFcntlAreTrapped) {
  EXPECT_EQ(verdict(SYS_fcntl, {768, F_DUPFD}), kNotify);
  EXPECT_EQ(verdict(SYS_fcntl, {768, F_DUPFD_CLOEXEC}), kNotify);
  EXPECT_EQ(verdict(SYS_fcntl, {768, F_GETFL}), kNotify);
  EXPECT_EQ(verdict(SYS_fcntl, {768, F_GETFD}), kAllow);
  EXPECT_EQ(verdict(SYS_fcntl, {768, F_SETFD}), kAllow);
  EXPECT_EQ(verdict(SYS_fcntl, {3, F_GETFL}), kAllow);
  EXPECT_EQ(verdict(SYS_fcntl, {3, F_DUPFD, 768}), kAllow);
}

TEST(Filter, NewNumbersOfDup2AreTrappedWhereNumbersAreRemembered) {
  EXPECT_EQ(verdict(SYS_dup2, {5, 1}), kNotify);
  EXPECT_EQ(verdict(SYS_dup2, {5, 800}), kNotify);
  EXPECT_EQ(verdict(SYS_dup3, {800, 5}), kAllow);
}

TEST(Filter, KillIsTrappedForEverybodyOnly) {
  EXPECT_EQ(verdict(SYS_kill, {0xffffffff, 9}), kNotify);
  EXPECT_EQ(verdict(SYS_kill, {~std::uint64_t{0}, 0}), kNotify);
  EXPECT_EQ(verdict(SYS_kill, {0, 9}), kAllow);
  EXPECT_EQ(verdict(SYS_kill, {0xfffffffe, 9}), kAllow);
  EXPECT_EQ(verdict(SYS_kill, {1234, 9}), kAllow);
}

TEST(Filter, RingsAreAbsentAndOtherAbisTrapped) {
  EXPECT_EQ(verdict(SYS_io_uring_setup, {}), SECCOMP_RET_ERRNO | unsigned{ENOSYS});
  EXPECT_EQ(verdict(SYS_getpid, {}), kAllow);
  EXPECT_EQ(verdict(SYS_getpid, {}, AUDIT_ARCH_I386), kNotify);
  EXPECT_EQ(verdict(0x40000000 + SYS_getpid, {}), kNotify);
}

TEST(Filter, EveryPathCallIsTrapped) {
  for (const Row& row : rows()) {
    if (row.path < 0) continue;
    EXPECT_EQ(verdict(row.number, {}), kNotify) << row.name;
  }
}

}  // namespace
}  // namespace teeio::run
