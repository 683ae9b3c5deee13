#include "cli/injection_words.h"

#include <fmt/format.h>

#include "cli/nearest.h"

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

std::string unfired_text(const run::Injector& injector) {
  std::string text;
  for (const run::Injection& injection : injector.unfired())
    text += fmt::format("teeio: --inject {} never happened: {}\n", injection.str(),
                        why_unfired(injector, injection));
  return text;
}

}  // namespace teeio::cli
