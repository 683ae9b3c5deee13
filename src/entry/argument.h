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
  } form = Form::kNumber;
  std::span<const Word> words = {};
};

/// What an ioctl's argument is: a struct's fields, or, without any, a value itself.
struct Layout {
  std::string_view call;
  std::span<const Field> fields;
  std::span<const Word> words = {};
};

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

[[nodiscard]] std::span<const Layout> iommufd_layouts();
[[nodiscard]] std::span<const Layout> vfio_layouts();
[[nodiscard]] std::span<const Layout> kvm_layouts();

/// Words that vendors add.
[[nodiscard]] std::span<const Word> vm_type_words();
[[nodiscard]] std::span<const Word> vm_command_words();
[[nodiscard]] std::span<const Word> tvm_arch_words();
[[nodiscard]] std::span<const Word> guest_request_words();
/// The name of a firmware's status, or "". `tvm_arch`: whose
/// (IOMMU_VDEVICE_TSM_TVM_ARCH_…); 0: of KVM_MEMORY_ENCRYPT_OP.
[[nodiscard]] std::string firmware_code_name(std::uint32_t tvm_arch, std::uint64_t code);

}  // namespace teeio::entry
