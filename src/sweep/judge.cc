#include "sweep/judge.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <signal.h>
#include <string.h>

#include <algorithm>

#include "run/program_stack.h"

namespace teeio::sweep {
namespace {

using run::Injection;

/// Signals that ended processes now and not in the first run; one of --inject's is nobody's.
std::vector<std::string> new_deaths(const Outcome& first, const Injection& injection,
                                    const Outcome& outcome) {
  std::vector<std::string> deaths = outcome.killed;
  for (const std::string& death : first.killed)
    if (const auto at = std::ranges::find(deaths, death); at != deaths.end()) deaths.erase(at);
  if (injection.kind != Injection::Kind::kKill) return deaths;
  const auto ours = std::ranges::find_if(
      deaths, [](const std::string& death) { return death.ends_with(" SIGKILL"); });
  if (ours != deaths.end()) deaths.erase(ours);
  return deaths;
}

/// What a shell's exit status says of a process that it reaped itself: 128 + n. "" if it
/// says nothing new.
std::string death_of_status(const Outcome& first, const Injection& injection,
                            const Outcome& outcome) {
  constexpr int kShell = 128;
  const int signal = outcome.status - kShell;
  if (outcome.status == first.status || signal <= 0 || signal >= NSIG) return {};
  if (injection.kind == Injection::Kind::kKill && signal == SIGKILL) return {};
  const char* const name = ::sigabbrev_np(signal);
  return name == nullptr ? std::string{} : std::string("SIG") + name;
}

/// "frames in use: 0 at boot, 3 at the end" without the numbers: leaks of one kind are one.
std::string key_of(const std::string& lost) { return lost.substr(0, lost.find(": ")); }

bool is_excused(const Injection& injection, const std::string& lost) {
  return injection.kind == Injection::Kind::kDevice && injection.fault == schedule::Fault::kGone &&
         lost.starts_with("TDI state of ");
}

void complain_of_deaths(std::vector<Complaint>& complaints, const Outcome& first,
                        const Injection& injection, const Outcome& outcome) {
  const std::vector<std::string> deaths = new_deaths(first, injection, outcome);
  for (const std::string& death : deaths)
    complaints.push_back({"signal " + death, "a process died: " + death});
  const std::string death = death_of_status(first, injection, outcome);
  if (deaths.empty() && !death.empty())
    complaints.push_back(
        {"signal " + death,
         fmt::format("a process died: the exit status {} says {}", outcome.status, death)});
}

void complain_of_machine(std::vector<Complaint>& complaints, const Injection& injection,
                         const Outcome& outcome) {
  std::vector<std::string> lost = outcome.lost;
  std::erase_if(lost, [&](const std::string& one) { return is_excused(injection, one); });
  if (lost.empty()) return;
  std::vector<std::string> keys;
  std::ranges::transform(lost, std::back_inserter(keys), key_of);
  complaints.push_back({fmt::format("machine {}", fmt::join(keys, ", ")),
                        fmt::format("the machine is not as at boot: {}", fmt::join(lost, "; "))});
}

/// Complaints of one kind that come of different places of the program are different findings.
void add_place(Complaint& complaint, const Injection& injection, const Outcome& outcome) {
  if (complaint.stack.empty() && !outcome.stack.empty()) {
    complaint.stack = outcome.stack;
    complaint.key += " in " + injection.name;
  }
  if (const std::string top = run::stack_top(complaint.stack); !top.empty())
    complaint.key += " at " + top;
}

}  // namespace

std::string_view verdict_name(Verdict verdict) {
  switch (verdict) {
    case Verdict::kOk:
      return "ok";
    case Verdict::kHandled:
      return "handled";
    case Verdict::kFinding:
      return "finding";
    case Verdict::kNotReached:
      return "not reached";
  }
  return "";
}

std::string why_not_a_measure(const Outcome& first, int wanted_status) {
  if (!first.crash.empty()) return "teeio itself was ended by " + first.crash;
  if (!first.cut_off.empty())
    return first.cut_off +
           (first.out_of_processes ? ", and wanted more processes than it may have" : "");
  if (first.out_of_processes) return "it wanted more processes than it may have";
  if (!first.broken.empty())
    return "it broke a rule: " + first.broken.front().rule + ": " + first.broken.front().what;
  if (!first.lost.empty()) return "it left the machine other than at boot: " + first.lost.front();
  if (!first.expectation.empty()) return "--expect is against it: " + first.expectation;
  if (first.status != wanted_status)
    return fmt::format("its exit status is {}{}{}", first.status,
                       first.last_words.empty() ? "" : ": ", first.last_words);
  return {};
}

Judged judge(const Outcome& first, const Injection& injection, const Outcome& outcome) {
  Judged judged;
  auto& complaints = judged.complaints;
  if (!outcome.crash.empty())
    complaints.push_back({"teeio " + outcome.crash, "teeio itself was ended by " + outcome.crash});
  if (!outcome.cut_off.empty())
    complaints.push_back({"cut off " + outcome.cut_off, "the run was cut off: " + outcome.cut_off});
  if (outcome.out_of_processes)
    complaints.push_back({"processes", "it wanted more processes than it may have"});
  if (outcome.cut_off.empty()) complain_of_deaths(complaints, first, injection, outcome);
  for (const Outcome::Broken& broken : outcome.broken)
    complaints.push_back({fmt::format("{} {}", broken.rule, broken.call),
                          fmt::format("{}: {}{}{}", broken.rule, broken.what,
                                      broken.call.empty() ? "" : ", in ", broken.call),
                          broken.stack});
  complain_of_machine(complaints, injection, outcome);
  if (!outcome.expectation.empty())
    complaints.push_back({"expect " + outcome.expectation, "--expect: " + outcome.expectation});
  for (Complaint& complaint : complaints) add_place(complaint, injection, outcome);
  if (!complaints.empty())
    judged.verdict = Verdict::kFinding;
  else if (!outcome.happened)
    judged.verdict = Verdict::kNotReached;
  else
    judged.verdict = outcome.status == first.status ? Verdict::kOk : Verdict::kHandled;
  return judged;
}

std::vector<Finding> findings_of(const std::vector<Result>& results) {
  std::vector<Finding> findings;
  std::map<std::string, std::size_t> places;
  for (const Result& result : results)
    for (const Complaint& complaint : result.judged.complaints) {
      const auto [at, is_new] = places.try_emplace(complaint.key, findings.size());
      if (is_new) findings.push_back({complaint, {}});
      auto& runs = findings[at->second].results;
      if (runs.empty() || runs.back() != &result) runs.push_back(&result);
    }
  return findings;
}

}  // namespace teeio::sweep
