#include "sweep/campaign.h"

#include <algorithm>
#include <array>

#include "crypto/kept_results.h"
#include "explore/jobs/workers.h"
#include "schedule/task.h"
#include "sweep/job_control.h"

namespace teeio::sweep {
namespace {

using explore::Workers;

constexpr char kPoint = 'P', kOutcome = 'O', kKept = 'K';

/// What a process said of its run; without an outcome it died.
Outcome outcome_of(const std::string& line, const std::string& how) {
  Outcome died;
  died.crash = how.empty() ? "a result that is none" : how;
  if (line.empty()) return died;
  auto outcome = parse_outcome(line);
  return outcome ? std::move(*outcome) : died;
}

/// ^Z holds what the runs have begun, too.
std::function<void(bool)> stops_all() {
  return [stopped = StoppedDescendants()](bool stops) mutable {
    stops ? stopped.stop() : stopped.let_go_on();
  };
}

std::vector<run::Injector::Point>::iterator find_order(std::vector<run::Injector::Point>& points) {
  return std::ranges::find(points, run::Injection::Kind::kOrder, &run::Injector::Point::kind);
}

}  // namespace

std::expected<Learned, int> Campaign::learn() {
  struct Run {
    std::vector<run::Injector::Point> points;
    std::string outcome;
    std::string how;
  };
  std::array<Run, 2> runs;
  // The card's session is the same in each run, and most of the work of a short one.
  crypto::keep_for_next_runs();
  const std::uint64_t begin_ns = schedule::now_ns();
  std::uint64_t first_ns = 0;
  const Workers::Callbacks callbacks{.work =
                                         [this](std::size_t, const Workers::Say& say) {
                                           run::Injector injector({});
                                           injector.keep_points();
                                           const Outcome outcome =
                                               run_trial(machine_, options_, injector, "");
                                           for (const auto& point : injector.points())
                                             say(kPoint + to_json(point));
                                           for (const auto& kept : crypto::results_for_next_runs())
                                             say(kKept + kept);
                                           say(kOutcome + to_json(outcome));
                                         },
                                     .heard =
                                         [&](std::size_t piece, const std::string& line) {
                                           if (line.starts_with(kKept))
                                             crypto::take_result(std::string_view(line).substr(1));
                                           if (line.starts_with(kOutcome))
                                             runs.at(piece).outcome = line.substr(1);
                                           if (!line.starts_with(kPoint)) return;
                                           if (auto point = parse_point(line.substr(1)); point)
                                             runs.at(piece).points.push_back(std::move(*point));
                                         },
                                     .ended =
                                         [&](std::size_t piece, const std::string& how) {
                                           runs.at(piece).how = how;
                                           if (piece == 0) first_ns = schedule::now_ns() - begin_ns;
                                         },
                                     .stops = stops_all()};
  if (const int signal = Workers(1).run(runs.size(), callbacks); signal != 0)
    return std::unexpected(signal);
  Learned learned{.outcome = outcome_of(runs[0].outcome, runs[0].how),
                  .points = std::move(runs[0].points),
                  .repeatable = true,
                  .took_ns = first_ns};
  learned.repeatable = learned.points == runs[1].points &&
                       learned.outcome == outcome_of(runs[1].outcome, runs[1].how);
  // Whether short-lived processes meet is chance.
  const auto order = find_order(runs[1].points);
  if (find_order(learned.points) == learned.points.end() && order != runs[1].points.end())
    learned.points.push_back(std::move(*order));
  return learned;
}

int Campaign::run(const std::vector<Variation>& variations, const Done& done) {
  std::vector<std::string> lines(variations.size());
  const Workers::Callbacks callbacks{
      .work =
          [this, &variations](std::size_t piece, const Workers::Say& say) {
            const run::Injection& injection = variations[piece].injection;
            run::Injector injector({injection});
            say(kOutcome + to_json(run_trial(machine_, options_, injector, injection.str())));
          },
      .heard =
          [&](std::size_t piece, const std::string& line) {
            if (line.starts_with(kOutcome)) lines[piece] = line.substr(1);
          },
      .ended =
          [&](std::size_t piece, const std::string& how) {
            // What came of a run that a signal ended says nothing of the program.
            if (Workers::is_stopping()) return;
            done(piece, outcome_of(lines[piece], how));
            lines[piece].clear();
          },
      .stops = stops_all()};
  return Workers(jobs_).run(variations.size(), callbacks);
}

}  // namespace teeio::sweep
