#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <string_view>

#include "explore/scenario/vmm.h"
#include "machine/machine.h"

namespace teeio::machine::test {

using explore::connect;
using explore::disconnect;
using explore::kCard;
using explore::kMmioGpa;
using explore::kOrdinaryVm;
using explore::kPf;
using explore::kPlainCard;
using explore::kTdxVm;
using explore::kVf0;
using explore::kVf1;
using explore::Vmm;

/// The errno of a refused call, Errno{} (with a failure) when it succeeded.
template <class T>
Errno error_of(const Result<T>& result) {
  EXPECT_FALSE(result.has_value()) << "the call succeeded";
  return result.has_value() ? Errno{} : result.error().code;
}

/// A built-in machine, with one piece of its text replaced.
inline std::unique_ptr<Machine> make_machine(std::string_view name = kDefaultMachine,
                                             std::string_view from = {}, std::string_view to = {}) {
  std::string text(builtin_machine(name));
  if (!from.empty()) {
    const std::size_t at = text.find(from);
    if (at == std::string::npos) {
      ADD_FAILURE() << "the machine has no " << from;
      return nullptr;
    }
    text.replace(at, from.size(), to);
  }
  const auto config = parse_config(text, name);
  if (!config) {
    ADD_FAILURE() << config.error();
    return nullptr;
  }
  auto machine = Machine::create(*config);
  if (!machine) {
    ADD_FAILURE() << machine.error().why;
    return nullptr;
  }
  (*machine)->trace().keep_events(true);
  return std::move(*machine);
}

}  // namespace teeio::machine::test
