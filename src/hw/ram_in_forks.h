#pragma once

namespace teeio::hw {

/// RAM of machines that are made from now on stays in forks of this process: for whoever
/// makes a machine once and runs many copies of it. Otherwise a fork starts a program, which
/// has no use for it. Not while tasks run.
void keep_ram_in_forks();

}  // namespace teeio::hw
