#pragma once

#include "base/fd.h"

namespace teeio::run {

using teeio::Fd;

}  // namespace teeio::run
