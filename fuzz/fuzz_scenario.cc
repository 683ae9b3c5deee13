// Links: explore/scenario
#include "explore/scenario/text.h"
#include "explore/scenario/text_calls.h"
#include "fuzzer.h"

// A scenario file. It is refused with a place that is inside of the file, or what
// was read can be run as it stands: every call has all its arguments, and names
// only what the file makes.
namespace teeio::fuzz {
namespace {

using explore::TextArgument;
using explore::TextPart;
using explore::TextScenario;
using explore::TextStep;

void check_step(const TextScenario& scenario, const TextStep& step) {
  TEEIO_CHECK(step.call != nullptr, "a step without a call");
  TEEIO_CHECK(step.arguments.size() == step.call->parameters.size(), "an argument is missing");
  TEEIO_CHECK(step.texts.size() == step.call->texts, "a text is missing");
  TEEIO_CHECK((step.target != 0) == step.call->on_descriptor, "a call without its descriptor");
  TEEIO_CHECK(step.target < scenario.symbols && step.result < scenario.symbols, "a stray name");
  for (const TextArgument& argument : step.arguments)
    TEEIO_CHECK(argument.kind == TextArgument::Kind::kNumber || argument.value < scenario.symbols,
                "an argument is a stray name");
}

void check_parts(const TextScenario& scenario, const std::vector<TextPart>& parts) {
  for (const TextPart& part : parts) {
    TEEIO_CHECK(part.process < scenario.processes, "a part of no process");
    for (const TextStep& step : part.steps) check_step(scenario, step);
  }
}

}  // namespace

void run(ByteView input) {
  const std::string text(reinterpret_cast<const char*>(input.data()), input.size());
  const auto scenario = explore::parse_text_scenario(text, "f");
  if (!scenario) {
    TEEIO_CHECK(scenario.error().starts_with("f:"), "an error without a place");
    return;
  }
  TEEIO_CHECK(!scenario->name.empty() && !scenario->threads.empty(), "an empty scenario");
  TEEIO_CHECK(scenario->threads.size() <= explore::kMaxTextThreads, "too many threads");
  check_parts(*scenario, scenario->setup);
  check_parts(*scenario, scenario->threads);
  check_parts(*scenario, scenario->finish);
}

}  // namespace teeio::fuzz
