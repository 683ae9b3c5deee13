#pragma once

#include <string>

namespace teeio::run {

/// The last thing that a teeio does which found a mistake of its own: kills and
/// reaps every descendant, whose calls nobody would answer any more, and removes
/// the private directory of the run.
///
/// May be called by any task, holding any lock; waits for nobody but the dying.
void abandon();

/// The directory that abandon() removes; empty: none. A run's own.
void remove_when_abandoned(std::string directory);

}  // namespace teeio::run
