#pragma once

#include <functional>
#include <string>

namespace teeio::cli {

/// While it lives, a mistake of our own (a TEEIO_CHECK that fails, an exception
/// that nobody catches) does not end teeio at once: the program is killed and
/// reaped, the run's private directory removed, and `write` called, which must
/// take no lock that a call into the machine may hold. Then teeio aborts, so that
/// there is a core dump.
///
/// Lifetime: one at a time in a process.
class InternalErrorScope {
 public:
  /// `write` is given the mistake, as a sentence with its place.
  explicit InternalErrorScope(std::function<void(const std::string&)> write);
  ~InternalErrorScope();
  InternalErrorScope(const InternalErrorScope&) = delete;
  InternalErrorScope& operator=(const InternalErrorScope&) = delete;
};

}  // namespace teeio::cli
