// Symbols of a program's files, which may be anybody's.
#include "run/elf_functions.h"

#include <elf.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "run/fd.h"

namespace teeio::run {
namespace {

/// A small file with one segment, symbols and their names, each of which may be spoilt.
class Elf {
 public:
  Elf() {
    std::memcpy(header.e_ident, ELFMAG, SELFMAG);
    header.e_ident[EI_CLASS] = ELFCLASS64;
    header.e_phoff = sizeof(header);
    header.e_phnum = 1;
    header.e_shoff = header.e_phoff + sizeof(segment);
    header.e_shnum = 3;
    segment.p_type = PT_LOAD;
    segment.p_offset = 0x1000;
    segment.p_vaddr = 0x401000;
    segment.p_filesz = 0x1000;
    sections[1].sh_type = SHT_SYMTAB;
    sections[1].sh_link = 2;
    sections[1].sh_offset = header.e_shoff + sizeof(sections);
  }
  void add(const std::string& name, std::uint64_t start, std::uint64_t size = 0x10) {
    Elf64_Sym symbol{};
    symbol.st_name = static_cast<Elf64_Word>(names.size());
    symbol.st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC);
    symbol.st_shndx = 1;
    symbol.st_value = start;
    symbol.st_size = size;
    symbols.push_back(symbol);
    names += name + '\0';
  }
  /// Its tables follow each other.
  void lay_out() {
    sections[1].sh_size = symbols.size() * sizeof(Elf64_Sym);
    sections[2].sh_offset = sections[1].sh_offset + sections[1].sh_size;
    sections[2].sh_size = names.size();
  }
  [[nodiscard]] std::string bytes() const {
    const auto put = [](std::string& out, const void* from, std::size_t size) {
      out.append(static_cast<const char*>(from), size);
    };
    std::string out;
    put(out, &header, sizeof(header));
    put(out, &segment, sizeof(segment));
    put(out, sections.data(), sizeof(sections));
    put(out, symbols.data(), symbols.size() * sizeof(Elf64_Sym));
    return out + names;
  }

