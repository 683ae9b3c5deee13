#pragma once

#include "schedule/controller.h"

namespace teeio::explore {

/// A part of a scenario that one task does alone and natively: set-up before the
/// first actor, a look around after the last. It costs no scheduling points.
class Unexplored {
 public:
  Unexplored() : controller_(schedule::controller()) { schedule::set_controller(nullptr); }
  ~Unexplored() { schedule::set_controller(controller_); }
  Unexplored(const Unexplored&) = delete;
  Unexplored& operator=(const Unexplored&) = delete;

 private:
  schedule::Controller* const controller_;
};

}  // namespace teeio::explore
