#include "explore/scenario/text_steps.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <charconv>

#include "base/nearest.h"

namespace teeio::explore {
namespace {

using Token = TextToken::Kind;

constexpr std::size_t kMaxName = 64;

bool is_errno(std::string_view text) {
  constexpr int kErrnos = 134;
  for (int code = 1; code < kErrnos; ++code)
    if (errno_name(static_cast<Errno>(code)) == text) return true;
  return false;
}

const CallRow* find_call(std::string_view name) {
  for (const CallRow& row : call_rows())
    if (row.name == name) return &row;
  return nullptr;
}

/// "; is it open?" for a typing error, else nothing.
std::string nearest_call(std::string_view name) {
  std::vector<std::string> known;
  for (const CallRow& row : call_rows()) known.emplace_back(row.name);
  const std::string near = nearest(name, known);
  return near.empty() ? near : fmt::format("; is it {}?", near);
}

constexpr std::uint64_t kMostId = 0xffff'ffff;

/// A wider number would be cut off on its way into the call.
Parsed<> fits(const TextToken& token, std::uint64_t value, std::string_view key,
              std::uint64_t most) {
  if (value <= most) return {};
  return wrong(token,
               fmt::format("{} has {} bits: it is at most {:#x}", key, std::bit_width(most), most));
}

std::string keys_of(const CallRow& row) {
  std::string keys;
  for (const CallParameter& parameter : row.parameters)
    keys += fmt::format("{}{}", keys.empty() ? "" : ", ", parameter.key);
  return keys.empty() ? "none" : keys;
}

}  // namespace

std::unexpected<TextProblem> wrong(const TextToken& token, std::string what) {
  return std::unexpected(TextProblem{token.line, token.column, std::move(what)});
}
/// Something is missing behind `token`.
std::unexpected<TextProblem> missing(const TextToken& token, std::string what) {
  const auto end = static_cast<unsigned>(token.column + token.text.size());
  return std::unexpected(TextProblem{token.line, end, std::move(what)});
}

bool is_name(std::string_view text) {
  if (text.empty() || text.size() > kMaxName) return false;
  return std::ranges::all_of(text, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' ||
           c == '_' || c == '/';
  });
}

std::optional<std::uint64_t> number(std::string_view text) {
  const bool hex = text.starts_with("0x");
  if (hex) text.remove_prefix(2);
  std::uint64_t value = 0;
  const auto [stop, error] =
      std::from_chars(text.data(), text.data() + text.size(), value, hex ? 16 : 10);
  if (error != std::errc{} || stop != text.data() + text.size()) return std::nullopt;
  return value;
}

Parsed<> StepParser::step(Tokens line, Scope scope, std::size_t part_number, TextPart& part) {
  place_ = {.scope = scope, .part_number = part_number, .process = part.process};
  if (++steps_ > kMaxTextSteps)
    return wrong(line.front(), fmt::format("a scenario has at most {} calls", kMaxTextSteps));
  TextStep made;
  made.number = steps_ - 1;
  made.line = line.front().line;
  const TextToken* name = nullptr;
  if (line.front().text == "if" && line.front().kind == Token::kWord) {
    TEXT_TRY(condition(line, made));
    line = line.subspan(3);
  }
  if (line.size() > 1 && line[1].kind == Token::kEquals) {
    name = &line.front();
    if (line.size() == 2) return missing(line[1], "the call is missing");
    line = line.subspan(2);
  }
  made.call = find_call(line.front().text);
  if (made.call == nullptr)
    return wrong(line.front(), fmt::format("there is no call `{}`{}", line.front().text,
                                           nearest_call(line.front().text)));
  const auto arrow = std::ranges::find(line, Token::kArrow, &TextToken::kind);
  const auto words = static_cast<std::size_t>(arrow - line.begin());
  TEXT_TRY(operands(line.first(words), made));
  if (words < line.size()) TEXT_TRY(answers(line.subspan(words), made));
  if (name != nullptr) TEXT_TRY(keep_result(*name, made));
  part.steps.push_back(std::move(made));
  return {};
}