  Elf64_Ehdr header{};
  Elf64_Phdr segment{};
  std::array<Elf64_Shdr, 3> sections{};
  std::vector<Elf64_Sym> symbols;
  std::string names{'\0'};
};

ElfFunctions functions_of(const std::string& bytes) {
  const Fd file(::memfd_create("elf", MFD_CLOEXEC));
  EXPECT_EQ(::write(file.get(), bytes.data(), bytes.size()), std::ssize(bytes));
  return ElfFunctions("/proc/self/fd/" + std::to_string(file.get()));
}

std::string name_at(const ElfFunctions& functions, std::uint64_t address) {
  const auto* const found = functions.find(address);
  return found == nullptr ? "-" : functions.name_of(*found);
}

/// The name of a file's only function.
std::string name_of(const std::string& mangled) {
  Elf elf;
  elf.add(mangled, 0x401000);
  elf.lay_out();
  return name_at(functions_of(elf.bytes()), 0x401000);
}

TEST(ElfFunctions, AreFoundByTheirAddresses) {
  Elf elf;
  elf.add("second", 0x401100);
  elf.add("_ZN3vmm4openEi", 0x401000);
  elf.lay_out();
  const ElfFunctions functions = functions_of(elf.bytes());
  EXPECT_EQ(functions.address_of(0x1010), 0x401010U);
  EXPECT_EQ(functions.address_of(0x2000), std::nullopt);
  EXPECT_EQ(name_at(functions, 0x40100f), "vmm::open");
  EXPECT_EQ(name_at(functions, 0x401010), "-");
  EXPECT_EQ(name_at(functions, 0x401100), "second");
  EXPECT_EQ(name_at(functions, 0x400fff), "-");
}

TEST(ElfFunctions, AStrippedFileNamesNoneAndHasItsSegments) {
  Elf elf;
  elf.header.e_shnum = 0;
  const ElfFunctions functions = functions_of(elf.bytes());
  EXPECT_EQ(functions.address_of(0x1010), 0x401010U);
  EXPECT_EQ(name_at(functions, 0x401000), "-");
  elf.header.e_shnum = 3;
  elf.add("exported", 0x401000);
  elf.sections[1].sh_type = SHT_DYNSYM;
  elf.lay_out();
  EXPECT_EQ(name_at(functions_of(elf.bytes()), 0x401000), "exported");
}

TEST(ElfFunctions, OfSeveralNamesTheFirstInTheTableIsTaken) {
  Elf elf;
  elf.add("zebra", 0x401000);
  elf.add("alias", 0x401000);
  elf.lay_out();
  std::swap(elf.symbols[0], elf.symbols[1]);
  EXPECT_EQ(name_at(functions_of(elf.bytes()), 0x401000), "zebra");
}

TEST(ElfFunctions, AFileThatIsCutOffNamesNothingWrong) {
  Elf elf;
  elf.add("whole", 0x401000);
  elf.lay_out();
  const std::string all = elf.bytes();
  for (std::size_t size = 0; size < all.size(); ++size)
    EXPECT_EQ(name_at(functions_of(all.substr(0, size)), 0x401000), "-") << size;
  EXPECT_EQ(name_at(functions_of(all), 0x401000), "whole");
}

TEST(ElfFunctions, ATableThatLiesNamesNothing) {
  Elf good;
  good.add("f", 0x401000);
  good.lay_out();
  const auto spoilt = [&](auto&& spoil) {
    Elf elf = good;
    spoil(elf);
    return name_at(functions_of(elf.bytes()), 0x401000);
  };
  EXPECT_EQ(spoilt([](Elf&) {}), "f");
  EXPECT_EQ(spoilt([](Elf& elf) { elf.sections[1].sh_size = UINT64_MAX; }), "-");
  EXPECT_EQ(spoilt([](Elf& elf) { elf.sections[2].sh_size = std::uint64_t{32} << 20U; }), "-");
  EXPECT_EQ(spoilt([](Elf& elf) { elf.sections[2].sh_offset = UINT64_MAX - 2; }), "-");
  EXPECT_EQ(spoilt([](Elf& elf) { elf.sections[1].sh_link = 3; }), "-");
  EXPECT_EQ(spoilt([](Elf& elf) { elf.symbols[0].st_name = 1000; }), "-");
  EXPECT_EQ(spoilt([](Elf& elf) { elf.header.e_shoff = UINT64_MAX; }), "-");
  EXPECT_EQ(spoilt([](Elf& elf) { elf.header.e_ident[EI_CLASS] = ELFCLASS32; }), "-");
  EXPECT_EQ(spoilt([](Elf& elf) { elf.names.back() = 'x'; }), "-") << "a name without an end";
}

TEST(ElfFunctions, OnlyRegularFilesAreRead) {
  EXPECT_EQ(ElfFunctions("/dev/zero").address_of(0), std::nullopt);
  EXPECT_EQ(ElfFunctions("/").address_of(0), std::nullopt);
}

TEST(ElfFunctions, NamesHaveNoParameters) {
  EXPECT_EQ(name_of("_ZN12_GLOBAL__N_14openEi"), "(anonymous namespace)::open");
  EXPECT_EQ(name_of("_ZNK3vmm4sizeEv"), "vmm::size");
  EXPECT_EQ(name_of("_ZTHN12_GLOBAL__N_11xE"), "TLS init function for (anonymous namespace)::x");
  EXPECT_EQ(name_of("main"), "main");
}

/// A type that has itself twice in each of its levels.
std::string doubled(unsigned levels) {
  constexpr std::string_view kDigits = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ";
  std::string name = "_Z1fSt4pairIiiE";
  std::string last = "S0_";
  for (unsigned i = 0; i < levels; ++i) {
    name += "S_I" + last + last + "E";
    last = std::string("S") + kDigits[i + 1] + "_";
  }
  return name;
}

TEST(ElfFunctions, ANameThatMultipliesItselfIsNotWrittenOut) {
  for (const unsigned levels : {8U, 20U, 30U}) {
    const std::string bomb = doubled(levels);
    EXPECT_LE(name_of(bomb).size(), ElfFunctions::kMostName + 3);
    EXPECT_EQ(name_of(bomb).substr(0, 6), "_Z1fSt") << levels;
  }
  const std::string packs = "_Z1fIJiiiiiiiiEEvDp4pairIT_Dp4pairIT_Dp4pairIT_T_EEE";
  EXPECT_EQ(name_of(packs), packs);
  EXPECT_EQ(name_of("_ZN3vmm4openERKNS_4nameES2_"), "vmm::open");
}

TEST(ElfFunctions, NamesAreOneShortLine) {
  EXPECT_EQ(name_of("f\nFINDING (1 run): \x1b[1m\x7f\xc2\x9b"), "f?FINDING (1 run): ?[1m???");
  EXPECT_EQ(name_of("gr\xc3\xbc\xc3\x9f"
                    "e"),
            "gr\xc3\xbc\xc3\x9f"
            "e");
  EXPECT_EQ(name_of("a\xff"
                    "b"),
            "a\xef\xbf\xbd"
            "b");
  const std::string longest(100'000, 'x');
  EXPECT_EQ(name_of(longest), longest.substr(0, ElfFunctions::kMostName) + "...");
}

}  // namespace
}  // namespace teeio::run
