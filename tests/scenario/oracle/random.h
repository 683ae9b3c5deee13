#pragma once

// Questions at random: the same numbers ask the same of every machine. A program's
// "stories" are short sequences of calls, each in a process of its own, so that
// what one leaves behind is closed before the next.
#include <sys/resource.h>
#include <sys/wait.h>

#include "probe.h"

namespace probe {

/// Source of numbers: splitmix64.
class Dice {
 public:
  explicit Dice(std::uint64_t seed) : state_(seed) { state_ = next() * 0xd1342543de82ef95; }
  std::uint64_t next() {
    std::uint64_t z = state_ += 0x9e3779b97f4a7c15;
    z = (z ^ (z >> 30U)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27U)) * 0x94d049bb133111eb;
    return z ^ (z >> 31U);
  }
  std::uint64_t below(std::uint64_t n) { return next() % n; }
  bool once_in(std::uint64_t n) { return below(n) == 0; }
  /// One of `values`.
  template <class Value>
  Value of(std::initializer_list<Value> values) {
    return values.begin()[below(values.size())];
  }
  /// Three times out of four `usual`.
  template <class Value>
  Value mostly(Value usual, std::initializer_list<Value> others) {
    return below(4) != 0 ? usual : of(others);
  }

 private:
  std::uint64_t state_;
};

/// Asks `usual` stories, or those of "PROGRAM COUNT [FIRST]".
template <class Ask>
int stories(int argc, char** argv, unsigned usual, Ask ask) {
  const unsigned count = argc > 1 ? static_cast<unsigned>(atoi(argv[1])) : usual;
  const unsigned first = argc > 2 ? static_cast<unsigned>(atoi(argv[2])) : 0;
  for (unsigned story = first; story < first + count; ++story) {
    printf("== %u\n", story);
    fflush(stdout);
    const pid_t child = fork();
    if (child == 0) {
      alarm(30);
      Dice dice(story);
      ask(dice);
      fflush(stdout);
      _exit(0);
    }
    int status = 0;
    waitpid(child, &status, 0);
    if (status != 0) printf("ended by %d\n", status);
  }
  return 0;
}

}  // namespace probe
