#pragma once

#include <string>

#include "run/injector.h"

namespace teeio::cli {

/// "nothing goes wrong in the way of 'kil'; is it 'kill'?", or what may stand there.
[[nodiscard]] std::string injection_problem(const run::BadInjection& bad);

/// A line for each injection that never happened, with what is nearest; "" without any.
[[nodiscard]] std::string unfired_text(const run::Injector& injector);

}  // namespace teeio::cli