/// `if NAME ok` or `if NAME refused`, and a call behind it.
Parsed<> StepParser::condition(Tokens line, TextStep& made) {
  if (line.size() < 4) return missing(line.back(), "a condition is `if NAME ok|refused CALL`");
  const auto at = symbols_.find(line[1].text);
  if (at == symbols_.end())
    return wrong(line[1],
                 fmt::format("nothing is named `{}` before this line; `if` asks for the answer of "
                             "a call that gives something and has a name: {} = CALL",
                             line[1].text, line[1].text));
  auto symbol = find_symbol(line[1], at->second.kind);
  if (!symbol) return std::unexpected(symbol.error());
  if (line[2].text != "ok" && line[2].text != "refused")
    return wrong(line[2], "a call that is named was ok or refused");
  made.condition = *symbol;
  made.if_refused = line[2].text == "refused";
  return {};
}

Parsed<> StepParser::operands(Tokens line, TextStep& made) {
  const CallRow& row = *made.call;
  std::size_t at = 1;
  if (row.on_descriptor) {
    if (at == line.size())
      return missing(line.front(), fmt::format("{} is made on a descriptor: name one", row.name));
    auto symbol = find_symbol(line[at], CallRow::Result::kDescriptor);
    if (!symbol) return std::unexpected(symbol.error());
    made.target = *symbol;
    ++at;
  }
  for (unsigned i = 0; i < row.texts; ++i, ++at) {
    if (at == line.size())
      return missing(line.back(),
                     row.texts == 1 ? "a path or name is missing" : "two texts are needed");
    made.texts.push_back(line[at].text);
  }
  made.arguments.resize(row.parameters.size());
  std::vector<bool> given(row.parameters.size());
  for (; at < line.size(); at += 3) TEXT_TRY(argument(line, at, made, given));
  return fill_in(line, made, given);
}

Parsed<> StepParser::argument(Tokens line, std::size_t at, TextStep& made,
                              std::vector<bool>& given) {
  const CallRow& row = *made.call;
  const auto found = std::ranges::find(row.parameters, line[at].text, &CallParameter::key);
  if (found == row.parameters.end())
    return wrong(line[at], fmt::format("{} has no argument `{}`; it takes {}", row.name,
                                       line[at].text, keys_of(row)));
  if (at + 1 >= line.size() || line[at + 1].kind != Token::kEquals || at + 2 >= line.size())
    return missing(line[std::min(at + 1, line.size() - 1)],
                   fmt::format("`{}` needs a value: {}=…", line[at].text, line[at].text));
  const auto index = static_cast<std::size_t>(found - row.parameters.begin());
  if (given[index]) return wrong(line[at], fmt::format("`{}` is given twice", line[at].text));
  given[index] = true;
  return value(line[at + 2], *found, made.arguments[index]);
}

Parsed<> StepParser::value(const TextToken& token, const CallParameter& parameter,
                           TextArgument& into) {
  switch (parameter.kind) {
    case CallParameter::Kind::kNumber: {
      const auto read = number(token.text);
      if (!read)
        return wrong(token, fmt::format("`{}` is no number such as 7 or 0x1000", token.text));
      TEXT_TRY(fits(token, *read, parameter.key, parameter.most));
      into = {TextArgument::Kind::kNumber, *read};
      return {};
    }
    case CallParameter::Kind::kWord: {
      std::string allowed;
      for (const CallWord& word : parameter.words) {
        if (word.name == token.text) {
          into = {TextArgument::Kind::kNumber, word.value};
          return {};
        }
        allowed += fmt::format("{}{}", allowed.empty() ? "" : ", ", word.name);
      }
      return wrong(token, fmt::format("{} is one of {}", parameter.key, allowed));
    }
    case CallParameter::Kind::kId:
      if (const auto raw = number(token.text)) {
        TEXT_TRY(fits(token, *raw, parameter.key, kMostId));
        into = {TextArgument::Kind::kNumber, *raw};
        return {};
      }
      return symbol_value(token, CallRow::Result::kId, into);
    case CallParameter::Kind::kDescriptor:
      return symbol_value(token, CallRow::Result::kDescriptor, into);
  }
  return {};
}

Parsed<> StepParser::symbol_value(const TextToken& token, CallRow::Result kind,
                                  TextArgument& into) {
  auto symbol = find_symbol(token, kind);
  if (!symbol) return std::unexpected(symbol.error());
  into = {TextArgument::Kind::kSymbol, *symbol};
  return {};
}

