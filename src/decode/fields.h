#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <ranges>
#include <span>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "decode/text.h"

namespace teeio::decode {

/// One field of a message, as long as the message is there.
struct Field {
  enum class Form : std::uint8_t { kWord, kNumber, kHexNumber, kBytes, kSize };
  std::string_view name;
  Form form = Form::kWord;
  std::string_view word{};  ///< or bytes, as they are
  std::uint64_t number = 0;
  [[nodiscard]] ByteView view() const { return std::as_bytes(std::span(word)); }
  /// For one line: long bytes are cut off, those of kSize only counted.
  void append_to(Text& line) const;
  /// Nothing cut off.
  void append_whole_to(Text& out) const;
};

/// What a field is called: a literal, or the `index`th of several, "block[3]", and what belongs
/// to it, "block[3].value".
struct FieldName {
  static constexpr std::size_t kOnly = ~std::size_t{0};
  // NOLINTNEXTLINE(google-explicit-constructor): a name is what stands there
  consteval FieldName(const char* literal) : base(literal) {}
  constexpr FieldName(std::string_view of, std::size_t number, std::string_view behind = {})
      : base(of), index(number), suffix(behind) {}
  std::string_view base;
  std::size_t index = kOnly;
  std::string_view suffix{};
};

/// Fields in the order of the message, and what they say.
class Fields {
 public:
  /// `show_keys`: key() hides nothing.
  explicit Fields(bool show_keys = false) : show_keys_(show_keys) {}

  void number(FieldName name, std::uint64_t value) { begin(name, Field::Form::kNumber, value); }
  void hex_number(FieldName name, std::uint64_t value) {
    begin(name, Field::Form::kHexNumber, value);
  }
  void word(FieldName name, std::string_view value) {
    word(name, [value](Text& out) { out.add(value); });
  }
  /// The word is what `make` adds.
  template <std::invocable<Text&> Make>
  void word(FieldName name, Make&& make) {
    begin(name, Field::Form::kWord);
    make(text_);
    end();
  }
  /// "1.2" of 12h, as SPDM and TDISP write versions.
  void version(FieldName name, std::uint8_t value);
  /// Only when it holds: a flag that is off is no news.
  void flag(FieldName name, bool holds) {
    if (holds) word(name, "yes");
  }
  void bytes(FieldName name, ByteView value) { add_bytes(name, Field::Form::kBytes, value); }
  /// How many there are; the bytes themselves in append_whole_to().
  void size(FieldName name, ByteView value) { add_bytes(name, Field::Form::kSize, value); }
  /// A secret: hidden unless keys are to be shown.
  void key(FieldName name, ByteView value);

  [[nodiscard]] bool empty() const { return entries_.empty(); }
  [[nodiscard]] std::size_t size() const { return entries_.size(); }
  [[nodiscard]] Field operator[](std::size_t i) const { return field(entries_[i]); }
  [[nodiscard]] auto all() const {
    return entries_ | std::views::transform([this](const Entry& entry) { return field(entry); });
  }
  /// Keeps the memory for the next message, unless this one was extraordinary.
  void clear();

 private:
  /// What is no literal is a part of `text_`.
  struct Entry {
    const char* literal = nullptr;  ///< the name, if it is one
    std::size_t name_at = 0;
    std::size_t name_size = 0;
    std::size_t word_at = 0;
    std::size_t word_size = 0;
    std::uint64_t number = 0;
    Field::Form form = Field::Form::kWord;
  };
  [[nodiscard]] Field field(const Entry& entry) const {
    return {.name = entry.literal != nullptr ? std::string_view(entry.literal, entry.name_size)
                                             : text_.view(entry.name_at, entry.name_size),
            .form = entry.form,
            .word = text_.view(entry.word_at, entry.word_size),
            .number = entry.number};
  }
  void begin(FieldName name, Field::Form form, std::uint64_t number = 0) {
    if (name.index != FieldName::kOnly) return begin_indexed(name, form, number);
    entries_.push_back({.literal = name.base.data(),
                        .name_size = name.base.size(),
                        .word_at = text_.size(),
                        .number = number,
                        .form = form});
  }
  void begin_indexed(FieldName name, Field::Form form, std::uint64_t number);
  void end() { entries_.back().word_size = text_.size() - entries_.back().word_at; }
  /// Nothing if there are none.
  void add_bytes(FieldName name, Field::Form form, ByteView value);

  bool show_keys_;
  std::vector<Entry> entries_;
  Text text_;
};

/// "1.2" of 12h; and of several, "1.1,1.2".
void add_version(Text& out, std::uint8_t version);
void add_versions(Text& out, std::span<const std::uint8_t> versions);

}  // namespace teeio::decode
