#include "host/sysfs/cpu_text.h"

#include <fmt/format.h>

#include <cstdint>

namespace teeio::sysfs {

std::string cpu_mask(unsigned cpus) {
  // 32 CPUs a word, most significant first, as %*pb prints it.
  std::string text;
  for (unsigned left = cpus; left > 0;) {
    const unsigned bits = left % 32 == 0 ? 32 : left % 32;
    const std::uint64_t word = (std::uint64_t{1} << bits) - 1;
    text += text.empty() ? fmt::format("{:x}", word) : fmt::format(",{:08x}", word);
    left -= bits;
  }
  return text;
}

std::string cpu_list(unsigned cpus) { return cpus == 1 ? "0" : fmt::format("0-{}", cpus - 1); }

}  // namespace teeio::sysfs
