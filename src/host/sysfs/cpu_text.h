#pragma once

#include <string>

namespace teeio::sysfs {

/// All of so many CPUs as Linux's cpumask_print_to_pagebuf() prints them: as a mask ("ff"), and as
/// a list ("0-7"). Precondition: there is one.
[[nodiscard]] std::string cpu_mask(unsigned cpus);
[[nodiscard]] std::string cpu_list(unsigned cpus);

}  // namespace teeio::sysfs
