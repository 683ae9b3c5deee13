#pragma once

#include <source_location>
#include <string>
#include <utility>

#include "base/check.h"

namespace teeio::test {

/// Turns failed checks into exceptions while it lives, for native mode: what a
/// failing check would print is compared without a process of its own.
class ThrowingChecks {
 public:
  struct Failed {
    std::string what;
  };
  ThrowingChecks()
      : before_(set_check_handler([](std::string_view what, std::source_location) {
          throw Failed{std::string(what)};
        })) {}
  ~ThrowingChecks() { set_check_handler(before_); }
  ThrowingChecks(const ThrowingChecks&) = delete;
  ThrowingChecks& operator=(const ThrowingChecks&) = delete;

 private:
  CheckHandler before_;
};

/// The sentence of the check that `action` fails, or "" if it fails none.
template <class Action>
std::string failed_check(Action action) {
  const ThrowingChecks throwing;
  try {
    action();
  } catch (const ThrowingChecks::Failed& failed) {
    return failed.what;
  }
  return "";
}

}  // namespace teeio::test
