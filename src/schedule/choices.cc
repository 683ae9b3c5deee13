#include <charconv>

#include "schedule/strategy.h"

namespace teeio::schedule {
namespace {

/// Takes a decimal number from the front of `text`; false if there is none.
bool take_number(std::string_view& text, std::uint32_t& value) {
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{}) return false;
  text.remove_prefix(static_cast<std::size_t>(stop - text.data()));
  return true;
}

Result<void> append_item(Choices& choices, std::string_view item) {
  Choice choice{Choice::Kind::kTask, 0};
  std::uint32_t times = 1;
  if (item.starts_with('=')) {
    choice.kind = Choice::Kind::kAlternative;
    item.remove_prefix(1);
  }
  if (!take_number(item, choice.value)) return fail(Errno::kInval, "a choice is not a number");
  if (item.starts_with('*')) {
    item.remove_prefix(1);
    if (!take_number(item, times) || times == 0)
      return fail(Errno::kInval, "a repetition is not a number from 1");
  }
  if (!item.empty()) return fail(Errno::kInval, "a choice has trailing characters");
  if (times > kMaxChoices - choices.size()) return fail(Errno::kTooBig, "too many choices");
  choices.insert(choices.end(), times, choice);
  return {};
}

}  // namespace

std::string to_text(const Choices& choices) {
  std::string text;
  for (std::size_t i = 0; i < choices.size();) {
    std::size_t end = i;
    while (end < choices.size() && choices[end] == choices[i]) ++end;
    if (!text.empty()) text += ' ';
    if (choices[i].kind == Choice::Kind::kAlternative) text += '=';
    text += std::to_string(choices[i].value);
    if (end - i > 1) text += '*' + std::to_string(end - i);
    i = end;
  }
  return text;
}

Result<Choices> parse_choices(std::string_view text) {
  Choices choices;
  while (!text.empty()) {
    const std::string_view item = text.substr(0, text.find(' '));
    text.remove_prefix(item.size());
    while (text.starts_with(' ')) text.remove_prefix(1);
    TEEIO_TRY(append_item(choices, item));
  }
  return choices;
}

}  // namespace teeio::schedule
