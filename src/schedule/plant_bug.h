#pragma once

#include "schedule/seeded_bug.h"

namespace teeio::schedule {

/// Plants a seeded bug for a scope. Only exploration and tests include this
/// header (tools/check_rooms); no other task may run when it begins or ends.
class PlantedBug {
 public:
  explicit PlantedBug(SeededBug bug) : was_(detail::planted_bug) { detail::planted_bug = bug; }
  ~PlantedBug() { detail::planted_bug = was_; }
  PlantedBug(const PlantedBug&) = delete;
  PlantedBug& operator=(const PlantedBug&) = delete;

 private:
  const SeededBug was_;
};

}  // namespace teeio::schedule
