#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/files.h"
#include "explore/scenario/text.h"
#include "explore/scenario/text_head.h"
#include "explore/scenario/text_settings.h"
#include "explore/scenario/text_steps.h"
#include "explore/scenario/vendor.h"

namespace teeio::explore {
namespace {

using TokenKind = TextToken::Kind;

class Parser {
 public:
  Parsed<TextScenario> parse(std::span<const std::vector<TextToken>> lines) {
    TEXT_TRY(parse_lines(lines));
    if (scenario_.name.empty())
      return std::unexpected(TextProblem{1, 1, "the file begins with `scenario NAME`"});
    if (scenario_.threads.empty())
      return wrong(lines.back().back(), "a scenario has at least one `thread NAME`");
    for (const TextPart& thread : scenario_.threads)
      if (thread.steps.empty())
        return wrong(lines.back().back(),
                     fmt::format("the thread `{}` makes no call", thread.name));
    for (auto* parts : {&scenario_.setup, &scenario_.threads, &scenario_.finish})
      for (TextPart& part : *parts)
        for (TextStep& step : part.steps) TEXT_TRY(find_victim(step));
    TEXT_TRY(everybody_is_met());
    TEXT_TRY(head_.fits(scenario_));
    if (!scenario_.fails.empty() && scenario_.failures == 0) scenario_.failures = 1;
    scenario_.processes = static_cast<std::uint32_t>(processes_.size());
    scenario_.symbols = steps_.symbols();
    return std::move(scenario_);
  }

 private:
  enum class Section : unsigned char { kHead, kSetup, kThread, kFinish };
  Parsed<> parse_line(Tokens line) {
    const std::string_view word = line.front().text;
    if (scenario_.name.empty() && word != "scenario")
      return wrong(line.front(), "the file begins with `scenario NAME`");
    if (word == "scenario") return name_it(line);
    if (word == "about") return describe(line);
    if (word == "firmware") return firmware(line);
    if (word == "set") return setting(line);
    if (word == "card") return card(line);
    if (word == "failures") return failures(line);
    if (word == "fail") return fail_only(line);
    if (word == "cards") return cards(line);
    if (word == "expect") return expect(line);
    if (word == "replay") return replay(line);
    if (word == "setup") return begin(Section::kSetup, line);
    if (word == "thread") return begin(Section::kThread, line);
    if (word == "finish") return begin(Section::kFinish, line);
    if (section_ == Section::kHead)
      return wrong(line.front(),
                   fmt::format("`{}` is no line of a scenario's head; allowed are about, "
                               "firmware, set, card, cards, failures, fail, expect, replay, setup, "
                               "thread",
                               word));
    return step(line);
  }

  // --- Loops ---

  using Lines = std::span<const std::vector<TextToken>>;

  Parsed<> parse_lines(Lines lines) {
    for (std::size_t at = 0; at < lines.size(); ++at) {
      const TextToken& first = lines[at].front();
      if (first.text == "end" && section_ != Section::kHead)
        return wrong(first, "`end` without its `repeat`");
      if (first.text != "repeat" || section_ == Section::kHead) {
        TEXT_TRY(parse_line(lines[at]));
        continue;
      }
      const auto length = length_of_loop(lines.subspan(at));
      if (!length) return std::unexpected(length.error());
      TEXT_TRY(repeat(lines[at], lines.subspan(at + 1, *length)));
      at += *length + 1;
    }
    return {};
  }

  /// Lines between `repeat` and its `end`.
  static Parsed<std::size_t> length_of_loop(Lines lines) {
    std::size_t open = 0;
    for (std::size_t at = 0; at < lines.size(); ++at) {
      const std::string_view word = lines[at].front().text;
      if (word == "setup" || word == "thread" || word == "finish") break;
      if (word == "repeat") ++open;
      if (word == "end" && --open == 0) return at - 1;
    }
    return wrong(lines.front().front(), "a `repeat` ends with a line `end`, in its part");
  }

