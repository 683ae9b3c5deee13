#include "explore/reduction/program.h"

#include <array>
#include <sstream>

namespace teeio::reduction {
namespace {

constexpr std::array<std::string_view, kKinds> kNames = {
    "lock", "trylock", "read",  "write",  "trywrite", "load",  "store",  "exchange",
    "add",  "compare", "if",    "get",    "put",      "getnz", "putone", "count",
    "wait", "waitfor", "until", "notify", "choose",   "fails", "spawn",  "late",
    "join", "yield",   "retry", "pause",  "tell",     "local", "now",    "random",
    "use",  "lockin",  "drop",  "hold",   "section",  "part",  "decide", "sectionin"};

void append(std::string& out, const std::vector<Step>& steps) {
  for (const Step& step : steps) {
    if (!out.empty() && out.back() != ' ') out += ' ';
    out += std::string(kNames[static_cast<std::size_t>(step.kind)]) + ' ' + std::to_string(step.a) +
           ' ' + std::to_string(step.b);
    if (step.then.empty() && step.otherwise.empty()) continue;
    out += " { ";
    append(out, step.then);
    out += " }";
    if (step.otherwise.empty()) continue;
    out += " { ";
    append(out, step.otherwise);
    out += " }";
  }
}

/// Steps up to a brace that closes what began before, or the end.
class Reader {
 public:
  explicit Reader(const std::string& line) : in_(line) {}

  bool steps(std::vector<Step>& out) {
    std::string word;
    while (next(word)) {
      if (word == "}") return put_back(word), true;
      std::size_t kind = 0;
      while (kind < kKinds && kNames[kind] != word) ++kind;
      if (kind == kKinds) return false;
      Step step{.kind = static_cast<Kind>(kind)};
      if (!(in_ >> step.a >> step.b)) return false;
      if (!block(step.then) || !block(step.otherwise)) return false;
      out.push_back(std::move(step));
    }
    return true;
  }

 private:
  bool next(std::string& word) {
    if (!kept_.empty()) return word = std::exchange(kept_, {}), true;
    return static_cast<bool>(in_ >> word);
  }
  void put_back(const std::string& word) { kept_ = word; }
  bool block(std::vector<Step>& out) {
    std::string word;
    if (!next(word)) return true;
    if (word != "{") return put_back(word), true;
    return steps(out) && next(word) && word == "}";
  }

  std::istringstream in_;
  std::string kept_;
};

// ---- Random programs

using enum Kind;

/// What a program is about; a kind that is named twice is twice as frequent.
const std::array<std::vector<Kind>, 22> kMixes = {{
    {kLock,     kTryLock, kRead,    kWrite,   kTryWrite,      kLoad,   kStore,
     kExchange, kAdd,     kCompare, kIf,      kGet,           kPut,    kGetNotZero,
     kPutIfOne, kCount,   kWait,    kWaitFor, kWaitUntilTold, kNotify, kChoose,
     kIfChosen, kSpawn,   kYield,   kRetry,   kPause,         kTell,   kLocal,
     kNow,      kRandom,  kUse,     kDrop,    kLockIn,        kLate,   kJoin,
     kTryHold,  kSection, kPart,    kPart,    kSectionIn,     kDecide},
    {kGet, kPut, kPut, kPut, kGetNotZero, kPutIfOne, kCount, kLoad, kAdd},
    {kLock, kTryLock, kRead, kWrite, kTryWrite, kRead, kLock},
    {kWait, kWaitFor, kWaitFor, kWaitUntilTold, kNotify, kNotify, kNow, kLock, kAdd},
    {kYield, kRetry, kStore, kLoad, kAdd, kCompare, kIf, kLock, kPause},
    {kChoose, kIfChosen, kLock, kAdd, kLoad, kTryLock, kPut, kRead, kWrite},
    {kSpawn, kLate, kJoin, kLock, kAdd, kLoad, kPut, kLocal, kRandom, kWaitFor, kYield},
    {kUse, kDrop, kDrop, kLockIn, kTryHold, kLock, kAdd},
    {kRead, kWrite, kTryWrite, kRead, kLoad, kWaitFor, kNotify},
    {kTryLock, kWaitFor, kNotify, kTryWrite, kRead, kYield, kLock, kNow, kIfChosen},
    {kLock, kRead, kWrite, kAdd, kLoad, kStore, kLock},
    {kLock, kLock, kTryLock, kAdd, kLoad, kWrite, kRead},
    {kTell, kTell, kLock, kAdd, kRead, kWrite, kLoad},
    {kTell, kTell, kPut, kNotify, kWaitFor, kIfChosen, kSpawn, kLock, kStore},
    {kPause, kPause, kWaitFor, kNotify, kNow, kLock, kYield, kAdd, kTell},
    {kTell, kLock, kTryLock, kRead, kTryWrite, kLate, kJoin, kYield, kGet, kPut},
    {kPart, kPart, kPart, kSection},
    {kPart, kPart, kSection, kTell, kLock, kTryLock, kAdd, kChoose, kUse, kDrop, kSectionIn},
    {kDecide, kDecide, kPart, kPart},
    {kDecide, kDecide, kPart, kSection, kTell, kLock, kSectionIn, kDrop},
    {kDecide, kDecide, kPart, kPart, kWaitFor, kNotify, kTryLock, kYield, kSpawn, kIfChosen, kPut},
    {kPart, kSection, kPart, kWaitFor, kNotify, kYield, kSpawn, kIfChosen, kRead, kWrite, kPut},
}};

class Maker {
 public:
  Maker(explore::Random& random, const std::vector<Kind>& mix) : random_(random), mix_(mix) {}

