#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "base/result.h"
#include "explore/scenario/vendor.h"
#include "machine/program.h"

namespace teeio::explore {

/// A value that has a name in text scenarios.
struct CallWord {
  std::string_view name;
  std::uint64_t value;
};

/// One argument of a call, written `key=value`.
struct CallParameter {
  enum class Kind : std::uint8_t { kNumber, kDescriptor, kId, kWord };
  std::string_view key;
  Kind kind = Kind::kNumber;
  std::optional<std::uint64_t> fallback = {};  ///< none: it must be written
  std::span<const CallWord> words = {};        ///< of kWord
  /// Of kNumber: the largest that the call's field holds.
  std::uint64_t most = ~std::uint64_t{0};
  std::string_view bytes_by = {};  ///< the parameter that says of how many bytes it is
};

/// What a call is made with.
struct CallContext {
  machine::Program& program;
  int target;                             ///< the descriptor that comes first; -1 for none
  std::span<const std::uint64_t> values;  ///< of the row's parameters, in its order
  std::span<const std::string> texts;
  const Vendor& vendor;  ///< the machine's
  std::string& saw;      ///< of a call that looks at a state: what it is
};

/// A system call as text scenarios write it: the one place for its name, its
/// arguments and what it does.
struct CallRow {
  enum class Result : std::uint8_t { kNothing, kDescriptor, kId };
  std::string_view name;
  bool on_descriptor = true;  ///< `CALL DESCRIPTOR …`
  unsigned texts = 0;         ///< paths and texts that follow
  Result result = Result::kNothing;
  std::span<const CallParameter> parameters = {};
  teeio::Result<std::int64_t> (*run)(const CallContext& call) = nullptr;
  bool ends_process = false;    ///< no thread of it goes on after it
  bool kills = false;           ///< ends the process that its text names
  bool meets = false;           ///< waits for all threads that name the same
  bool looks_at_state = false;  ///< its first text names a line of the census
};

/// All of them.
[[nodiscard]] std::span<const CallRow> call_rows();
/// Those of text_memory_calls.cc.
[[nodiscard]] std::span<const CallRow> memory_call_rows();
/// Those of text_request_calls.cc.
[[nodiscard]] std::span<const CallRow> request_call_rows();

}  // namespace teeio::explore
