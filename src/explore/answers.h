#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace teeio::explore {

/// What a scenario's `fail COMMAND` "answers": whether the command failed in a schedule in
/// which it was made.
inline constexpr std::string_view kFailedAnswer = "failed", kDidNotFailAnswer = "did not fail";

/// One answer of a call, and in how many schedules it came.
struct AnswerCount {
  std::string answer;       ///< "ok", or an errno's name
  std::uint64_t times = 0;  ///< schedules
  std::string why;          ///< the sentence of the first refusal
  bool operator==(const AnswerCount&) const = default;
};

/// A call of a scenario, and what it answered over all schedules.
struct CallAnswers {
  std::string where;                 ///< "line 18"
  std::string call;                  ///< "IOMMU_DESTROY"
  std::vector<std::string> allowed;  ///< the answers that the scenario allows; empty: any
  bool explored = true;              ///< it is a thread's, not of the set-up or the end
  bool of_many = false;              ///< many scenarios make it, and are judged together
  std::vector<AnswerCount> answers;  ///< "ok" first, then as they came

  [[nodiscard]] std::uint64_t times() const;
  /// Adds the same call's answers of other schedules.
  void add(const CallAnswers& other);
  /// "line 18: ok ×60, EBUSY ×41 (IOMMU_DESTROY)"; "never ran" without an answer. An
  /// answer that is allowed by name and never came is told too.
  [[nodiscard]] std::string str() const;
  bool operator==(const CallAnswers&) const = default;
};

/// Counts the answers of a scenario's calls, schedule by schedule: its body notes them,
/// the exploration says which schedules count (not those of a shrink, or pruned ones).
class Answers {
 public:
  explicit Answers(std::vector<CallAnswers> calls) : calls_(std::move(calls)) {}

  /// One answer of the present schedule.
  struct Noted {
    std::size_t call;
    std::string answer;
    std::string why;
    bool operator==(const Noted&) const = default;
  };

  /// In a run: call number `call` answered so.
  void note(std::size_t call, std::string_view answer, std::string_view why);
  /// A schedule begins: what was noted and not counted is forgotten.
  void begin() { noted_.clear(); }
  /// What the present schedule's calls answered, in the order in which they did.
  [[nodiscard]] const std::vector<Noted>& noted() const { return noted_; }
  /// The schedule that was noted counts.
  void count();
  /// What was counted elsewhere, of the same calls; others are left out.
  void add(const std::vector<CallAnswers>& before);

  [[nodiscard]] const std::vector<CallAnswers>& calls() const { return calls_; }

 private:
  std::vector<CallAnswers> calls_;
  std::vector<Noted> noted_;
};

/// Puts the answers of two explorations of one scenario together.
void add_answers(std::vector<CallAnswers>& to, const std::vector<CallAnswers>& from);

/// What makes a scenario in which nothing was found say less than it seems to, a
/// sentence each: calls that never ran, and calls that never succeeded though they
/// were allowed to.
[[nodiscard]] std::vector<std::string> vacuous(const std::vector<CallAnswers>& calls);

/// The same of calls that many scenarios make (CallAnswers::of_many), over all of them that were
/// explored on one design.
class AnswersOfMany {
 public:
  /// Of scenario "NAME@DESIGN".
  void add(const std::string& scenario, const std::vector<CallAnswers>& calls);
  /// "GUEST_REQUEST@cca never succeeded in any of the 12 scenarios that made the call: EINVAL
  /// ×24, why", a sentence each.
  [[nodiscard]] std::vector<std::string> never_succeeded() const;

 private:
  struct Sum {
    CallAnswers answers;
    std::uint64_t scenarios = 0;
  };
  std::map<std::string, Sum> calls_;  ///< by "CALL@DESIGN"
};

}  // namespace teeio::explore