  /// The calls that are in it, so many times; what a round names, the next names anew.
  Parsed<> repeat(Tokens line, Lines body) {
    if (line.size() != 2) return missing(line.back(), "a loop is `repeat NUMBER`");
    const auto rounds = number(line[1].text);
    if (!rounds || *rounds == 0 || *rounds > kMaxTextRounds)
      return wrong(line[1], fmt::format("a loop has 1 to {} rounds", kMaxTextRounds));
    const unsigned before = round_;
    const std::size_t names = steps_.names();
    for (std::uint64_t i = 0; i < *rounds; ++i) {
      steps_.forget_names_from(names);
      round_ = static_cast<unsigned>(before == 0 ? i + 1 : (before - 1) * *rounds + i + 1);
      TEXT_TRY(parse_lines(body));
    }
    round_ = before;
    return {};
  }

  // --- The head ---

  Parsed<> one_word(Tokens line, std::string_view what) {
    if (line.size() < 2) return missing(line.front(), fmt::format("{} is missing", what));
    if (line.size() > 2) return wrong(line[2], fmt::format("only {} belongs here", what));
    return {};
  }

  Parsed<> name_it(Tokens line) {
    if (!scenario_.name.empty()) return wrong(line.front(), "a file has one scenario");
    TEXT_TRY(one_word(line, "the scenario's name"));
    if (!is_name(line[1].text))
      return wrong(line[1], "a name is of letters, digits, - _ and /, at most 64");
    scenario_.name = line[1].text;
    return {};
  }

  Parsed<> describe(Tokens line) {
    TEXT_TRY(in_head(line));
    for (const TextToken& token : line.subspan(1)) {
      if (!scenario_.description.empty()) scenario_.description += ' ';
      scenario_.description += token.text;
    }
    return {};
  }

  Parsed<> firmware(Tokens line) {
    TEXT_TRY(in_head(line));
    TEXT_TRY(head_.only_one(line));
    if (line.size() < 2)
      return missing(line.front(), fmt::format("a firmware is missing: {}", known_firmware()));
    return firmware_names(line.subspan(1), scenario_.firmware);
  }

  static std::string known_firmware() {
    std::string known;
    for (const Vendor& vendor : vendors())
      known.append(known.empty() ? "" : ", ").append(vendor.tsm.name);
    return known;
  }

  static Parsed<> firmware_names(Tokens names, std::vector<machine::TsmKind>& into) {
    for (const TextToken& token : names) {
      const auto row = std::ranges::find_if(
          vendors(), [&](const Vendor& vendor) { return vendor.tsm.name == token.text; });
      if (row == vendors().end())
        return wrong(token, fmt::format("`{}` is no firmware; allowed are {}", token.text,
                                        known_firmware()));
      into.push_back(row->tsm);
    }
    return {};
  }

  Parsed<> expect(Tokens line) {
    TEXT_TRY(in_head(line));
    return parse_expectation(line, scenario_.expectation);
  }

  /// `replay "CHOICES" [FIRMWARE…]`; with a shell's quotes too, as a failure prints them.
  Parsed<> replay(Tokens line) {
    TEXT_TRY(in_head(line));
    if (line.size() < 2)
      return missing(line.front(), "the choices are missing, as a failure prints them");
    std::string_view text = line[1].text;
    if (text.size() > 1 && text.starts_with('\'') && text.ends_with('\''))
      text = text.substr(1, text.size() - 2);
    auto choices = schedule::parse_choices(text);
    if (!choices) return wrong(line[1], std::string(choices.error().why));
    if (scenario_.replays.size() == kMaxTextReplays)
      return wrong(line.front(), fmt::format("at most {} schedules", kMaxTextReplays));
    TextReplay& made = scenario_.replays.emplace_back();
    made.schedule = {.where = fmt::format("line {}", line.front().line),
                     .choices = std::move(*choices)};
    head_.replayed_on(line.subspan(2));
    return firmware_names(line.subspan(2), made.firmware);
  }

