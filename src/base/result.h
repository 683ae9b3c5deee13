#pragma once

#include <cstdint>
#include <expected>
#include <string_view>
#include <utility>

namespace teeio {

/// Linux errno values, positive, numerically equal to <asm-generic/errno*.h>.
/// kRestart never reaches a program: it says that a blocking call met a signal.
enum class Errno : std::uint16_t {
  kPerm = 1,
  kNoEnt = 2,
  kIntr = 4,
  kIo = 5,
  kNxio = 6,
  kTooBig = 7,
  kBadF = 9,
  kAgain = 11,
  kNoMem = 12,
  kAcces = 13,
  kFault = 14,
  kBusy = 16,
  kExist = 17,
  kXDev = 18,
  kNoDev = 19,
  kNotDir = 20,
  kIsDir = 21,
  kInval = 22,
  kNFile = 23,
  kMFile = 24,
  kNoTty = 25,
  kFBig = 27,
  kNoSpc = 28,
  kSPipe = 29,
  kRoFs = 30,
  kDom = 33,
  kRange = 34,
  kNameTooLong = 36,
  kNoSys = 38,
  kLoop = 40,
  kNoData = 61,
  kOverflow = 75,
  kBadFd = 77,
  kMsgSize = 90,
  kOpNotSupp = 95,
  kAddrInUse = 98,
  kTimedOut = 110,
  kAlready = 114,
  kHwPoison = 133,
  kRestart = 512,
};

/// The Linux name ("EINVAL"), or "E?" for a value outside the enumeration.
[[nodiscard]] std::string_view errno_name(Errno code);

/// Why an operation failed: the errno the program sees, and one fixed sentence
/// for the log. `why` must be a string literal, so an Error never allocates
/// and two runs of one schedule print the same bytes.
struct Error {
  Errno code;
  std::string_view why;
};

template <class T>
using Result = std::expected<T, Error>;

[[nodiscard]] inline std::unexpected<Error> fail(Errno code, std::string_view why) {
  return std::unexpected(Error{code, why});
}

}  // namespace teeio

#define TEEIO_CAT2(a, b) a##b
#define TEEIO_CAT(a, b) TEEIO_CAT2(a, b)

/// Returns the error of `expr` from the enclosing function, if it has one.
#define TEEIO_TRY(expr)                                   \
  do {                                                    \
    if (auto teeio_r = (expr); !teeio_r.has_value())      \
      return std::unexpected(std::move(teeio_r).error()); \
  } while (false)

/// Declares `decl` from the value of `expr`, or returns the error of `expr`.
#define TEEIO_ASSIGN(decl, expr) TEEIO_ASSIGN_IMPL(TEEIO_CAT(teeio_r_, __LINE__), decl, expr)
#define TEEIO_ASSIGN_IMPL(tmp, decl, expr)                              \
  auto tmp = (expr);                                                    \
  if (!tmp.has_value()) return std::unexpected(std::move(tmp).error()); \
  decl = std::move(*tmp)
