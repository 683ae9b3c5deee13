// A teeio with a mistake of its own. Linked with --wrap, the machine's facts pass through
// here; the first one that $TEEIO_MISTAKE names ("HOW NAME") finds the mistake:
//   check NAME   a TEEIO_CHECK fails, under whatever locks the room holds
//   throw NAME   an exception that nobody catches
//   trace NAME   a TEEIO_CHECK fails under the trace's lock, as in a rule
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>

#include "base/check.h"
#include "object/trace.h"

namespace {

using teeio::object::EventFields;
using teeio::object::Fact;
using teeio::object::Lane;
using teeio::object::Trace;

bool asked(std::string_view how, std::string_view name) {
  const char* const mistake = std::getenv("TEEIO_MISTAKE");
  return mistake != nullptr && mistake == std::string(how) + ' ' + std::string(name);
}

struct Sink final : teeio::object::TraceSink {
  void on_event(const teeio::object::Event& event) override {
    TEEIO_CHECK(!asked("trace", event.name), "a mistake made for a test");
  }
};

}  // namespace

// NOLINTBEGIN(bugprone-reserved-identifier,readability-identifier-naming): the linker's names
extern "C" {
void __real__ZN5teeio6object5Trace4factENS0_4LaneENS0_4FactESt17basic_string_viewIcSt11char_traitsIcEENS0_11EventFieldsE(
    Trace*, Lane, Fact, std::string_view, EventFields);
void __wrap__ZN5teeio6object5Trace4factENS0_4LaneENS0_4FactESt17basic_string_viewIcSt11char_traitsIcEENS0_11EventFieldsE(
    Trace* trace, Lane lane, Fact fact, std::string_view name, EventFields fields) {
  TEEIO_CHECK(!asked("check", name), "a mistake made for a test");
  if (asked("throw", name)) throw std::runtime_error("a mistake made for a test");
  __real__ZN5teeio6object5Trace4factENS0_4LaneENS0_4FactESt17basic_string_viewIcSt11char_traitsIcEENS0_11EventFieldsE(
      trace, lane, fact, name, std::move(fields));
}
void __real__ZN5teeio6object5Trace11keep_eventsEb(Trace*, bool);
void __wrap__ZN5teeio6object5Trace11keep_eventsEb(Trace* trace, bool keep) {
  static Sink sink;
  static const bool once = (trace->add_sink(sink), true);
  (void)once;
  __real__ZN5teeio6object5Trace11keep_eventsEb(trace, keep);
}
}
// NOLINTEND(bugprone-reserved-identifier,readability-identifier-naming)
