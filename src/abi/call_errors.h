#pragma once

#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace teeio::abi {

/// An errno that Linux may give at a call whatever the program did right: what
/// `--inject fail:…` and `signal:…` offer. What only wrong arguments give is not here.
struct CallError {
  /// An ioctl's name, or "open", "read", "write", "mmap", "close", "fallocate", and
  /// "attribute-read", "attribute-write" for files of sysfs.
  std::string_view call;
  /// kIntr: the call may sleep, and a signal ends its sleep.
  Errno error;
  std::string_view source;  ///< the kernel function that gives it, and when
};

/// Errors of one call stand together.
[[nodiscard]] std::span<const CallError> call_errors();
/// Those of `call`; empty for one that has none.
[[nodiscard]] std::span<const CallError> errors_of(std::string_view call);
/// The calls that have some, each once.
[[nodiscard]] std::vector<std::string_view> calls_with_errors();

}  // namespace teeio::abi
