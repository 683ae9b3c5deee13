#include "schedule/consulted.h"

#include <utility>

#include "schedule/races.h"

namespace teeio::schedule {
namespace {
thread_local std::uint64_t t_consulted = 0;
}  // namespace

void consult(Setting setting) {
  const Unwatched unwatched;
  t_consulted |= setting.bit();
}

std::uint64_t take_consulted() { return std::exchange(t_consulted, 0); }

}  // namespace teeio::schedule