  Parsed<> setting(Tokens line) {
    TEXT_TRY(in_head(line));
    if (line.size() != 4 || line[2].kind != TokenKind::kEquals)
      return missing(line.back(), "a setting is `set KEY = VALUE`");
    if (auto set = check_setting(line[1].text, line[3].text); !set) {
      const TextToken& at = set.error().value_is_wrong ? line[3] : line[1];
      return wrong(at, set.error().what);
    }
    if (std::ranges::find(scenario_.settings, line[1].text, &Setting::first) !=
        scenario_.settings.end())
      return wrong(line[1], fmt::format("`{}` is set already", line[1].text));
    scenario_.settings.emplace_back(line[1].text, line[3].text);
    return {};
  }

  Parsed<> card(Tokens line) {
    TEXT_TRY(in_head(line));
    TEXT_TRY(head_.only_one(line));
    TEXT_TRY(one_word(line, "connected or as-at-boot"));
    if (line[1].text != "connected" && line[1].text != "as-at-boot")
      return wrong(line[1], "a card is connected or as-at-boot");
    scenario_.connected = line[1].text == "connected";
    return {};
  }

  Parsed<> failures(Tokens line) {
    TEXT_TRY(in_head(line));
    TEXT_TRY(head_.only_one(line));
    TEXT_TRY(one_word(line, "a number"));
    constexpr std::uint64_t kMost = 3;
    const auto count = number(line[1].text);
    if (!count || *count > kMost) return wrong(line[1], "a schedule may have 0 to 3 failures");
    scenario_.failures = static_cast<std::uint32_t>(*count);
    head_.failures_are(line[1]);
    return {};
  }

  /// `fail COMMAND`: no other step fails.
  Parsed<> fail_only(Tokens line) {
    TEXT_TRY(in_head(line));
    TEXT_TRY(one_word(line, "a firmware's command"));
    TEXT_TRY(head_.only_one(line));
    scenario_.fails = line[1].text;
    scenario_.fails_line = line.front().line;
    return {};
  }

  Parsed<> cards(Tokens line) {
    TEXT_TRY(in_head(line));
    TEXT_TRY(head_.only_one(line));
    TEXT_TRY(one_word(line, "1 or 2"));
    if (line[1].text != "1" && line[1].text != "2") return wrong(line[1], "there are 1 or 2 cards");
    scenario_.two_cards = line[1].text == "2";
    return {};
  }

  Parsed<> in_head(Tokens line) {
    if (section_ == Section::kHead) return {};
    return wrong(line.front(),
                 fmt::format("`{}` stands before the first setup or thread", line.front().text));
  }

  // --- Parts ---

  /// `setup [in PROCESS]`, `thread NAME [in PROCESS]`, `finish [in PROCESS]`.
  Parsed<> begin(Section section, Tokens line) {
    if (section < section_)
      return wrong(line.front(), "the order is: setup, then threads, then finish");
    section_ = section;
    std::size_t at = 1;
    TextPart part;
    part.name = line.front().text;
    if (section == Section::kThread) {
      if (line.size() < 2) return missing(line.front(), "the thread's name is missing");
      if (!is_name(line[1].text)) return wrong(line[1], "a name is of letters, digits, - _ and /");
      for (const TextPart& other : scenario_.threads)
        if (other.name == line[1].text)
          return wrong(line[1], fmt::format("there is a thread `{}` already", line[1].text));
      part.name = line[1].text;
      if (scenario_.threads.size() == kMaxTextThreads)
        return wrong(line.front(),
                     fmt::format("at most {} threads can be explored", kMaxTextThreads));
      at = 2;
    }
    std::string process = "main";
    if (at < line.size()) {
      if (line[at].text != "in") return wrong(line[at], "only `in PROCESS` may follow");
      if (at + 1 == line.size()) return missing(line[at], "the process's name is missing");
      if (!is_name(line[at + 1].text))
        return wrong(line[at + 1], "a name is of letters, digits, - _ and /");
      if (at + 2 < line.size()) return wrong(line[at + 2], "nothing may follow");
      process = line[at + 1].text;
    }
    const auto number_of = static_cast<std::uint32_t>(processes_.size());
    const auto [known, added] = processes_.emplace(process, number_of);
    if (added && processes_.size() > kMaxTextProcesses)
      return wrong(line[at + 1], fmt::format("at most {} processes", kMaxTextProcesses));
    part.process = known->second;
    std::vector<TextPart>& parts = parts_of(section);
    if (parts.size() == kMaxTextSteps) return wrong(line.front(), "there are too many parts");
    parts.push_back(std::move(part));
    return {};
  }

