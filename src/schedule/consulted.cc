#include "schedule/consulted.h"

#include <utility>

namespace teeio::schedule {
namespace {
thread_local std::uint64_t t_consulted = 0;
}  // namespace

void consult(Setting setting) { t_consulted |= setting.bit(); }

std::uint64_t take_consulted() { return std::exchange(t_consulted, 0); }

}  // namespace teeio::schedule
