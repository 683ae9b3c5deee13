#include "explore/scenario/text_end.h"

#include <utility>

#include "schedule/races.h"

namespace teeio::explore {

template <class Step>
void ProcessEnd::change(Step step) {
  bool closes = false;
  if (others_see_it_) {
    const schedule::Lock lock(lock_);
    closes = step();
  } else {
    const schedule::Unwatched unwatched;
    closes = step();
  }
  if (closes) program_.exit();
}

bool ProcessEnd::has_come() {
  bool come = false;
  change([&] {
    come = has_come_;
    return false;
  });
  return come;
}

bool ProcessEnd::begin_call() {
  bool begun = false;
  change([&] {
    begun = !has_come_;
    if (begun) ++under_way_;
    return false;
  });
  return begun;
}

void ProcessEnd::end_call() {
  change([this] { return --under_way_ == 0 && has_come_; });
}

void ProcessEnd::come_to() {
  change([this] { return !std::exchange(has_come_, true) && under_way_ == 0; });
}

}  // namespace teeio::explore
