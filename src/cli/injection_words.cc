#include "cli/injection_words.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/nearest.h"

namespace teeio::cli {
namespace {

/// As many words as fit a message.
constexpr std::size_t kMostWords = 12;

std::string hint(std::string_view word, const std::vector<std::string>& known) {
  if (const std::string near = nearest(word, known); !near.empty())
    return fmt::format("; is it '{}'?", near);
  if (known.empty() || known.size() > kMostWords) return {};
  return "; there is " + any_of(known);
}

std::string why_unfired(const run::Injector& injector, const run::Injection& injection) {
  if (injection.kind == run::Injection::Kind::kOrder)
    return "one thread alone made calls of the machine's";
  if (const std::uint32_t count = injector.count_of(injection); count != 0)
    return fmt::format("{} could do so {} only", injection.name,
                       count == 1 ? "once" : fmt::format("{} times", count));
  return fmt::format("{} never could{}", injection.name,
                     hint(injection.name, injector.names_for(injection)));
}

}  // namespace

std::string injection_problem(const run::BadInjection& bad) {
  return bad.why + hint(bad.word, bad.known);
}

std::string why_not_here(const std::vector<run::Injection>& injections,
                         const machine::Machine& machine) {
  using Kind = run::Injection::Kind;
  for (const run::Injection& injection : injections) {
    if (injection.kind != Kind::kFirmware && injection.kind != Kind::kDevice) continue;
    const bool firmware = injection.kind == Kind::kFirmware;
    const auto names = machine.fault_names(firmware ? schedule::FaultPlace::kFirmware
                                                    : schedule::FaultPlace::kDevice);
    if (std::ranges::find(names, injection.name) != names.end()) continue;
    const std::string what = "--inject: " + injection.str() + ": ";
    if (names.empty())
      return what + "nothing of the firmware of " + machine.config().name + " can be made to fail";
    return what +
           (firmware ? "the firmware of " + machine.config().name + " has no command '"
                     : "no device is sent a message '") +
           injection.name + '\'' + hint(injection.name, {names.begin(), names.end()});
  }
  return {};
}

std::string unfired_text(const run::Injector& injector) {
  std::string text;
  for (const run::Injection& injection : injector.unfired())
    text += fmt::format("teeio: --inject {} never happened: {}\n", injection.str(),
                        why_unfired(injector, injection));
  return text;
}

std::string overtakings_text(const run::Injector& injector) {
  run::Order* const order = injector.order();
  const std::uint32_t overtakings = order == nullptr ? 0 : order->overtakings();
  if (overtakings == 0) return {};
  return fmt::format(
      "teeio: --inject order: {} a thread that was to go first computed for 20 ms and was not "
      "waited for: another run may differ\n",
      overtakings == 1 ? "once" : fmt::format("{} times", overtakings));
}

}  // namespace teeio::cli
