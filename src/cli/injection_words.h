#pragma once

#include <string>
#include <vector>

#include "machine/machine.h"
#include "run/injector.h"

namespace teeio::cli {

/// "nothing goes wrong in the way of 'kil'; is it 'kill'?", or what may stand there.
[[nodiscard]] std::string injection_problem(const run::BadInjection& bad);

/// What `machine` has nothing of; empty if it has all of what is to go wrong.
[[nodiscard]] std::string why_not_here(const std::vector<run::Injection>& injections,
                                       const machine::Machine& machine);

/// A line for each injection that never happened, with what is nearest; "" without any.
[[nodiscard]] std::string unfired_text(const run::Injector& injector);

/// That a thread was overtaken in an `order:`, so that another run may differ; "" if none was.
/// What was to be tried was tried: no failure.
[[nodiscard]] std::string overtakings_text(const run::Injector& injector);

}  // namespace teeio::cli
