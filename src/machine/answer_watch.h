#pragma once

#include <functional>

#include "base/bytes.h"

namespace teeio::machine {

/// From now on `watch` is told what each call of a Program has written for it: what an ioctl
/// has changed of its argument (before XOR after), what a pread() read. Empty: nobody is. For tests
/// of the explorer, which has one OS thread.
void watch_answers(std::function<void(ByteView)> watch);

}  // namespace teeio::machine
