#include "run/elf_functions.h"

#include <cxxabi.h>
#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <memory>
#include <string_view>
#include <tuple>

#include "base/text.h"
#include "run/fd.h"

namespace teeio::run {
namespace {

constexpr std::uint64_t kMostBytes = std::uint64_t{64} << 20U;  ///< of one table

/// A regular file, of which tables are read.
class Tables {
 public:
  explicit Tables(const std::string& path)
      : file_(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY)) {
    struct stat info{};
    if (file_.ok() && ::fstat(file_.get(), &info) == 0 && S_ISREG(info.st_mode))
      size_ = static_cast<std::uint64_t>(info.st_size);
  }

  /// `count` elements at `offset`; none, and no memory for them, if the file ends before.
  template <class Table>
  [[nodiscard]] Table read(std::uint64_t offset, std::uint64_t count) const {
    constexpr std::size_t kSize = sizeof(typename Table::value_type);
    if (count > kMostBytes / kSize || offset > size_ || count * kSize > size_ - offset) return {};
    Table table(count, typename Table::value_type{});
    const std::size_t bytes = count * kSize;
    for (std::size_t at = 0; at < bytes;) {
      const ssize_t n = ::pread(file_.get(), reinterpret_cast<char*>(table.data()) + at, bytes - at,
                                static_cast<off_t>(offset + at));
      if (n <= 0) return {};
      at += static_cast<std::size_t>(n);
    }
    return table;
  }

 private:
  const Fd file_;
  std::uint64_t size_ = 0;
};

struct Freed {
  void operator()(char* text) const { std::free(text); }  // NOLINT: the demangler's
};

/// Whether it is of C++ ("f" of C would be the type float), and what the demangler makes of it
/// is bounded by much less than a MiB: a short name that refers to its own parts again and again
/// doubles with each.
bool can_be_demangled(std::string_view mangled) {
  constexpr std::size_t kMostMangled = 256, kMostReferences = 20;
  if (!mangled.starts_with("_Z") || mangled.size() > kMostMangled) return false;
  std::size_t references = 0, to_arguments = 0;
  for (std::size_t i = 0; i + 1 < mangled.size(); ++i) {
    const auto next = static_cast<unsigned char>(mangled[i + 1]);
    if (next != '_' && std::isdigit(next) == 0 && std::isupper(next) == 0) continue;
    if (mangled[i] == 'S') ++references;
    if (mangled[i] == 'T') ++to_arguments;
  }
  // An expansion ("Dp", "sp") repeats its pattern for each of a pack's arguments.
  const bool expands = mangled.find("Dp") != mangled.npos || mangled.find("sp") != mangled.npos;
  return references + to_arguments <= kMostReferences && (to_arguments == 0 || !expands);
}

/// "vmm::(anonymous namespace)::open(int) const" without its parameters, which begin at the
/// last bracket's partner. What goes on behind that bracket with more of a name
/// ("TLS init function for (anonymous namespace)::x") has none.
std::string without_parameters(std::string name) {
  const std::size_t end = name.rfind(')');
  if (end == std::string::npos) return name;
  const std::string_view behind = std::string_view(name).substr(end + 1);
  if (!behind.empty() && (behind.front() != ' ' || behind.find("::") != behind.npos)) return name;
  int depth = 0;
  for (std::size_t at = end + 1; at-- > 0;) {
    if (name[at] == ')') ++depth;
    if (name[at] == '(' && --depth == 0) return at == 0 ? name : name.substr(0, at);
  }
  return name;
}

const Elf64_Shdr* symbols_of(const std::vector<Elf64_Shdr>& sections) {
  for (const Elf64_Word type : {Elf64_Word{SHT_SYMTAB}, Elf64_Word{SHT_DYNSYM}})
    for (const Elf64_Shdr& section : sections)
      if (section.sh_type == type && section.sh_link < sections.size()) return &section;
  return nullptr;
}

}  // namespace

std::string one_line(std::string_view text) {
  std::string line = valid_utf8(text.substr(0, ElfFunctions::kMostName));
  if (text.size() > ElfFunctions::kMostName) line += "...";
  for (std::size_t i = 0; i < line.size(); ++i) {
    const auto byte = static_cast<unsigned char>(line[i]);
    // In UTF-8 the control characters from U+0080 on have two bytes.
    const bool is_c1 = i != 0 && line[i - 1] == '\xc2' && byte < 0xa0;
    if (is_c1) line[i - 1] = '?';
    if (is_c1 || byte < 0x20 || byte == 0x7f) line[i] = '?';
  }
  return line;
}

ElfFunctions::ElfFunctions(const std::string& path) {
  const Tables file(path);
  const auto headers = file.read<std::vector<Elf64_Ehdr>>(0, 1);
  if (headers.empty()) return;
  const Elf64_Ehdr& header = headers.front();
  if (!std::equal(header.e_ident, header.e_ident + SELFMAG, ELFMAG) ||
      header.e_ident[EI_CLASS] != ELFCLASS64)
    return;
  for (const Elf64_Phdr& one : file.read<std::vector<Elf64_Phdr>>(header.e_phoff, header.e_phnum))
    if (one.p_type == PT_LOAD) segments_.push_back({one.p_offset, one.p_filesz, one.p_vaddr});
  const auto sections = file.read<std::vector<Elf64_Shdr>>(header.e_shoff, header.e_shnum);
  const Elf64_Shdr* const table = symbols_of(sections);
  if (table == nullptr) return;
  const Elf64_Shdr& strings = sections[table->sh_link];
  names_ = file.read<std::string>(strings.sh_offset, strings.sh_size);
  if (!names_.ends_with('\0')) return;  // its last name would have no end
  const auto symbols =
      file.read<std::vector<Elf64_Sym>>(table->sh_offset, table->sh_size / sizeof(Elf64_Sym));
  for (const Elf64_Sym& symbol : symbols)
    if (ELF64_ST_TYPE(symbol.st_info) == STT_FUNC && symbol.st_shndx != SHN_UNDEF &&
        symbol.st_size != 0 && symbol.st_name < names_.size())
      functions_.push_back({symbol.st_value, symbol.st_size, symbol.st_name});
  // Of several names of one function the first in the table of names is taken, so that the
  // same file says the same; their text may be long, and is not compared.
  std::ranges::sort(functions_, [](const Function& a, const Function& b) {
    return std::tie(a.start, a.name, a.size) < std::tie(b.start, b.name, b.size);
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
  const std::string_view mangled(names_.c_str() + function.name);  // has its end: the table has
  if (!can_be_demangled(mangled)) return one_line(mangled);
  int status = -1;
  const std::unique_ptr<char, Freed> plain(
      abi::__cxa_demangle(mangled.data(), nullptr, nullptr, &status));
  return one_line(status != 0 || !plain ? std::string(mangled) : without_parameters(plain.get()));
}

}  // namespace teeio::run
