#include "monitor.h"

#include <elf.h>
#include <link.h>

#include <cstring>
#include <fstream>
#include <map>
#include <stdexcept>
#include <vector>

namespace normal_world {
namespace {

/// Names of the program's own symbol table, where they are in memory: the program exports none.
std::map<std::string, std::uint64_t> own_symbols() {
  std::ifstream file("/proc/self/exe", std::ios::binary);
  const std::vector<char> image{std::istreambuf_iterator<char>(file), {}};
  std::uint64_t bias = 0;
  ::dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* out) {
        *static_cast<std::uint64_t*>(out) = info->dlpi_addr;
        return 1;  // the program comes first
      },
      &bias);
  const auto* header = reinterpret_cast<const Elf64_Ehdr*>(image.data());
  const auto* sections = reinterpret_cast<const Elf64_Shdr*>(image.data() + header->e_shoff);
  std::map<std::string, std::uint64_t> found;
  for (unsigned i = 0; i < header->e_shnum; ++i) {
    if (sections[i].sh_type != SHT_SYMTAB) continue;
    const char* names = image.data() + sections[sections[i].sh_link].sh_offset;
    const auto* symbols = reinterpret_cast<const Elf64_Sym*>(image.data() + sections[i].sh_offset);
    for (std::uint64_t n = 0; n < sections[i].sh_size / sizeof(Elf64_Sym); ++n)
      if (symbols[n].st_shndx != SHN_UNDEF)
        found.emplace(names + symbols[n].st_name, bias + symbols[n].st_value);
  }
  return found;
}

const std::map<std::string, std::uint64_t>& symbols() {
  static const std::map<std::string, std::uint64_t> all = own_symbols();
  return all;
}

enum class Memory : std::uint8_t { kNone, kDonate, kReclaim };

Memory memory_of(const Result& result) { return static_cast<Memory>(result.x[0] >> 8U & 3U); }

}  // namespace

template <class Function>
Function* Monitor::symbol(const std::string& name) const {
  const auto found = symbols().find(name);
  if (found == symbols().end()) throw std::runtime_error("the program has no symbol " + name);
  return reinterpret_cast<Function*>(found->second);
}

Monitor::Monitor() {
  for (const char* name : {"handle_ns_smc", "allocate_granule", "allocate_granule_aligned",
                           "g_realm", "host_utils_pci_get_ecam_base",
                           "host_utils_pci_rp_dvsec_setup", "host_util_get_smmu_ns_base"})
    (void)symbol<void()>(name);
}

Result Monitor::call(Rmi command, std::initializer_list<std::uint64_t> arguments) {
  constexpr unsigned kFirst = 0xc400'0150;
  std::array<std::uint64_t, 7> x{};
  std::copy(arguments.begin(), arguments.end(), x.begin());
  Result result;
  symbol<void(unsigned, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t, std::uint64_t,
              std::uint64_t, std::uint64_t, void*)>("handle_ns_smc")(
      kFirst + static_cast<unsigned>(command), x[0], x[1], x[2], x[3], x[4], x[5], x[6],
      result.x.data());
  return result;
}

Result Monitor::finish(Rmi command, std::initializer_list<std::uint64_t> arguments) {
  Result result = call(command, arguments);
  const std::uint64_t handle = result.x[1];
  std::uint64_t wanted = result.x[2];
  const std::uint64_t list = page();
  while (result.status() == Status::kIncomplete) {
    switch (memory_of(result)) {
      case Memory::kDonate:
        result = call(Rmi::kOpMemDonate, {handle, list, donate(list, wanted)});
        wanted = result.x[2];
        break;
      case Memory::kReclaim:
        result = call(Rmi::kOpMemReclaim, {handle, list, kPage / sizeof(std::uint64_t)});
        break;
      case Memory::kNone:
        result = call(Rmi::kOpContinue, {handle, 0});
        wanted = result.x[2];
        break;
    }
  }
  return result;
}

/// Writes the list of descriptors that the monitor asks for; gives how many they are.
std::uint64_t Monitor::donate(std::uint64_t list, std::uint64_t wanted) {
  const std::uint64_t count = wanted >> 2U & 0x3fffU;
  const bool contiguous = (wanted >> 16U & 1U) != 0;
  const std::uint64_t first = page(static_cast<unsigned>(count), contiguous);
  delegate(first, count);
  if (contiguous) {
    at<std::uint64_t>(list) = first | count << 2U;
    return 1;
  }
  for (std::uint64_t i = 0; i < count; ++i)
    at<std::uint64_t>(list, i * sizeof(std::uint64_t)) = (first + i * kPage) | 1U << 2U;
  return count;
}

void Monitor::delegate(std::uint64_t first, std::uint64_t count) {
  const std::uint64_t end = first + count * kPage;
  for (std::uint64_t next = first; next < end;) {
    const Result step = call(Rmi::kGranuleRangeDelegate, {next, end});
    if (!step.ok()) throw std::runtime_error("RMI_GRANULE_RANGE_DELEGATE is refused");
    next = step.x[1];
  }
}

std::uint64_t Monitor::page(unsigned count, bool aligned) const {
  const char* name = aligned ? "allocate_granule_aligned" : "allocate_granule";
  void* memory = symbol<void*(unsigned)>(name)(count);
  std::memset(memory, 0, count * kPage);
  return reinterpret_cast<std::uint64_t>(memory);
}

std::uint64_t Monitor::granule() {
  const std::uint64_t memory = page();
  delegate(memory, 1);
  return memory;
}

/// The first member of its struct host_realm.
std::uint64_t Monitor::realm() const { return *symbol<std::uint64_t>("g_realm"); }

std::uint64_t Monitor::host_bridge() const {
  return symbol<std::uint64_t()>("host_utils_pci_get_ecam_base")();
}

std::uint64_t Monitor::psmmu() const {
  return symbol<std::uint64_t(unsigned)>("host_util_get_smmu_ns_base")(0);
}

void Monitor::make_root_port() const {
  if (symbol<int(std::uint16_t)>("host_utils_pci_rp_dvsec_setup")(0) != 0)
    throw std::runtime_error("the root port's DVSEC cannot be made");
}

}  // namespace normal_world
