#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "abi/profile.h"
#include "base/result.h"
#include "entry/call.h"
#include "object/file.h"

namespace teeio::entry {

/// One line of `teeio abi`.
struct SupportRow {
  object::FileKind kind;
  std::uint32_t command;
  std::string_view name;
  Support support;
  std::string_view why;  ///< of partial and refused ones
  Errno refused_with{};  ///< of refused ones
};

/// Every ioctl of every kind of file that the profile has: the tables' rows, and
/// what Linux 7.3 has beyond them, refused. In order of kind and number.
[[nodiscard]] std::vector<SupportRow> support_table(abi::AbiProfile profile);

/// The rows of a kind of file; empty for one without ioctls.
[[nodiscard]] std::span<const Row> rows_of(object::FileKind kind);
/// Says which profile has `command` when `profile` has not; "" when none does.
[[nodiscard]] std::string_view profile_hint(object::FileKind kind, abi::AbiProfile profile,
                                            std::uint32_t command);

/// The row that `command` means under `profile`; null if there is none.
[[nodiscard]] const Row* find_row(object::FileKind kind, abi::AbiProfile profile,
                                  std::uint32_t command);
/// What an ioctl gets that has no row. `known`: Linux 7.3 has it.
[[nodiscard]] Errno refusal_of(object::FileKind kind, bool known);
/// Linux 7.3's name of an ioctl on that kind of file, or "".
[[nodiscard]] std::string_view linux_name(object::FileKind kind, std::uint32_t command);

}  // namespace teeio::entry
