#pragma once

#include <string>
#include <utility>
#include <vector>

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
