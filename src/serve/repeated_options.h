#pragma once

#include <string>

#include "serve/speaker.h"

namespace teeio::serve {

/// The first option that another one of its kind takes the place of, ready to print; empty: there
/// is none. Two measurement blocks of one index, two keys of one hint, a fault twice, or beside one
/// at the same message that leaves nothing of it.
[[nodiscard]] std::string why_repeated(const SpeakerOptions& options);

}  // namespace teeio::serve
