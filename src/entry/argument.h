#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace teeio::entry {

/// A value of an enumeration, or a flag, and its name in Linux's headers.
struct Word {
  std::uint64_t value;
  std::string_view name;
};

/// A list of them, or who is asked for it: vendors add to some.
class Words {
 public:
  constexpr Words() = default;
  template <std::size_t N>
  constexpr Words(const Word (&words)[N]) : words_(words) {}  // NOLINT(google-explicit-constructor)
  constexpr Words(std::span<const Word> (*ask)())
      : ask_(ask) {}  // NOLINT(google-explicit-constructor)
  [[nodiscard]] std::span<const Word> get() const { return ask_ == nullptr ? words_ : ask_(); }

 private:
  std::span<const Word> words_;
  std::span<const Word> (*ask_)() = nullptr;
};

/// A field of an ioctl's argument: where it is and how it is printed.
struct Field {
  std::string_view name;
  std::size_t offset;
  std::size_t size;
  enum class Form : std::uint8_t {
    kNumber,
    kHex,      ///< an address, a length
    kFd,       ///< signed
    kEnum,     ///< one of `words`
    kFlags,    ///< some of `words`, with | between
    kFeature,  ///< VFIO_DEVICE_FEATURE: one of `words` in 16 bits, flags above
    kCode,     ///< a firmware's status
    kViommu,   ///< a type of vIOMMU: the TSM's is another number in each profile
    kRequest,  ///< a guest request's operation, numbered anew in later profiles
  } form = Form::kNumber;
  Words words = {};
};

/// What an ioctl's argument is.
struct Argument {
  enum class Kind : std::uint8_t {
    kPlain,   ///< none, or a bare number
    kValue,   ///< one of `words`
    kStruct,  ///< an address of `fields`
  } kind = Kind::kPlain;
  std::span<const Field> fields = {};
  Words words = {};

  constexpr Argument() = default;
  template <std::size_t N>
  constexpr Argument(const Field (&all)[N])  // NOLINT(google-explicit-constructor)
      : kind(Kind::kStruct), fields(all) {}
};
inline constexpr Argument kPlain;
constexpr Argument one_of(Words words) {
  Argument argument;
  argument.kind = Argument::Kind::kValue;
  argument.words = words;
  return argument;
}

#define TEEIO_FIELD(type, member, ...)                                                 \
  ::teeio::entry::Field {                                                              \
    #member, offsetof(::teeio::abi::type, member), sizeof(::teeio::abi::type::member), \
        ::teeio::entry::Field::Form::__VA_ARGS__                                       \
  }
/// An enumerator of abi, and a macro.
#define TEEIO_WORD(name) \
  ::teeio::entry::Word { static_cast<std::uint64_t>(::teeio::abi::name), #name }
#define TEEIO_MACRO(name) \
  ::teeio::entry::Word { static_cast<std::uint64_t>(name), #name }

/// Words that vendors add.
[[nodiscard]] std::span<const Word> vm_type_words();
[[nodiscard]] std::span<const Word> vm_command_words();
[[nodiscard]] std::span<const Word> vm_command_flag_words();
[[nodiscard]] std::span<const Word> viommu_type_words();  ///< less the TSM's
[[nodiscard]] std::span<const Word> hwpt_data_words();
[[nodiscard]] std::span<const Word> invalidate_data_words();
[[nodiscard]] std::span<const Word> veventq_type_words();
[[nodiscard]] std::span<const Word> hw_queue_type_words();
[[nodiscard]] std::span<const Word> hw_info_type_words();
[[nodiscard]] std::span<const Word> tvm_arch_words();
[[nodiscard]] std::span<const Word> guest_request_words();
/// The name of a firmware's status, or "". `tvm_arch`: whose
/// (IOMMU_VDEVICE_TSM_TVM_ARCH_…); of any other number nobody's.
[[nodiscard]] std::string firmware_code_name(std::uint32_t tvm_arch, std::uint64_t code);
/// The same where no field names an architecture: struct kvm_tdx_cmd.
[[nodiscard]] std::string firmware_code_name(std::uint64_t code);

}  // namespace teeio::entry
