// Links: run
#include <fmt/format.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>

#include "fuzzer.h"
#include "run/elf_functions.h"
#include "run/fd.h"

// A file of a program's: whatever it says of its functions, a name is one line of bounded size,
// and what is found contains the address that was asked for.
void teeio::fuzz::run(ByteView input) {
  const teeio::run::Fd file(::memfd_create("elf", MFD_CLOEXEC));
  if (::write(file.get(), input.data(), input.size()) != std::ssize(input)) return;
  const teeio::run::ElfFunctions functions(fmt::format("/proc/self/fd/{}", file.get()));
  for (const std::uint64_t offset : {0x0U, 0x1000U, 0x1008U, 0x1100U, 0x2000U}) {
    const std::uint64_t address = functions.address_of(offset).value_or(offset);
    const auto* const found = functions.find(address);
    if (found == nullptr) continue;
    TEEIO_CHECK(address - found->start < found->size, "a function that the address is not in");
    const std::string name = functions.name_of(*found);
    constexpr std::size_t kReplacement = 3;  // bytes of U+FFFD
    TEEIO_CHECK(name.size() <= kReplacement * teeio::run::ElfFunctions::kMostName + 3,
                "a name without a bound");
    const bool is_line = std::ranges::none_of(
        name, [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
    TEEIO_CHECK(is_line, "a control character");
  }
}
