#pragma once

#include "run/fd.h"

namespace teeio::run {

/// eventfd_signal() of Linux, of fs/eventfd.c, for an eventfd of the program: adds 1 and never
/// waits; a full counter overflows, which its readers see as Linux shows it.
void signal_event(const Fd& eventfd);

}  // namespace teeio::run