Parsed<> StepParser::fill_in(Tokens line, TextStep& made, const std::vector<bool>& given) {
  const CallRow& row = *made.call;
  for (std::size_t i = 0; i < given.size(); ++i) {
    if (given[i]) continue;
    if (!row.parameters[i].fallback)
      return missing(line.back(), fmt::format("{} needs {}=…", row.name, row.parameters[i].key));
    made.arguments[i] = {TextArgument::Kind::kNumber, *row.parameters[i].fallback};
  }
  return check_widths(line, made);
}

/// Of values whose size another argument says.
Parsed<> StepParser::check_widths(Tokens line, const TextStep& made) {
  const auto& parameters = made.call->parameters;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    const auto by = std::ranges::find(parameters, parameters[i].bytes_by, &CallParameter::key);
    if (by == parameters.end()) continue;
    const std::uint64_t bits =
        made.arguments[static_cast<std::size_t>(by - parameters.begin())].value * 8;
    std::size_t written = line.size() - 1;
    for (std::size_t at = 0; at + 2 < line.size(); ++at)
      if (line[at].text == parameters[i].key && line[at + 1].kind == Token::kEquals)
        written = at + 2;
    TEXT_TRY(fits(line[written], made.arguments[i].value, parameters[i].key,
                  (std::uint64_t{1} << bits) - 1));
  }
  return {};
}

Parsed<> StepParser::answers(Tokens line, TextStep& made) {
  if (line.size() == 1) return missing(line.front(), "an answer is missing: ok, or errnos");
  for (const TextToken& token : line.subspan(1)) {
    if (token.text != "ok" && !is_errno(token.text))
      return wrong(token, fmt::format("`{}` is no answer; allowed are ok and errnos such as EBUSY",
                                      token.text));
    made.expected.push_back(token.text);
  }
  return {};
}

Parsed<> StepParser::keep_result(const TextToken& name, TextStep& made) {
  if (made.call->result == CallRow::Result::kNothing)
    return wrong(name, fmt::format("{} gives nothing to name", made.call->name));
  if (!is_name(name.text) || number(name.text))
    return wrong(name, "a name is of letters, digits, - _ and /, and no number");
  const Symbol symbol{.number = next_symbol_,
                      .kind = made.call->result,
                      .process = place_.process,
                      .scope = place_.scope,
                      .part_number = place_.part_number};
  if (!symbols_.emplace(name.text, symbol).second)
    return wrong(name, fmt::format("`{}` names something already", name.text));
  names_.push_back(name.text);
  made.result = next_symbol_++;
  return {};
}

void StepParser::forget_names_from(std::size_t count) {
  for (; names_.size() > count; names_.pop_back()) symbols_.erase(names_.back());
}

Parsed<std::uint32_t> StepParser::find_symbol(const TextToken& token, CallRow::Result kind) {
  const auto at = symbols_.find(token.text);
  if (at == symbols_.end())
    return wrong(token,
                 fmt::format("nothing is named `{}` before this line{}", token.text, known(kind)));
  const Symbol& symbol = at->second;
  if (symbol.kind != kind)
    return wrong(token,
                 fmt::format("`{}` is {}", token.text,
                             kind == CallRow::Result::kId ? "a descriptor, and an id is needed"
                                                          : "an id, and a descriptor is needed"));
  if (kind == CallRow::Result::kDescriptor && symbol.process != place_.process)
    return wrong(token, fmt::format("the descriptor `{}` is another process's", token.text));
  const bool of_another_thread =
      symbol.scope == Scope::kThread && symbol.part_number != place_.part_number;
  if (of_another_thread && place_.scope != Scope::kFinish)
    return wrong(token,
                 fmt::format("`{}` is made by another thread: name it in setup", token.text));
  return symbol.number;
}

std::string StepParser::known(CallRow::Result kind) const {
  std::string names;
  for (const auto& [name, symbol] : symbols_)
    if (symbol.kind == kind) names += (names.empty() ? "" : ", ") + name;
  return names.empty() ? std::string() : "; there are " + names;
}

}  // namespace teeio::explore