  /// `held`: a bit for each mutex, one for the lock of readers and writers, one
  /// for the object's: nobody locks what he holds.
  std::vector<Step> steps(std::uint32_t count, int depth, std::uint32_t held) {
    std::vector<Step> out;
    while (count-- > 0)
      if (auto made = step(depth, held)) out.push_back(std::move(*made));
    return out;
  }

 private:
  static constexpr std::uint32_t kRw = 4, kObject = 8;

  std::int32_t below(std::uint32_t bound) {
    return static_cast<std::int32_t>(random_.below(bound));
  }
  std::vector<Step> inner(int depth, std::uint32_t held) {
    return depth > 0 ? steps(random_.below(2), depth - 1, held) : std::vector<Step>{};
  }
  /// In a section, where there are no points: more of it, once the other monitor, which comes
  /// below it, or something told. Not both of these, and not twice: all of it is one move, and
  /// mutexes would let others in between (docs/explore.md).
  std::vector<Step> within(std::int32_t monitor) {
    std::vector<Step> out;
    const bool tells = below(2) == 0;
    bool enters = !tells && monitor == 0;
    for (std::uint32_t count = random_.below(3); count > 0; --count) {
      if (below(4) == 0) {
        out.push_back(decision(monitor));
        continue;
      }
      const std::int32_t other = enters && below(2) == 0 ? 1 : monitor;
      enters = enters && other == monitor;
      if (tells && below(2) == 0)
        out.push_back({.kind = kTell, .a = below(2)});
      else
        out.push_back({.kind = kPart, .a = other, .b = below(kParts * 3)});
    }
    return out;
  }
  /// A part decides what of the same monitor is touched, if anything.
  Step decision(std::int32_t monitor) {
    const auto touch = [&] {
      std::vector<Step> out;
      if (below(3) != 0) out.push_back({.kind = kPart, .a = monitor, .b = below(kParts * 3)});
      return out;
    };
    Step step{.kind = kDecide, .a = monitor, .b = below(kParts * 3)};
    step.then = touch();
    step.otherwise = touch();
    return step;
  }
  std::vector<Step> one(int depth, std::uint32_t held) { return steps(1, depth - 1, held); }

  std::optional<Step> step(int depth, std::uint32_t held) {
    constexpr int kTries = 16;
    for (int i = 0; i < kTries; ++i)
      if (auto made =
              attempt(mix_[random_.below(static_cast<std::uint32_t>(mix_.size()))], depth, held))
        return made;
    return std::nullopt;
  }

