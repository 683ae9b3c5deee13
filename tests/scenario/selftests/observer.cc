// Preloaded (LD_PRELOAD) into Linux's iommufd selftest by tools/kernel_selftests.
//
// The selftest asks a kernel with CONFIG_IOMMUFD_TEST to look at itself through
// IOMMU_TEST_CMD. Nearly all of that ioctl's operations drive mock devices and
// domains; they exist neither here nor in a kernel without the option, and their
// tests fail. Two of them only watch, and without them no test of the program can
// end, those too that use nothing but the uAPI:
//
//   MD_CHECK_REFS          after each test: does the kernel still pin the buffer?
//   SET_TEMP_MEMORY_LIMIT  how much kernel memory one batch of pages may take
//
// To answer these two is honest. teeio reads a program's memory when it is accessed
// and pins no page (docs/divergences.md), so "no pin" is the truth, and a test that
// says that there is one is told EIO, as it would be by a kernel that lost it. A
// batch has no memory here that a limit could make smaller. Neither answer stands
// for anything that a test then asserts about IOAS, HWPT, vIOMMU or vDEVICE: each of
// those calls reaches the kernel, which is also asked first here, so that a kernel
// with the option answers for itself.
//
// Source: Linux drivers/iommu/iommufd/iommufd_test.h and iommufd_test() in selftest.c.

#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdarg>
#include <cstdint>

namespace {

constexpr unsigned long kIommuTestCmd = 0x3ba0;  // _IO(';', 0xa0)
constexpr std::uint32_t kMdCheckRefs = 4;
constexpr std::uint32_t kSetTempMemoryLimit = 9;
constexpr std::uint32_t kSmallestLimit = 12;  // bytes: one element of a batch

/// struct iommu_test_cmd, as far as the two operations go.
struct TestCmd {
  std::uint32_t size;
  std::uint32_t op;
  std::uint32_t id;
  std::uint32_t reserved;
  union {
    struct {
      std::uint64_t length;
      std::uint64_t address;
      std::uint32_t pins;
    } check_refs;
    std::uint32_t memory_limit;  // bytes
  };
};

int refuse(int error) {
  errno = error;
  return -1;
}

/// What is refused is refused as before.
int answer(const TestCmd& command) {
  if (command.op == kMdCheckRefs) return command.check_refs.pins == 0 ? 0 : refuse(EIO);
  if (command.op == kSetTempMemoryLimit)
    return command.memory_limit >= kSmallestLimit ? 0 : refuse(EINVAL);
  return refuse(ENOTTY);
}

}  // namespace

extern "C" int ioctl(int fd, unsigned long request, ...) noexcept {
  va_list arguments;
  va_start(arguments, request);
  void* const argument = va_arg(arguments, void*);
  va_end(arguments);
  const auto result = static_cast<int>(syscall(SYS_ioctl, fd, request, argument));
  if (result != -1 || errno != ENOTTY || request != kIommuTestCmd) return result;
  return answer(*static_cast<const TestCmd*>(argument));
}
