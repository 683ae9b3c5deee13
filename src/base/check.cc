#include "base/check.h"

#include <atomic>
#include <cstdio>
#include <cstdlib>

#include "base/source_name.h"

namespace teeio {
namespace {
std::atomic<CheckHandler> g_handler{nullptr};
}  // namespace

CheckHandler set_check_handler(CheckHandler handler) { return g_handler.exchange(handler); }

void check_failed(std::string_view what, std::source_location where) {
  if (CheckHandler handler = g_handler.load(); handler != nullptr) handler(what, where);
  const std::string_view file = source_name(where);
  std::fprintf(stderr, "teeio: internal error: %.*s (%.*s:%u)\n", static_cast<int>(what.size()),
               what.data(), static_cast<int>(file.size()), file.data(),
               static_cast<unsigned>(where.line()));
  std::abort();
}

}  // namespace teeio
