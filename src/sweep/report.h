#pragma once

#include <string>
#include <vector>

#include "sweep/judge.h"

namespace teeio::sweep {

/// A sweep as reports have it.
struct Report {
  std::vector<std::string> command = {};
  std::vector<std::string> options = {};         ///< of `teeio run`, for replays: "--machine", FILE
  int first_status = 0;                          ///< of the run in which nothing went wrong
  const std::vector<Result>* results = nullptr;  ///< in order of their numbers
  std::size_t wanted = 0;                        ///< runs that were to be made
  std::string interrupted = {};                  ///< "SIGINT": it was stopped before all were
};

/// The command that shows a run again, as a shell reads it.
[[nodiscard]] std::string replay_of(const Report& report, const run::Injection& injection);

/// Findings, each with its smallest run; the exit statuses that others ended with; a table
/// of names and dimensions; the totals. Nothing in it depends on the clock.
[[nodiscard]] std::string summary(const Report& report);

/// "ok fail:KVM_CREATE_VM#1=ENOMEM: exit 1: minivmm: KVM_CREATE_VM: …", and what is wrong.
[[nodiscard]] std::string result_line(const Result& result);

/// A test for each name in each dimension.
[[nodiscard]] std::string junit(const Report& report);
[[nodiscard]] std::string json_text(const Report& report);

}  // namespace teeio::sweep
