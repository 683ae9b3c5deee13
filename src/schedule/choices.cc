#include <algorithm>
#include <charconv>

#include "schedule/strategy.h"
#include "schedule/usual_choice.h"

namespace teeio::schedule {
namespace {

/// Takes a decimal number from the front of `text`; false if there is none.
bool take_number(std::string_view& text, std::uint32_t& value) {
  const auto [stop, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{}) return false;
  text.remove_prefix(static_cast<std::size_t>(stop - text.data()));
  return true;
}

Result<void> append(Choices& choices, std::uint32_t times, Choice choice) {
  if (times > kMaxChoices - choices.size()) return fail(Errno::kTooBig, "too many choices");
  choices.insert(choices.end(), times, choice);
  return {};
}

/// "31:2", ":2", "31=2", "=2"; as it was written once, "2", "2*31", "=2*31".
Result<void> append_item(Choices& choices, std::string_view item) {
  constexpr std::string_view kNoNumber = "a choice is not a number";
  Choice choice{Choice::Kind::kTask, 0};
  std::uint32_t first = 0;
  const bool counted = take_number(item, first);
  if (!item.starts_with(':') && !item.starts_with('=')) {
    if (!counted) return fail(Errno::kInval, kNoNumber);
    choice.value = first;
  } else {
    if (item.front() == '=') choice.kind = Choice::Kind::kAlternative;
    item.remove_prefix(1);
    if (!take_number(item, choice.value)) return fail(Errno::kInval, kNoNumber);
    TEEIO_TRY(append(choices, first, kUsualChoice));
  }
  std::uint32_t times = 1;
  if (item.starts_with('*')) {
    item.remove_prefix(1);
    if (!take_number(item, times) || times == 0)
      return fail(Errno::kInval, "a repetition is not a number from 1");
  }
  if (!item.empty()) return fail(Errno::kInval, "a choice has trailing characters");
  if (choice.value == kUsualValue) return fail(Errno::kInval, kNoNumber);
  return append(choices, times, choice);
}

}  // namespace

std::string to_text(const Choices& choices) {
  std::string text;
  std::size_t usual = 0;
  for (std::size_t i = 0; i < choices.size(); ++i) {
    if (choices[i] == kUsualChoice) {
      ++usual;
      continue;
    }
    std::size_t end = i;
    while (end < choices.size() && choices[end] == choices[i]) ++end;
    if (!text.empty()) text += ',';
    if (usual != 0) text += std::to_string(usual);
    text += choices[i].kind == Choice::Kind::kAlternative ? '=' : ':';
    text += std::to_string(choices[i].value);
    if (end - i > 1) text += '*' + std::to_string(end - i);
    i = end - 1;
    usual = 0;
  }
  return text;
}

Result<Choices> parse_choices(std::string_view text) {
  constexpr std::string_view kBetween = " ,";
  Choices choices;
  while (!text.empty()) {
    const std::string_view item = text.substr(0, text.find_first_of(kBetween));
    text.remove_prefix(item.size());
    text.remove_prefix(std::min(text.find_first_not_of(kBetween), text.size()));
    TEEIO_TRY(append_item(choices, item));
  }
  return choices;
}

}  // namespace teeio::schedule
