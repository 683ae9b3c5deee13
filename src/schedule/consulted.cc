#include "schedule/consulted.h"

#include <utility>

namespace teeio::schedule {
namespace {
thread_local std::uint32_t t_consulted = 0;
}  // namespace

void consult(Setting setting) { t_consulted |= std::uint32_t{1} << std::to_underlying(setting); }

std::uint32_t take_consulted() { return std::exchange(t_consulted, 0); }

}  // namespace teeio::schedule