  /// Of `kill`: a part may name the process later.
  Parsed<> find_victim(TextStep& step) {
    if (!step.call->kills) return {};
    const auto at = processes_.find(step.texts.front());
    if (at == processes_.end())
      return std::unexpected(TextProblem{
          step.line, 1, fmt::format("no part is `in {}`, which is killed", step.texts.front())});
    step.kills = at->second;
    return {};
  }

  std::vector<TextPart>& parts_of(Section section) {
    if (section == Section::kThread) return scenario_.threads;
    return section == Section::kFinish ? scenario_.finish : scenario_.setup;
  }

  Parsed<> step(Tokens line) {
    std::vector<TextPart>& parts = parts_of(section_);
    const auto scope = section_ == Section::kSetup    ? StepParser::Scope::kSetup
                       : section_ == Section::kThread ? StepParser::Scope::kThread
                                                      : StepParser::Scope::kFinish;
    TEXT_TRY(steps_.step(line, scope, parts.size(), parts.back()));
    parts.back().steps.back().round = round_;
    return parts.back().steps.back().call->meets ? meets(line, parts.back()) : Parsed<>{};
  }

  /// The last step of `part`.
  Parsed<> meets(Tokens line, TextPart& part) {
    if (section_ != Section::kThread)
      return wrong(line.front(), "threads meet each other: nobody else is there");
    std::string& where = part.steps.back().texts.front();
    if (round_ != 0) where += fmt::format(" round {}", round_);
    for (const TextStep& before : std::span(part.steps).first(part.steps.size() - 1))
      if (before.call->meets && before.texts.front() == where)
        return wrong(line.front(), fmt::format("this thread met at `{}` in line {}: all go on "
                                               "from there, and a further place has another name",
                                               where, before.line));
    return {};
  }

  /// A name that is misspelt, or that the others have in no loop, would hold nobody up. Of a loop
  /// others may make fewer rounds.
  Parsed<> everybody_is_met() const {
    const auto place = [](const TextStep& step) {
      const std::string& name = step.texts.front();
      return step.round == 0 ? name : name.substr(0, name.rfind(' '));
    };
    std::map<std::string, std::set<const TextPart*>> threads;
    for (const TextPart& thread : scenario_.threads)
      for (const TextStep& step : thread.steps)
        if (step.call->meets) threads[place(step)].insert(&thread);
    for (const TextPart& thread : scenario_.threads)
      for (const TextStep& step : thread.steps)
        if (step.call->meets && threads.at(place(step)).size() == 1)
          return std::unexpected(
              TextProblem{step.line, 1,
                          fmt::format("only this thread meets at `{}`: it would wait for nobody",
                                      step.texts.front())});
    return {};
  }

  TextScenario scenario_;
  Section section_ = Section::kHead;
  unsigned round_ = 0;  ///< of the loop that is read, through all rounds of those around it
  using Setting = std::pair<std::string, std::string>;
  TextHead head_;
  std::map<std::string, std::uint32_t> processes_{{"main", 0}};
  StepParser steps_;
};

}  // namespace

std::expected<TextScenario, std::string> parse_text_scenario(std::string_view text,
                                                             std::string_view file_name) {
  const auto say = [&](const TextProblem& problem) {
    return std::unexpected(
        fmt::format("{}:{}:{}: {}", file_name, problem.line, problem.column, problem.what));
  };
  if (text.size() > kMaxTextBytes) return say({1, 1, "the file is longer than 64 KiB"});
  const auto lines = split_lines(text);
  if (!lines) return say(lines.error());
  if (lines->empty()) return say({1, 1, "the file begins with `scenario NAME`"});
  auto parsed = Parser().parse(*lines);
  if (!parsed) return say(parsed.error());
  return std::move(*parsed);
}

std::expected<TextScenario, std::string> load_text_scenario(const std::string& path) {
  const auto text = read_file(path, kMaxTextBytes);
  if (!text) return std::unexpected(text.error());
  return parse_text_scenario(*text, path);
}

}  // namespace teeio::explore
