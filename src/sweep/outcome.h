#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "run/injector.h"

namespace teeio::sweep {

/// What one run came to.
struct Outcome {
  struct Broken {
    std::string rule;  ///< "R4"
    std::string call;  ///< in which call of the program; "" outside of any
    std::string what;
    std::vector<std::string> stack = {};  ///< the program's, in that call
    bool operator==(const Broken&) const = default;
  };
  int status = 0;                        ///< the program's, as Supervisor::run() gives it
  std::vector<std::string> killed = {};  ///< "minivmm SIGSEGV": processes that a signal ended
  std::string cut_off = {};              ///< why it was ended from outside; "" if it was not
  bool out_of_processes = false;         ///< it wanted more than it may have
  std::vector<Broken> broken = {};       ///< rules
  std::vector<std::string> lost = {};    ///< "frames in use: 0 at boot, 3 at the end"
  bool happened = true;                  ///< what was to go wrong did
  std::vector<std::string> stack = {};   ///< the program's, where it did: run/program_stack.h
  std::string expectation = {};          ///< what --expect has against it; "" for nothing
  std::string last_words = {};           ///< the last line that the program wrote
  std::string crash = {};                ///< how teeio itself died; "" if it did not

  bool operator==(const Outcome&) const = default;
};

/// One line of JSON. Broken UTF-8 of the program's is replaced.
[[nodiscard]] std::string to_json(const Outcome& outcome);
[[nodiscard]] std::expected<Outcome, std::string> parse_outcome(std::string_view text);

[[nodiscard]] std::string to_json(const run::Injector::Point& point);
[[nodiscard]] std::expected<run::Injector::Point, std::string> parse_point(std::string_view text);

}  // namespace teeio::sweep
