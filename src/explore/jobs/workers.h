#pragma once

#include <cstddef>
#include <functional>
#include <string>

namespace teeio::explore {

/// Runs pieces of work in processes of their own, some at a time: a finding
/// keeps its memory, and a crash is a result like others.
///
/// Each piece says lines of text while it works (`say` in the child), which the
/// parent hears one by one, in order; at the end it hears how the child ended.
class Workers {
 public:
  using Say = std::function<void(const std::string& line)>;

  struct Callbacks {
    /// In the child: does piece number `piece`.
    std::function<void(std::size_t piece, const Say& say)> work;
    /// In the parent: a line of a piece, without its end.
    std::function<void(std::size_t piece, const std::string& line)> heard;
    /// In the parent: a piece has ended; `how` is empty, or says what killed it.
    std::function<void(std::size_t piece, const std::string& how)> ended;
    /// In the parent: SIGTSTP has come, and it is about to stop (true); it goes on (false). A
    /// terminal stops the children too, but not what they have begun in other sessions.
    /// Empty: it stops as if nobody asked.
    std::function<void(bool stops)> stops = {};
  };

  explicit Workers(unsigned at_a_time) : at_a_time_(at_a_time) {}

  /// Does pieces 0 … count-1, begun in that order. SIGINT and SIGTERM end it: nothing
  /// more is begun, and pieces under way are asked to come to an end (is_stopping());
  /// those that do not within kPatienceMs, or before the next signal, are killed, and
  /// not heard to have ended. Gives the signal, or 0. For one caller at a time.
  [[nodiscard]] int run(std::size_t count, const Callbacks& callbacks) const;
  static constexpr int kPatienceMs = 2'000;

  /// In a child: it was asked to come to an end. In the parent, while run() calls back: a signal
  /// has come, which those under way may have met too, as what a whole group gets.
  [[nodiscard]] static bool is_stopping();

 private:
  const unsigned at_a_time_;
};

/// "SIGINT" of 2, "SIGTERM" of 15.
[[nodiscard]] std::string signal_name(int signal);

/// The processors this process may use, at least 1.
[[nodiscard]] unsigned processors();

}  // namespace teeio::explore
