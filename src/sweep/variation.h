#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "run/injection.h"
#include "run/injector.h"

namespace teeio::sweep {

/// Ways in which runs differ from the first: --kill, --signal, …
enum class Dimension : std::uint8_t { kKill, kSignal, kFail, kFirmware, kDevice, kOrder };
inline constexpr std::size_t kDimensions = 6;
[[nodiscard]] std::string_view dimension_name(Dimension dimension);
[[nodiscard]] Dimension dimension_of(const run::Injection& injection);

/// Which variations are wanted.
struct Selection {
  std::vector<Dimension> dimensions = {};  ///< empty: all but kOrder
  std::uint32_t orders = 20;               ///< of kOrder: seeds
  std::vector<std::string> only = {};      ///< patterns as a shell's, of names; empty: all
  std::size_t first = 1, last = SIZE_MAX;  ///< numbers of variations, from 1
  std::size_t shard = 0, shards = 1;       ///< each shards-th, the shard-th of them, from 0
};

/// A run to make.
struct Variation {
  std::size_t number = 0;  ///< among all of its program, from 1
  run::Injection injection = {};
};

/// Everything that could go wrong once in a run that passed `points`, in their order:
/// the earlier, the smaller; orders come last. Numbers count the wanted dimensions and names
/// only; a name is no order's.
[[nodiscard]] std::vector<Variation> variations(const std::vector<run::Injector::Point>& points,
                                                const Selection& selection);
/// Of a sweep with kOrder: that nothing of the program's could go in another order, which is no
/// mistake of anybody's; else "".
[[nodiscard]] std::string why_no_orders(const std::vector<run::Injector::Point>& points,
                                        const Selection& selection);
/// Which of the filters leaves nothing over, in the words of the command line. Precondition:
/// variations() gives none, and not because there are no orders alone.
[[nodiscard]] std::string why_no_variations(const std::vector<run::Injector::Point>& points,
                                            const Selection& selection);

}  // namespace teeio::sweep
