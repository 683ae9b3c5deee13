#include "run/filter.h"

#include <fcntl.h>
#include <linux/audit.h>
#include <linux/kvm.h>
#include <linux/seccomp.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstddef>
#include <utility>

#include "base/check.h"

namespace teeio::run {
namespace {

enum class Then : std::uint8_t { kNext, kAllow, kNotify };

/// One comparison of a 32-bit half of an argument.
struct Test {
  unsigned argument;
  bool high;
  std::uint32_t mask;
  std::uint16_t jump;  ///< BPF_JEQ, BPF_JGE, BPF_JGT or BPF_JSET
  std::uint32_t value;
  Then on_true;
  Then on_false = Then::kNext;
};

using Tests = std::vector<Test>;
constexpr std::uint32_t kNoMask = 0xffffffff;
constexpr std::uint32_t kMadvCollapse = 25;  // MADV_COLLAPSE, Linux 6.1
constexpr std::uint32_t kRegionHigh = 1U << (kRegionShift - 32U);

Test low(unsigned argument, std::uint16_t jump, std::uint32_t value, Then on_true,
         Then on_false = Then::kNext) {
  return {argument, false, kNoMask, jump, value, on_true, on_false};
}
Test high(unsigned argument, std::uint16_t jump, std::uint32_t value, Then on_true) {
  return {argument, true, kNoMask, jump, value, on_true, Then::kNext};
}

/// Negative numbers are nobody's; kFirstFd and above may be ours.
void our_fd(Tests& tests, unsigned argument) {
  tests.push_back(low(argument, BPF_JGT, 0x7fffffff, Then::kAllow));
  tests.push_back(low(argument, BPF_JGE, kFirstFd, Then::kNotify));
}
void redirected_fd(Tests& tests, unsigned argument) {
  our_fd(tests, argument);
  tests.push_back(low(argument, BPF_JGT, kLastStandardFd, Then::kAllow, Then::kNotify));
}

Tests tests_of(Shape shape) {
  Tests tests;
  switch (shape) {
    case Shape::kAlways:
    case Shape::kAbsent:
      break;
    case Shape::kOurFd:
      our_fd(tests, 0);
      break;
    case Shape::kRedirectedFd:
      redirected_fd(tests, 0);
      break;
    case Shape::kNewFd:
      redirected_fd(tests, 1);
      break;
    case Shape::kPosition:
      our_fd(tests, 0);
      tests.push_back(low(2, BPF_JGT, 8, Then::kNext, Then::kNotify));
      tests.push_back(high(3, BPF_JGE, kRegionHigh, Then::kNotify));
      break;
    case Shape::kVectorPosition:
      our_fd(tests, 0);
      tests.push_back(high(3, BPF_JGE, kRegionHigh, Then::kNotify));
      break;
    case Shape::kIoctl:
      our_fd(tests, 0);
      tests.push_back({1, false, 0xff00, BPF_JEQ, ';' << 8U, Then::kNotify});
      tests.push_back({1, false, 0xff00, BPF_JEQ, 0xAE << 8U, Then::kNotify});
      break;
    case Shape::kIoctlHostKvm:
      tests.push_back(low(1, BPF_JEQ, KVM_RUN, Then::kAllow));
      our_fd(tests, 0);
      tests.push_back({1, false, 0xff00, BPF_JEQ, ';' << 8U, Then::kNotify});
      for (const auto command :
           {KVM_CREATE_DEVICE, KVM_SET_DEVICE_ATTR, KVM_GET_DEVICE_ATTR, KVM_HAS_DEVICE_ATTR})
        tests.push_back(low(1, BPF_JEQ, static_cast<std::uint32_t>(command), Then::kNotify));
      break;
    case Shape::kMmap:
      tests.push_back(low(3, BPF_JSET, MAP_ANONYMOUS, Then::kAllow));
      our_fd(tests, 4);
      tests.push_back(high(5, BPF_JGE, kRegionHigh, Then::kNotify));
      break;
    case Shape::kCollapse:
      tests.push_back(low(2, BPF_JEQ, kMadvCollapse, Then::kNotify));
      break;
    case Shape::kEverybody:
      tests.push_back(low(0, BPF_JEQ, 0xffffffff, Then::kNotify));
      break;
    case Shape::kFcntl:
      tests.push_back(low(1, BPF_JEQ, F_GETFD, Then::kAllow));
      tests.push_back(low(1, BPF_JEQ, F_SETFD, Then::kAllow));
      our_fd(tests, 0);
      break;
  }
  return tests;
}

constexpr std::uint16_t kLoadWord = BPF_LD | BPF_W | BPF_ABS;

sock_filter statement(std::uint16_t code, std::uint32_t value) { return {code, 0, 0, value}; }

std::uint32_t offset_of(const Test& test) {
  const std::size_t base = offsetof(seccomp_data, args) + std::size_t{8} * test.argument;
  return static_cast<std::uint32_t>(base + (test.high ? 4U : 0U));
}

std::uint8_t distance(std::size_t from, std::size_t to) {
  TEEIO_CHECK(to > from && to - from - 1 < 256, "a jump of the filter is too long");
  return static_cast<std::uint8_t>(to - from - 1);
}

/// The tests, then "allow", then "notify".
std::vector<sock_filter> block_of(Shape shape) {
  if (shape == Shape::kAlways) return {statement(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF)};
  if (shape == Shape::kAbsent)
    return {statement(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | static_cast<unsigned>(ENOSYS))};
  std::vector<sock_filter> code;
  std::vector<std::pair<std::size_t, Test>> jumps;
  for (const Test& test : tests_of(shape)) {
    code.push_back(statement(kLoadWord, offset_of(test)));
    if (test.mask != kNoMask) code.push_back(statement(BPF_ALU | BPF_AND | BPF_K, test.mask));
    jumps.emplace_back(code.size(), test);
    const auto jump = static_cast<std::uint16_t>(BPF_JMP | test.jump | BPF_K);
    code.push_back(statement(jump, test.value));
  }
  const std::size_t allow = code.size();
  for (const auto& [at, test] : jumps) {
    const auto target = [allow, from = at](Then then) -> std::uint8_t {
      if (then == Then::kNext) return 0;
      return distance(from, then == Then::kAllow ? allow : allow + 1);
    };
    code[at].jt = target(test.on_true);
    code[at].jf = target(test.on_false);
  }
  code.push_back(statement(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  code.push_back(statement(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF));
  return code;
}

}  // namespace

std::vector<sock_filter> build_filter(const std::vector<FilterRow>& rows) {
  constexpr std::uint32_t kX32Bit = 0x40000000;
  std::vector<sock_filter> code = {
      statement(kLoadWord, offsetof(seccomp_data, arch)),
      {BPF_JMP | BPF_JEQ | BPF_K, 1, 0, AUDIT_ARCH_X86_64},
      statement(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
      statement(kLoadWord, offsetof(seccomp_data, nr)),
      {BPF_JMP | BPF_JGE | BPF_K, 0, 1, kX32Bit},
      statement(BPF_RET | BPF_K, SECCOMP_RET_USER_NOTIF),
  };
  for (const FilterRow& row : rows) {
    const std::vector<sock_filter> block = block_of(row.shape);
    code.push_back({BPF_JMP | BPF_JEQ | BPF_K, 0, distance(0, block.size() + 1), row.number});
    code.insert(code.end(), block.begin(), block.end());
  }
  code.push_back(statement(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  return code;
}

}  // namespace teeio::run
