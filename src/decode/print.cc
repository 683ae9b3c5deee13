#include "decode/print.h"

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <utility>
#include <vector>

#include "base/text.h"
#include "decode/last_of_each.h"

// A capture may have millions of messages: no streams, no formats that are parsed, and nothing
// is made that is not printed.
namespace teeio::decode {
namespace {

std::string_view arrow(const Message& message) {
  if (message.sender_guessed) return message.sender == Sender::kRequester ? " ?> " : " <? ";
  return message.sender == Sender::kRequester ? " -> " : " <- ";
}

constexpr std::size_t kSessionDigits = 8;

void add_escape(Text& out, char c) {
  constexpr std::string_view kNamed = "\"\\\b\f\n\r\t";
  constexpr std::string_view kNames = "\"\\bfnrt";
  out.add('\\');
  if (const std::size_t at = kNamed.find(c); at != std::string_view::npos) {
    out.add(kNames[at]);
    return;
  }
  out.add('u').add_number(static_cast<unsigned char>(c), 4, '0', 16);
}

/// 0: a JSON string has it as it is, and it is of one byte.
constexpr unsigned char is_odd(char c) {
  const auto byte = static_cast<unsigned char>(c);
  return static_cast<unsigned char>((byte < 0x20) | (byte >= 0x80) | (c == '"') | (c == '\\'));
}

/// Whether that holds of each, several at a time: most text is plain, so nobody stops early.
bool is_plain(std::string_view text) {
  constexpr std::size_t kBlock = 16;
  unsigned char odd = 0;
  for (; text.size() >= kBlock; text.remove_prefix(kBlock))
    for (std::size_t i = 0; i < kBlock; ++i) odd |= is_odd(text[i]);
  for (const char c : text) odd |= is_odd(c);
  return odd == 0;
}

/// A JSON string. Broken UTF-8 is replaced.
void add_string(Text& out, std::string_view text) {
  if (is_plain(text)) {
    out.add('"').add(text).add('"');
    return;
  }
  out.add('"');
  for (const char c : valid_utf8(text)) {
    if (is_odd(c) == 0 || static_cast<unsigned char>(c) >= 0x80)
      out.add(c);
    else
      add_escape(out, c);
  }
  out.add('"');
}

void add_value(Text& out, const Field& field) {
  using enum Field::Form;
  if (field.form == kWord) return add_string(out, field.word);
  if (field.form == kNumber || field.form == kHexNumber) {
    out.add_number(field.number);
    return;
  }
  out.add('"');
  field.append_whole_to(out);
  out.add('"');
}

/// Names of fields, and whether one was there before: most differ in what is looked at first.
class Names {
 public:
  /// false: certainly not; true: perhaps.
  bool add(std::string_view name) {
    const auto of = [&](std::size_t at) { return static_cast<unsigned char>(name[at]); };
    const unsigned hash =
        name.empty() ? 0 : of(0) + 7U * of(name.size() - 1) + 31U * of(name.size() / 2);
    const std::uint64_t bit = std::uint64_t{1} << ((hash + name.size()) % 64);
    const bool before = (seen_ & bit) != 0;
    seen_ |= bit;
    return before;
  }

 private:
  std::uint64_t seen_ = 0;
};

/// Places of the fields to print, where names repeat: of those that have one name the last, in
/// the place of the first. Few are compared with each other, which needs no memory.
class LastOfEach {
 public:
  explicit LastOfEach(const Fields& fields) : fields_(fields) {
    constexpr std::size_t kFew = 32;
    Names names;
    for (const Field& field : fields.all()) repeated_ = names.add(field.name) || repeated_;
    if (repeated_ && fields.size() > kFew) last_ = last_of_each(fields);
  }
  /// What to print where `i` stands, or kNotTheFirst.
  [[nodiscard]] std::size_t operator[](std::size_t i) const {
    if (!repeated_) return i;
    return last_.empty() ? search(i) : last_[i];
  }

 private:
  [[nodiscard]] std::size_t search(std::size_t i) const {
    const std::string_view name = fields_[i].name;
    for (std::size_t before = 0; before < i; ++before)
      if (fields_[before].name == name) return kNotTheFirst;
    std::size_t last = fields_.size() - 1;
    while (fields_[last].name != name) --last;
    return last;
  }
  const Fields& fields_;
  bool repeated_ = false;  ///< perhaps
  std::vector<std::size_t> last_;
};

void add_fields(Text& out, const Fields& fields) {
  const LastOfEach last(fields);
  std::string_view before = "{\"";
  for (std::size_t i = 0; i < fields.size(); ++i) {
    const std::size_t at = last[i];
    if (at == kNotTheFirst) continue;
    const Field field = fields[at];
    out.add(std::exchange(before, ",\"")).add(field.name).add("\":");
    add_value(out, field);
  }
  out.add('}');
}

}  // namespace

void append_text(Text& out, const Message& message, std::uint64_t start_ns, Detail detail) {
  constexpr std::uint64_t kSecondUs = 1'000'000;
  const std::string_view between = detail == Detail::kLine ? " " : "\n        ";
  const bool earlier = message.time_ns < start_ns;  // than the capture's first packet
  const std::uint64_t since_us =
      (earlier ? start_ns - message.time_ns : message.time_ns - start_ns) / 1000;
  out.add_number(message.packet, 5, ' ').add(' ');
  const std::uint64_t seconds = since_us / kSecondUs;
  if (earlier) {
    if (seconds < 100) out.add(' ');
    if (seconds < 10) out.add(' ');
    out.add('-').add_number(seconds);
  } else {
    out.add_number(seconds, 4, ' ');
  }
  out.add('.').add_number(since_us % kSecondUs, 6, '0');
  out.add(arrow(message)).add(std::size_t{2} * message.depth, ' ');
  if (message.connection) out.add('#').add_number(*message.connection).add(' ');
  if (message.session) out.add('[').add_number(*message.session, kSessionDigits, '0', 16).add("] ");
  out.add(message.layer).add(' ').add(message.name);
  for (const Field& field : message.fields.all()) {
    out.add(between).add(field.name);
    if (detail == Detail::kLine)
      field.append_to(out.add('='));
    else
      field.append_whole_to(out.add(" = "));
  }
  if (!message.problem.empty())
    out.add(detail == Detail::kLine ? "  " : between).add("!! ").add(message.problem);
  out.add('\n');
}

void append_json(Text& out, const Message& message) {
  out.add(R"({"packet":)").add_number(message.packet);
  out.add(R"(,"time_ns":)").add_number(message.time_ns);
  out.add(message.sender == Sender::kRequester ? R"(,"from":"requester")"
                                               : R"(,"from":"responder")");
  if (message.sender_guessed) out.add(R"(,"from_guessed":true)");
  if (message.connection) out.add(R"(,"connection":)").add_number(*message.connection);
  if (message.session)
    out.add(R"(,"session":"0x)").add_number(*message.session, kSessionDigits, '0', 16).add('"');
  if (message.depth != 0) out.add(R"(,"depth":)").add_number(message.depth);
  // Names are this program's own: nothing in them needs an escape.
  out.add(R"(,"layer":")").add(message.layer);
  out.add(R"(","message":")").add(message.name).add('"');
  if (!message.fields.empty()) {
    out.add(R"(,"fields":)");
    add_fields(out, message.fields);
  }
  if (!message.problem.empty()) {
    out.add(R"(,"problem":)");
    add_string(out, message.problem);
  }
  out.add("}\n");
}

}  // namespace teeio::decode
