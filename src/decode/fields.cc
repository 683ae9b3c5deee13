#include "decode/fields.h"

namespace teeio::decode {
namespace {

constexpr std::size_t kShown = 8;  ///< bytes of a long value on one line

/// What is kept for the next message, so that memory does not follow the largest of them.
constexpr std::size_t kMostEntries = 64;
constexpr std::size_t kMostText = 16 * 1024;  ///< bytes

std::string_view characters(ByteView bytes) {
  return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

}  // namespace

void Field::append_to(Text& line) const {
  if (form == Form::kSize)
    line.add_number(word.size()).add(" bytes");
  else if (form == Form::kBytes && word.size() > kShown)
    line.add_hex(view().first(kShown)).add("…(").add_number(word.size()).add(')');
  else
    append_whole_to(line);
}

void Field::append_whole_to(Text& out) const {
  switch (form) {
    case Form::kWord:
      out.add(word);
      return;
    case Form::kHexNumber:
      out.add("0x").add_number(number, 16);
      return;
    case Form::kNumber:
      out.add_number(number);
      return;
    case Form::kBytes:
    case Form::kSize:
      out.add_hex(view());
      return;
  }
}

void Fields::begin_indexed(FieldName name, Field::Form form, std::uint64_t number) {
  const std::size_t at = text_.size();
  text_.add(name.base).add('[').add_number(name.index).add(']').add(name.suffix);
  entries_.push_back({.name_at = at,
                      .name_size = text_.size() - at,
                      .word_at = text_.size(),
                      .number = number,
                      .form = form});
}

void Fields::version(FieldName name, std::uint8_t value) {
  word(name, [value](Text& out) { add_version(out, value); });
}

void Fields::add_bytes(FieldName name, Field::Form form, ByteView value) {
  if (value.empty()) return;
  begin(name, form);
  text_.add(characters(value));
  end();
}

void Fields::key(FieldName name, ByteView value) {
  if (show_keys_) return bytes(name, value);
  word(name, [&](Text& out) { out.add('(').add_number(value.size()).add(" bytes hidden)"); });
}

void Fields::clear() {
  entries_.clear();
  if (entries_.capacity() > kMostEntries) entries_.shrink_to_fit();
  text_.clear(kMostText);
}

void add_version(Text& out, std::uint8_t version) {
  out.add_number(version >> 4U).add('.').add_number(version & 0xfU);
}

void add_versions(Text& out, std::span<const std::uint8_t> versions) {
  List all(out, ',');
  for (const std::uint8_t version : versions) add_version(all.next(), version);
}

}  // namespace teeio::decode
