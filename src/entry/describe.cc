#include "entry/describe.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <utility>

#include "abi/proposed.h"
#include "base/bytes.h"
#include "entry/guest_request.h"

namespace teeio::entry {
namespace {

using Form = Field::Form;

constexpr std::uint64_t kFeatureMask = 0xffff;  // Linux: VFIO_DEVICE_FEATURE_MASK

std::string enumerator_text(std::span<const Word> words, std::uint64_t value) {
  const auto word = std::ranges::find(words, value, &Word::value);
  return word == words.end() ? fmt::format("{:#x}", value) : std::string(word->name);
}

std::string flags_text(std::span<const Word> words, std::uint64_t value) {
  std::string text;
  for (const Word& word : words) {
    if (word.value == 0 || (value & word.value) != word.value) continue;
    if (!text.empty()) text += '|';
    text += word.name;
    value &= ~word.value;
  }
  if (text.empty()) return value == 0 ? "0" : fmt::format("{:#x}", value);
  return value == 0 ? text : fmt::format("{}|{:#x}", text, value);
}

/// A number in the low bits, and flags above.
std::string feature_text(std::span<const Word> words, std::uint64_t value) {
  const auto flags_begin =
      std::ranges::find_if(words, [](const Word& w) { return w.value > kFeatureMask; });
  const std::string flags = flags_text({flags_begin, words.end()}, value & ~kFeatureMask);
  const std::string feature = enumerator_text({words.begin(), flags_begin}, value & kFeatureMask);
  return flags == "0" ? feature : flags + '|' + feature;
}

std::uint64_t value_of(const Field& field, ByteView bytes) {
  std::uint64_t value = 0;
  std::memcpy(&value, bytes.data() + field.offset, std::min(field.size, sizeof(value)));
  return value;
}

/// A firmware's status; whose says a field beside it, if there is one.
std::string code_text(ByteView argument, std::span<const Field> fields, std::uint64_t value) {
  const auto arch = std::ranges::find(fields, "tvm_arch", &Field::name);
  if (arch == fields.end() && value == 0) return "0";
  std::string name =
      arch == fields.end()
          ? firmware_code_name(value)
          : firmware_code_name(static_cast<std::uint32_t>(value_of(*arch, argument)), value);
  if (!name.empty()) return name;
  return value == 0 ? "0" : fmt::format("{:#x}", value);
}

std::string viommu_text(std::span<const Word> words, std::uint64_t value, abi::AbiProfile profile) {
  if (value == abi::proposed_abi(profile).viommu_type_tsm) return "IOMMU_VIOMMU_TYPE_TSM";
  return enumerator_text(words, value);
}

/// Words have the first posting's numbers.
std::string request_text(std::span<const Word> words, std::uint64_t value,
                         abi::AbiProfile profile) {
  const auto op = request_op(abi::proposed_abi(profile).dialect, value);
  return op ? enumerator_text(words, std::to_underlying(*op)) : fmt::format("{:#x}", value);
}

std::string value_text(const Field& field, ByteView argument, std::span<const Field> fields,
                       abi::AbiProfile profile) {
  const std::uint64_t value = value_of(field, argument);
  switch (field.form) {
    case Form::kNumber:
      return fmt::format("{}", value);
    case Form::kHex:
      return fmt::format("{:#x}", value);
    case Form::kFd:
      return fmt::format("{}", static_cast<std::int32_t>(value));
    case Form::kEnum:
      return enumerator_text(field.words.get(), value);
    case Form::kFlags:
      return flags_text(field.words.get(), value);
    case Form::kFeature:
      return feature_text(field.words.get(), value);
    case Form::kCode:
      return code_text(argument, fields, value);
    case Form::kRequest:
      return request_text(field.words.get(), value, profile);
    case Form::kViommu:
      return viommu_text(field.words.get(), value, profile);
  }
  return {};
}

std::size_t size_of(std::span<const Field> fields) {
  std::size_t size = 8;
  for (const Field& field : fields) size = std::max(size, field.offset + field.size);
  return size;
}

}  // namespace

std::string describe_argument(mm::UserMemory& memory, const Argument& what, std::uint64_t argument,
                              abi::AbiProfile profile) {
  if (what.kind == Argument::Kind::kValue) return enumerator_text(what.words.get(), argument);
  std::string plain = fmt::format("{:#x}", argument);
  if (what.kind == Argument::Kind::kPlain) return argument == 0 ? "0" : plain;
  Bytes bytes(size_of(what.fields));
  if (!memory.read(argument, bytes)) return plain;
  std::string text = "{";
  for (const Field& field : what.fields) {
    if (text.size() > 1) text += ", ";
    text.append(field.name).append("=").append(value_text(field, bytes, what.fields, profile));
  }
  return text + "}";
}

}  // namespace teeio::entry
