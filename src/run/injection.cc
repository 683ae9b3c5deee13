#include "run/injection.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

#include "abi/call_errors.h"

namespace teeio::run {
namespace {

using schedule::Fault;
using Kind = Injection::Kind;
using When = Injection::When;
using Bad = std::unexpected<BadInjection>;

constexpr std::size_t kMaxName = 128;  // none is longer

struct KindName {
  Kind kind;
  std::string_view name;
};
constexpr std::array kKinds = {
    KindName{Kind::kFail, "fail"},     KindName{Kind::kKill, "kill"},
    KindName{Kind::kSignal, "signal"}, KindName{Kind::kFirmware, "firmware"},
    KindName{Kind::kDevice, "device"}, KindName{Kind::kOrder, "order"}};

struct FaultName {
  Fault fault;
  Kind kind;
  std::string_view name;
};
constexpr std::array kFaults = {
    FaultName{Fault::kRefuse, Kind::kFirmware, "refuse"},
    FaultName{Fault::kBusy, Kind::kFirmware, "busy"},
    FaultName{Fault::kInterrupt, Kind::kFirmware, "interrupt"},
    FaultName{Fault::kDrop, Kind::kDevice, "drop"},
    FaultName{Fault::kLate, Kind::kDevice, "late"},
    FaultName{Fault::kGarble, Kind::kDevice, "garble"},
    FaultName{Fault::kGone, Kind::kDevice, "gone"},
};

/// Calls that are injected by these names, beside ioctls.
constexpr std::array<std::string_view, 8> kPlainCalls = {
    "open", "read", "write", "mmap", "close", "fallocate", "attribute-read", "attribute-write"};

Bad bad(std::string why, std::string_view word = {}, std::vector<std::string> known = {}) {
  return Bad(BadInjection{std::move(why), std::string(word), std::move(known)});
}

/// Cuts `text` at the first `at`; nullopt if there is none.
std::optional<std::string_view> cut(std::string_view& text, char at) {
  const std::size_t place = text.find(at);
  if (place == std::string_view::npos) return std::nullopt;
  const std::string_view rest = text.substr(place + 1);
  text = text.substr(0, place);
  return rest;
}

std::expected<Kind, BadInjection> parse_kind(std::string_view word) {
  const auto row = std::ranges::find(kKinds, word, &KindName::name);
  if (row != kKinds.end()) return row->kind;
  std::vector<std::string> known;
  for (const KindName& kind : kKinds) known.emplace_back(kind.name);
  return bad("nothing goes wrong in the way of '" + std::string(word) + "'", word,
             std::move(known));
}

bool looks_like_ioctl(std::string_view name) {
  return name.starts_with("KVM_") || name.starts_with("VFIO_") || name.starts_with("IOMMU_") ||
         name.starts_with("DMA_BUF_") || name.starts_with("0x");
}

/// `word`: what stands behind =, an errno.
std::expected<Errno, BadInjection> parse_errno(std::string_view call, std::string_view word) {
  std::vector<std::string> known;
  for (const abi::CallError& row : abi::errors_of(call)) {
    if (row.error == Errno::kIntr) continue;  // signal:'s
    if (errno_name(row.error) == word) return row.error;
    known.emplace_back(errno_name(row.error));
  }
  if (known.empty())
    return bad("Linux gives no errno at '" + std::string(call) +
                   "' that its caller is not to blame"
                   " for",
               call);
  return bad(std::string(call) + " does not fail with '" + std::string(word) + "'", word,
             std::move(known));
}

std::vector<std::string> known_calls(Kind kind) {
  std::vector<std::string> known;
  for (const std::string_view call : abi::calls_with_errors()) {
    const auto errors = abi::errors_of(call);
    const bool sleeps = std::ranges::any_of(
        errors, [](const abi::CallError& row) { return row.error == Errno::kIntr; });
    if (kind != Kind::kSignal || sleeps) known.emplace_back(call);
  }
  if (kind == Kind::kKill)
    for (const std::string_view call : kPlainCalls)
      if (std::ranges::find(known, call) == known.end()) known.emplace_back(call);
  return known;
}

std::expected<Fault, BadInjection> parse_fault(Kind kind, std::string_view word) {
  std::vector<std::string> known;
  for (const FaultName& row : kFaults) {
    if (row.kind != kind) continue;
    if (row.name == word) return row.fault;
    known.emplace_back(row.name);
  }
  return bad("no " + std::string(kind_name(kind)) + " fault is called '" + std::string(word) + "'",
             word, std::move(known));
}

std::expected<When, BadInjection> parse_when(std::optional<std::string_view> word) {
  if (word == "before") return When::kBefore;
  if (word == "after") return When::kAfter;
  if (!word) return bad("kill: wants :before or :after behind the call");
  return bad("'" + std::string(*word) + "' is neither before nor after", *word,
             {"before", "after"});
}

/// Of a call, a command or a message: what the report can print on a line.
std::expected<void, BadInjection> check_name(Kind kind, std::string_view name) {
  if (name.empty()) return bad(std::string(kind_name(kind)) + ": wants a name behind it");
  if (name.size() > kMaxName) return bad("the name is too long");
  const auto printed = [](char c) { return c > ' ' && c <= '~'; };
  if (!std::ranges::all_of(name, printed)) return bad("a name is of letters, digits and signs");
  return {};
}

/// Takes "#N" off `name`.
std::expected<std::uint32_t, BadInjection> take_number(std::string_view& name) {
  const auto digits = cut(name, '#');
  if (!digits) return 1U;
  std::uint32_t nth = 0;
  const char* const end = digits->data() + digits->size();
  const auto [at, error] = std::from_chars(digits->data(), end, nth);
  if (error != std::errc() || at != end || nth == 0)
    return bad("'" + std::string(*digits) + "' is no number from 1");
  return nth;
}

/// What a call of the program may be told: `value` is behind the =.
std::expected<void, BadInjection> complete_call(Injection& injection,
                                                std::optional<std::string_view> value) {
  const bool plain = std::ranges::find(kPlainCalls, injection.name) != kPlainCalls.end();
  const auto errors = abi::errors_of(injection.name);
  if (errors.empty() && !plain && !looks_like_ioctl(injection.name))
    return bad("there is no call '" + injection.name + "'", injection.name,
               known_calls(injection.kind));
  if (injection.kind == Kind::kKill) return {};
  if (injection.kind == Kind::kSignal) {
    injection.error = Errno::kIntr;
    if (std::ranges::find(errors, Errno::kIntr, &abi::CallError::error) != errors.end()) return {};
    return bad("no signal ends a sleep in '" + injection.name + "'", injection.name,
               known_calls(Kind::kSignal));
  }
  if (errors.empty())
    return bad("nothing is known that Linux refuses '" + injection.name + "' with", injection.name,
               known_calls(Kind::kFail));
  if (!value) return bad("fail: wants =ERRNO behind the call");
  const auto error = parse_errno(injection.name, *value);
  if (!error) return Bad(error.error());
  injection.error = *error;
  return {};
}

template <class Number>
bool read_number(std::string_view digits, Number& into) {
  const char* const end = digits.data() + digits.size();
  const auto [at, error] = std::from_chars(digits.data(), end, into);
  return error == std::errc() && at == end;
}

/// The name is the seed; `value`: how many calls a run has.
std::expected<Injection, BadInjection> complete_order(Injection injection,
                                                      std::optional<std::string_view> value) {
  constexpr std::uint32_t kMostDepth = 100, kUsualCalls = 100;
  if (!read_number(injection.name, injection.seed))
    return bad("order: wants a seed, a number; '" + injection.name + "' is none");
  if (injection.nth > kMostDepth)
    return bad("order: a depth is from 1 to " + std::to_string(kMostDepth));
  injection.calls = kUsualCalls;
  if (value && (!read_number(*value, injection.calls) || injection.calls == 0))
    return bad("order: '" + std::string(*value) + "' is no number of calls");
  injection.name = kThreads;
  return injection;
}

}  // namespace

std::string_view kind_name(Kind kind) {
  return std::ranges::find(kKinds, kind, &KindName::kind)->name;
}

std::string_view fault_name(Fault fault) {
  const auto row = std::ranges::find(kFaults, fault, &FaultName::fault);
  return row == kFaults.end() ? "none" : row->name;
}

std::string Injection::str() const {
  std::string text(kind_name(kind));
  if (kind == Kind::kOrder)
    return text + ':' + std::to_string(seed) + '#' + std::to_string(nth) + '=' +
           std::to_string(calls);
  text += ':' + name + '#' + std::to_string(nth);
  switch (kind) {
    case Kind::kFail:
      return text.append("=").append(errno_name(error));
    case Kind::kKill:
      return text.append(when == When::kBefore ? ":before" : ":after");
    case Kind::kSignal:
      return text;
    case Kind::kFirmware:
    case Kind::kDevice:
      return text.append("=").append(fault_name(fault));
    case Kind::kOrder:
      break;
  }
  return text;
}

std::expected<Injection, BadInjection> parse_injection(std::string_view spec) {
  std::string_view head = spec;
  auto rest = cut(head, ':');
  const auto kind = parse_kind(head);
  if (!kind) return Bad(kind.error());
  if (!rest) return bad(std::string(head) + ": wants a name behind it");
  Injection injection;
  injection.kind = *kind;
  std::string_view name = *rest;
  std::optional<std::string_view> value;
  if (*kind == Kind::kKill) {
    const auto when = parse_when(cut(name, ':'));
    if (!when) return Bad(when.error());
    injection.when = *when;
  } else {
    value = cut(name, '=');
    if (*kind == Kind::kSignal && value) return bad("signal: takes nothing behind the call");
  }
  const auto nth = take_number(name);
  if (!nth) return Bad(nth.error());
  injection.nth = *nth;
  if (const auto good = check_name(*kind, name); !good) return Bad(good.error());
  injection.name = name;
  if (*kind == Kind::kOrder) return complete_order(std::move(injection), value);
  if (*kind == Kind::kFirmware || *kind == Kind::kDevice) {
    if (!value) return bad(std::string(head) + ": wants =FAULT behind the name");
    const auto fault = parse_fault(*kind, *value);
    if (!fault) return Bad(fault.error());
    injection.fault = *fault;
    return injection;
  }
  if (const auto done = complete_call(injection, value); !done) return Bad(done.error());
  return injection;
}

std::string_view injected_name(std::string_view call, bool of_attribute) {
  if (call.starts_with("open") || call == "creat") return "open";
  if (call.starts_with("read") || call.starts_with("pread") || call == "sendfile" ||
      call == "splice" || call == "copy_file_range")
    return of_attribute ? "attribute-read" : "read";
  if (call.starts_with("write") || call.starts_with("pwrite"))
    return of_attribute ? "attribute-write" : "write";
  return call;
}

}  // namespace teeio::run
