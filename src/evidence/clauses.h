#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/hex.h"
#include "evidence/judge.h"

// Inside of the judge: the list that grows, and the parts that add to it.
namespace teeio::evidence {

class Clauses {
 public:
  void hold(std::string id, std::string why) {
    add(std::move(id), Verdict::kHolds, std::move(why));
  }
  void refuse(std::string id, std::string why) {
    add(std::move(id), Verdict::kFails, std::move(why));
  }
  void skip(std::string id, std::string why) {
    add(std::move(id), Verdict::kSkipped, std::move(why));
  }
  void decide(std::string id, bool holds, std::string why) {
    add(std::move(id), holds ? Verdict::kHolds : Verdict::kFails, std::move(why));
  }
  /// `have` is one of those that the policy wants; it may want none in particular.
  void one_of(std::string id, std::string_view what, const std::vector<Bytes>& wanted,
              ByteView have) {
    std::string is = std::string(what) + " is " + to_hex(have);
    if (wanted.empty()) return skip(std::move(id), "the policy names none; " + is);
    const bool found = std::ranges::any_of(
        wanted, [have](const Bytes& one) { return std::ranges::equal(one, have); });
    decide(std::move(id), found, std::move(is));
  }
  [[nodiscard]] std::vector<Clause> take() { return std::move(list_); }

 private:
  void add(std::string id, Verdict verdict, std::string why) {
    list_.push_back({std::move(id), verdict, std::move(why)});
  }
  std::vector<Clause> list_;
};

/// What all parts of the judge look at.
struct Case {
  const Statement& statement;
  const Policy& policy;
  const Circumstances& now;
};

void judge_chain(const Case& c, Clauses& out);
void judge_agreement(const Case& c, Clauses& out);
void judge_measurements(const Case& c, Clauses& out);
void judge_report(const Case& c, Clauses& out);
void judge_binding(const Case& c, Clauses& out);

}  // namespace teeio::evidence
