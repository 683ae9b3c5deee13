#include "run/elf_functions.h"

#include <cxxabi.h>
#include <elf.h>
#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <string_view>

#include "run/fd.h"

namespace teeio::run {
namespace {

constexpr std::size_t kMostBytes = std::size_t{256} << 20U;  ///< of one table

/// `count` structs at `offset`; none if the file ends before.
template <class T>
std::vector<T> read_table(const Fd& file, std::uint64_t offset, std::uint64_t count) {
  if (count > kMostBytes / sizeof(T) || offset > INT64_MAX - kMostBytes) return {};
  std::vector<T> table(count);
  const std::size_t bytes = count * sizeof(T);
  for (std::size_t at = 0; at < bytes;) {
    const ssize_t n = ::pread(file.get(), reinterpret_cast<char*>(table.data()) + at, bytes - at,
                              static_cast<off_t>(offset + at));
    if (n <= 0) return {};
    at += static_cast<std::size_t>(n);
  }
  return table;
}

struct Freed {
  void operator()(char* text) const { std::free(text); }  // NOLINT: the demangler's
};

const Elf64_Shdr* symbols_of(const std::vector<Elf64_Shdr>& sections) {
  for (const Elf64_Word type : {Elf64_Word{SHT_SYMTAB}, Elf64_Word{SHT_DYNSYM}})
    for (const Elf64_Shdr& section : sections)
      if (section.sh_type == type && section.sh_link < sections.size()) return &section;
  return nullptr;
}

}  // namespace

ElfFunctions::ElfFunctions(const std::string& path) {
  const Fd file(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY));
  if (!file.ok()) return;
  const auto headers = read_table<Elf64_Ehdr>(file, 0, 1);
  if (headers.empty()) return;
  const Elf64_Ehdr& header = headers.front();
  if (!std::equal(header.e_ident, header.e_ident + SELFMAG, ELFMAG) ||
      header.e_ident[EI_CLASS] != ELFCLASS64)
    return;
  for (const Elf64_Phdr& one : read_table<Elf64_Phdr>(file, header.e_phoff, header.e_phnum))
    if (one.p_type == PT_LOAD) segments_.push_back({one.p_offset, one.p_filesz, one.p_vaddr});
  const auto sections = read_table<Elf64_Shdr>(file, header.e_shoff, header.e_shnum);
  const Elf64_Shdr* const table = symbols_of(sections);
  if (table == nullptr) return;
  const Elf64_Shdr& strings = sections[table->sh_link];
  const auto names = read_table<char>(file, strings.sh_offset, strings.sh_size);
  names_.assign(names.begin(), names.end());
  const auto symbols =
      read_table<Elf64_Sym>(file, table->sh_offset, table->sh_size / sizeof(Elf64_Sym));
  for (const Elf64_Sym& symbol : symbols)
    if (ELF64_ST_TYPE(symbol.st_info) == STT_FUNC && symbol.st_shndx != SHN_UNDEF &&
        symbol.st_size != 0 && symbol.st_name < names_.size())
      functions_.push_back({symbol.st_value, symbol.st_size, symbol.st_name});
  // Of several names of one function the first in the file's order of addresses is taken: by
  // their text, so that the same file says the same.
  std::ranges::sort(functions_, [this](const Function& a, const Function& b) {
    if (a.start != b.start) return a.start < b.start;
    return std::string_view(names_.c_str() + a.name) < std::string_view(names_.c_str() + b.name);
  });
}

std::optional<std::uint64_t> ElfFunctions::address_of(std::uint64_t offset) const {
  for (const Segment& segment : segments_)
    if (offset >= segment.offset && offset - segment.offset < segment.size)
      return segment.address + (offset - segment.offset);
  return std::nullopt;
}

const ElfFunctions::Function* ElfFunctions::find(std::uint64_t address) const {
  auto after = std::ranges::upper_bound(functions_, address, {}, &Function::start);
  if (after == functions_.begin()) return nullptr;
  const std::uint64_t start = std::prev(after)->start;
  const auto first = std::ranges::lower_bound(functions_, start, {}, &Function::start);
  return address - start < first->size ? &*first : nullptr;
}

std::string ElfFunctions::name_of(const Function& function) const {
  const char* const mangled = names_.c_str() + function.name;
  int status = -1;
  const std::unique_ptr<char, Freed> plain(abi::__cxa_demangle(mangled, nullptr, nullptr, &status));
  if (status != 0 || !plain) return mangled;
  // "vmm::(anonymous namespace)::open(int)": parameters begin at the last bracket's partner.
  std::string name = plain.get();
  const std::size_t end = name.rfind(')');
  if (end == std::string::npos) return name;
  int depth = 0;
  for (std::size_t at = end + 1; at-- > 0;) {
    if (name[at] == ')') ++depth;
    if (name[at] == '(' && --depth == 0) return at == 0 ? name : name.substr(0, at);
  }
  return name;
}

}  // namespace teeio::run
