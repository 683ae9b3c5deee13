#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace teeio::run {

/// The functions that a 64-bit ELF file names, by its .symtab or, where it is stripped, by its
/// .dynsym. The file is a stranger's: what is not as it should be names nothing.
class ElfFunctions {
 public:
  ElfFunctions() = default;
  explicit ElfFunctions(const std::string& path);

  struct Function {
    std::uint64_t start = 0;  ///< as the file has addresses
    std::uint64_t size = 0;
    std::uint64_t name = 0;  ///< offset in names_
  };
  /// The address, as the file has addresses, of what lies at `offset` of it; nullopt: it is
  /// in no segment that is loaded.
  [[nodiscard]] std::optional<std::uint64_t> address_of(std::uint64_t offset) const;
  /// The function that `address` is in.
  [[nodiscard]] const Function* find(std::uint64_t address) const;
  /// Demangled, without its parameters: one line without control characters. Names that are
  /// long, or refer to their own parts so often that nobody could read what that gives, are as
  /// the file has them; none is much longer than kMostName.
  [[nodiscard]] std::string name_of(const Function& function) const;
  static constexpr std::size_t kMostName = 256;  ///< bytes

 private:
  struct Segment {
    std::uint64_t offset, size, address;
  };
  std::vector<Segment> segments_;
  std::vector<Function> functions_;  ///< in ascending order
  std::string names_;
};

/// A name of a stranger's, of a function or a file: one line of a report, which it must not forge
/// another one in, of about ElfFunctions::kMostName bytes.
[[nodiscard]] std::string one_line(std::string_view text);

}  // namespace teeio::run
