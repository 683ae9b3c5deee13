#include "explore/answers.h"

#include <algorithm>
#include <set>

#include "schedule/races.h"
#include "schedule/run_heap.h"

namespace teeio::explore {
namespace {

constexpr std::string_view kOk = "ok";

/// The entry of `answer`, made if there is none.
AnswerCount& entry(CallAnswers& call, std::string_view answer) {
  const auto at = std::ranges::find(call.answers, answer, &AnswerCount::answer);
  if (at != call.answers.end()) return *at;
  const auto to = answer == kOk ? call.answers.begin() : call.answers.end();
  return *call.answers.insert(to, {std::string(answer), 0, {}});
}

bool came(const CallAnswers& call, std::string_view answer) {
  return std::ranges::find(call.answers, answer, &AnswerCount::answer) != call.answers.end();
}

bool may_succeed(const CallAnswers& call) {
  return call.allowed.empty() || std::ranges::find(call.allowed, kOk) != call.allowed.end();
}

std::string counts(const CallAnswers& call) {
  std::string text;
  for (const AnswerCount& a : call.answers)
    text += (text.empty() ? "" : ", ") + a.answer + " ×" + std::to_string(a.times);
  return text;
}

}  // namespace

std::uint64_t CallAnswers::times() const {
  std::uint64_t sum = 0;
  for (const AnswerCount& a : answers) sum += a.times;
  return sum;
}

void CallAnswers::add(const CallAnswers& other) {
  for (const AnswerCount& a : other.answers) {
    AnswerCount& mine = entry(*this, a.answer);
    mine.times += a.times;
    if (mine.why.empty()) mine.why = a.why;
  }
}

std::string CallAnswers::str() const {
  std::string text = where + ": " + (answers.empty() ? "never ran" : counts(*this));
  if (!answers.empty())
    for (const std::string& answer : allowed)
      if (!came(*this, answer)) text += ", " + answer + " never";
  return text + " (" + call + ')';
}

void Answers::note(std::size_t call, std::string_view answer, std::string_view why) {
  const schedule::OutsideRunHeap outside;
  const schedule::Unwatched unwatched;
  noted_.push_back({call, std::string(answer), std::string(why)});
}

void Answers::count() {
  for (const Noted& noted : noted_) {
    AnswerCount& counted = entry(calls_.at(noted.call), noted.answer);
    ++counted.times;
    if (counted.why.empty()) counted.why = noted.why;
  }
  noted_.clear();
}

void Answers::add(const std::vector<CallAnswers>& before) {
  for (const CallAnswers& other : before)
    for (CallAnswers& call : calls_)
      if (call.where == other.where && call.call == other.call) call.add(other);
}

void add_answers(std::vector<CallAnswers>& to, const std::vector<CallAnswers>& from) {
  if (to.empty()) {
    to = from;
    return;
  }
  for (std::size_t i = 0; i < to.size() && i < from.size(); ++i) to[i].add(from[i]);
}

std::vector<std::string> vacuous(const std::vector<CallAnswers>& calls) {
  std::vector<std::string> sentences;
  for (const CallAnswers& call : calls) {
    if (call.of_many) continue;
    if (call.answers.empty()) {
      sentences.push_back(call.where + ": " + call.call + " never ran");
      continue;
    }
    if (came(call, kDidNotFailAnswer) && !came(call, kFailedAnswer))
      sentences.push_back(call.where + ": " + call.call + ": it never failed");
    if (!may_succeed(call) || came(call, kOk)) continue;
    sentences.push_back(call.where + ": " + call.call + " never succeeded: " + counts(call));
    if (const std::string& why = call.answers.front().why; !why.empty())
      sentences.back() += ", " + why;
  }
  return sentences;
}

void AnswersOfMany::add(const std::string& scenario, const std::vector<CallAnswers>& calls) {
  const std::size_t at = scenario.rfind('@');
  const std::string design = at == std::string::npos ? "" : scenario.substr(at);
  std::set<Sum*> met;
  for (const CallAnswers& call : calls) {
    if (!call.of_many || call.answers.empty() || !may_succeed(call)) continue;
    Sum& sum = calls_[call.call + design];
    sum.answers.add(call);
    if (met.insert(&sum).second) ++sum.scenarios;
  }
}

std::vector<std::string> AnswersOfMany::never_succeeded() const {
  std::vector<std::string> sentences;
  for (const auto& [name, sum] : calls_) {
    if (came(sum.answers, kOk)) continue;
    const std::string& why = sum.answers.answers.front().why;
    const std::string where = sum.scenarios == 1
                                  ? "the one scenario"
                                  : "any of the " + std::to_string(sum.scenarios) + " scenarios";
    sentences.push_back(name + " never succeeded in " + where + " that made the call: " +
                        counts(sum.answers) + (why.empty() ? "" : ", " + why));
  }
  return sentences;
}

}  // namespace teeio::explore