  std::optional<Step> attempt(Kind kind, int depth, std::uint32_t held) {
    // The first of two of a kind is the more popular one, so that tasks meet.
    Step s{.kind = kind, .a = below(3) == 0 ? 1 : 0};
    const std::uint32_t mutex = 1U << static_cast<std::uint32_t>(s.a);
    switch (kind) {
      case kSection:
      case kPart:
        s.b = below(kParts * 3);
        if (depth > 0) s.then = within(s.a);
        return s;
      case kDecide:
        // One of the two is done: each may be all that a section may be.
        s = decision(s.a);
        if (depth > 0) s.then = within(s.a);
        if (depth > 0 && below(2) == 0) s.otherwise = within(s.a);
        return s;
      case kSectionIn:
        if ((held & kObject) != 0) return std::nullopt;
        return s;
      case kLock:
      case kTryLock:
        if ((held & mutex) != 0) return std::nullopt;
        s.then = inner(depth, held | mutex);
        if (kind == kTryLock) s.otherwise = inner(depth, held);
        return s;
      case kRead:
      case kWrite:
      case kTryWrite:
        if ((held & kRw) != 0) return std::nullopt;
        s.then = inner(depth, held | kRw);
        if (kind == kTryWrite) s.otherwise = inner(depth, held);
        return s;
      case kLockIn:
        if ((held & kObject) != 0) return std::nullopt;
        s.then = inner(depth, held | kObject);
        return s;
      case kDrop:
      case kTryHold:
        if ((held & kObject) != 0) return std::nullopt;
        return s;
      case kWait:
        if ((held & mutex) != 0 || below(3) != 0) return std::nullopt;
        return s;
      case kWaitFor:
        if ((held & mutex) != 0) return std::nullopt;
        s.b = 3 + 2 * below(3);
        s.then = inner(depth, held | mutex);
        return s;
      case kWaitUntilTold:
        if ((held & 1U) != 0) return std::nullopt;
        s.a = 0;  // what it waits for is under the first mutex
        return s;
      case kNotify:
        s.b = (held & mutex) != 0 ? 0 : below(2);
        return s;
      case kIf:
      case kIfChosen:
        if (depth <= 0) return std::nullopt;
        s.b = below(2);
        s.then = one(depth, held);
        s.otherwise = inner(depth, held);
        return s;
      case kSpawn:
        if (depth <= 0 || held != 0) return std::nullopt;
        s.then = one(depth, 0);
        s.otherwise = inner(depth, 0);
        return s;
      case kLate:
        if (depth <= 0) return std::nullopt;
        s.then = steps(1, 0, 0);
        return s;
      case kJoin:
        if (held != 0) return std::nullopt;
        return s;
      case kPause:
        s.b = 2 + 3 * below(3);
        return s;
      default:
        s.b = 1 + below(2);
        return s;
    }
  }

  explore::Random& random_;
  const std::vector<Kind>& mix_;
};

}  // namespace

std::string to_text(const Program& program) {
  std::string out = "counts " + std::to_string(program.counts[0]) + ' ' +
                    std::to_string(program.counts[1]) + " holds " + std::to_string(program.holds) +
                    " faults " + std::to_string(program.faults) + '\n';
  const auto line = [&out](std::string_view name, const std::vector<Step>& steps) {
    std::string text;
    append(text, steps);
    out += std::string(name) + ": " + text + '\n';
  };
  line("main", program.main);
  for (const auto& task : program.tasks) line("task", task);
  return out;
}

std::optional<Program> parse(std::string_view text) {
  Program program;
  std::istringstream in{std::string(text)};
  for (std::string line; std::getline(in, line);) {
    if (line.empty() || line.starts_with('#')) continue;
    if (line.starts_with("counts ")) {
      std::istringstream numbers(line);
      std::string word;
      numbers >> word >> program.counts[0] >> program.counts[1] >> word >> program.holds >> word >>
          program.faults;
      if (!numbers) return std::nullopt;
      continue;
    }
    const std::size_t colon = line.find(':');
    if (colon == std::string::npos) return std::nullopt;
    std::vector<Step>& steps =
        line.starts_with("main") ? program.main : program.tasks.emplace_back();
    if (!Reader(line.substr(colon + 1)).steps(steps)) return std::nullopt;
  }
  return program;
}

std::uint64_t kinds_of_programs() { return kMixes.size(); }

Program generate(std::uint64_t seed, std::uint64_t number) {
  explore::Random random(seed * 1'000'003 + number);
  Program program;
  const std::vector<Kind>& mix = kMixes[number % kMixes.size()];
  Maker maker(random, mix);
  program.counts[0] = 1 + random.below(6);
  program.counts[1] = 1 + random.below(3);
  program.faults = random.below(4);
  const std::uint32_t tasks = 2 + random.below(2);
  program.holds = 1 + random.below(tasks + 1);
  const int depth = static_cast<int>(random.below(3));
  const std::uint32_t steps = tasks == 2 ? 1 + random.below(3) : 1 + random.below(2);
  for (std::uint32_t t = 0; t < tasks; ++t) program.tasks.push_back(maker.steps(steps, depth, 0));
  if (random.below(2) == 0) program.main = maker.steps(1 + random.below(2), depth - 1, 0);
  return program;
}

}  // namespace teeio::reduction
