#pragma once

#include "base/fd.h"

namespace teeio {

/// eventfd_signal() of Linux, of fs/eventfd.c, for an eventfd that others have too: adds 1 and
/// never waits; a full counter overflows, which its readers see as Linux shows it. Nothing for
/// one that is not there.
void signal_event(const Fd& eventfd);

/// What the first signal would otherwise make, a descriptor that stays with the process: for a
/// server, whose clients leave it with what it had, and one that may be short of them later.
void prepare_event_signals();

}  // namespace teeio
