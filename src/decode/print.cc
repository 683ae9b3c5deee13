#include "decode/print.h"

#include <algorithm>
#include <array>
#include <charconv>
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
  if (message.sender_guessed) return message.sender == Sender::kRequester ? "?>" : "<?";
  return message.sender == Sender::kRequester ? "->" : "<-";
}

/// At least `width` characters, with `fill` before them.
void append_number(std::string& out, std::uint64_t value, std::size_t width = 0, char fill = ' ',
                   int base = 10) {
  std::array<char, 20> digits;  // NOLINT(cppcoreguidelines-pro-type-member-init)
  const auto [end, error] =
      std::to_chars(digits.data(), digits.data() + digits.size(), value, base);
  const auto size = static_cast<std::size_t>(end - digits.data());
  out.append(width - std::min(size, width), fill);
  out.append(digits.data(), size);
}

constexpr std::size_t kSessionDigits = 8;

void append_escape(std::string& out, char c) {
  constexpr std::string_view kNamed = "\"\\\b\f\n\r\t";
  constexpr std::string_view kNames = "\"\\bfnrt";
  out += '\\';
  if (const std::size_t at = kNamed.find(c); at != std::string_view::npos) {
    out += kNames[at];
    return;
  }
  out += 'u';
  append_number(out, static_cast<unsigned char>(c), 4, '0', 16);
}

/// A JSON string. Broken UTF-8 is replaced.
void append_string(std::string& out, std::string_view text) {
  const auto is_plain = [](char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte >= 0x20 && byte < 0x80 && c != '"' && c != '\\';
  };
  if (std::ranges::all_of(text, is_plain)) {
    out.append("\"").append(text).append("\"");
    return;
  }
  out += '"';
  for (const char c : valid_utf8(text)) {
    if (is_plain(c) || static_cast<unsigned char>(c) >= 0x80)
      out += c;
    else
      append_escape(out, c);
  }
  out += '"';
}

void append_value(std::string& out, const Field& field) {
  using enum Field::Form;
  if (field.form == kWord) return append_string(out, field.word);
  if (field.form == kNumber || field.form == kHexNumber) return append_number(out, field.number);
  out += '"';
  field.append_whole_to(out);
  out += '"';
}

/// Names of fields, and whether one was there before: most differ in what is looked at first.
class Names {
 public:
  /// false: certainly not; true: perhaps.
  bool add(const std::string& name) {
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

void append_fields(std::string& out, const std::vector<Field>& fields) {
  Names names;
  bool repeated = false;
  for (const Field& field : fields) repeated = names.add(field.name) || repeated;
  // Few are compared with each other, which needs no memory.
  constexpr std::size_t kFew = 32;
  std::vector<std::size_t> last;
  if (repeated && fields.size() > kFew) last = last_of_each(fields);
  std::string_view before = "{\"";
  for (auto field = fields.begin(); field != fields.end(); ++field) {
    const Field* value = &*field;
    if (!last.empty()) {
      const std::size_t at = last[static_cast<std::size_t>(field - fields.begin())];
      if (at == kNotTheFirst) continue;
      value = &fields[at];
    } else if (repeated) {
      const auto same = [&](const Field& other) { return other.name == field->name; };
      if (std::any_of(fields.begin(), field, same)) continue;
      value = &*std::find_if(fields.rbegin(), fields.rend(), same);
    }
    out.append(std::exchange(before, ",\"")).append(field->name).append("\":");
    append_value(out, *value);
  }
  out += '}';
}

}  // namespace

void append_text(std::string& out, const Message& message, std::uint64_t start_ns, Detail detail) {
  constexpr std::uint64_t kSecondUs = 1'000'000;
  const std::string_view between = detail == Detail::kLine ? " " : "\n        ";
  const std::uint64_t since_us = (message.time_ns - std::min(start_ns, message.time_ns)) / 1000;
  append_number(out, message.packet, 5);
  out += ' ';
  append_number(out, since_us / kSecondUs, 4);
  out += '.';
  append_number(out, since_us % kSecondUs, 6, '0');
  out.append(" ").append(arrow(message)).append(" ");
  out.append(std::size_t{2} * message.depth, ' ');
  if (message.connection) {
    out += '#';
    append_number(out, *message.connection);
    out += ' ';
  }
  if (message.session) {
    out += '[';
    append_number(out, *message.session, kSessionDigits, '0', 16);
    out += "] ";
  }
  out.append(message.layer).append(" ").append(message.name);
  for (const Field& field : message.fields) {
    out.append(between).append(field.name).append(detail == Detail::kLine ? "=" : " = ");
    if (detail == Detail::kLine)
      field.append_to(out);
    else
      field.append_whole_to(out);
  }
  if (!message.problem.empty())
    out.append(detail == Detail::kLine ? "  " : between).append("!! ").append(message.problem);
  out += '\n';
}

void append_json(std::string& out, const Message& message) {
  out += R"({"packet":)";
  append_number(out, message.packet);
  out += R"(,"time_ns":)";
  append_number(out, message.time_ns);
  out += message.sender == Sender::kRequester ? R"(,"from":"requester")" : R"(,"from":"responder")";
  if (message.sender_guessed) out += R"(,"from_guessed":true)";
  if (message.connection) {
    out += R"(,"connection":)";
    append_number(out, *message.connection);
  }
  if (message.session) {
    out += R"(,"session":"0x)";
    append_number(out, *message.session, kSessionDigits, '0', 16);
    out += '"';
  }
  if (message.depth != 0) {
    out += R"(,"depth":)";
    append_number(out, message.depth);
  }
  // Names are this program's own: nothing in them needs an escape.
  out.append(R"(,"layer":")").append(message.layer);
  out.append(R"(","message":")").append(message.name).append("\"");
  if (!message.fields.empty()) {
    out += R"(,"fields":)";
    append_fields(out, message.fields);
  }
  if (!message.problem.empty()) {
    out += R"(,"problem":)";
    append_string(out, message.problem);
  }
  out += "}\n";
}

}  // namespace teeio::decode
