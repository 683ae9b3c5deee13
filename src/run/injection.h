#pragma once

#include <cstdint>
#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "schedule/fault_point.h"

namespace teeio::run {

/// One thing that goes wrong in a run, once: `--inject SPEC`.
struct Injection {
  enum class Kind : std::uint8_t {
    kFail,      ///< a call is refused with `error` and not carried out
    kKill,      ///< SIGKILL for the process that makes a call
    kSignal,    ///< a call that may sleep gives EINTR and is not carried out
    kFirmware,  ///< `fault` at a firmware command
    kDevice,    ///< `fault` at a message to a device
    kOrder,     ///< nothing: who goes first is chosen (order.h)
  } kind = Kind::kFail;
  std::string name;       ///< of the call, the command or the message
  std::uint32_t nth = 1;  ///< the n-th time that it could happen to that name, from 1
  enum class When : std::uint8_t { kBefore, kAfter } when = When::kBefore;  ///< of kKill
  Errno error{};                                                            ///< of kFail, kSignal
  schedule::Fault fault = schedule::Fault::kNone;  ///< of kFirmware, kDevice
  std::uint64_t seed = 0;                          ///< of kOrder; `nth` is then PCT's depth
  std::uint32_t calls = 0;                         ///< of kOrder: how long a run is

  /// "fail:VFIO_DEVICE_TSM_BIND#2=EBUSY": what parse_injection() reads.
  [[nodiscard]] std::string str() const;
  bool operator==(const Injection&) const = default;
};

/// "fail", "kill", … as a SPEC begins.
[[nodiscard]] std::string_view kind_name(Injection::Kind kind);
/// "refuse", "drop", …
[[nodiscard]] std::string_view fault_name(schedule::Fault fault);

/// Why a SPEC is none.
struct BadInjection {
  std::string why;                 ///< a sentence without its end
  std::string word = {};           ///< the word that is wrong, if one is
  std::vector<std::string> known;  ///< what may stand in its place
};

/// fail:CALL#N=ERRNO, kill:CALL#N:before|after, signal:CALL#N,
/// firmware:COMMAND#N=refuse|busy|interrupt, device:MESSAGE#N=drop|late|garble|gone,
/// order:SEED#DEPTH=CALLS.
/// Without #N it is the first. Of `fail` and `signal` only what abi::call_errors() has;
/// whether a command or a message exists only the run knows.
[[nodiscard]] std::expected<Injection, BadInjection> parse_injection(std::string_view spec);

/// What injections of kOrder have as their name.
inline constexpr std::string_view kThreads = "threads";

/// The name that calls of one kind have in a SPEC, whichever way they are made: "open" for
/// openat(2). `call`: the name of the system call.
[[nodiscard]] std::string_view injected_name(std::string_view call, bool of_attribute);

}  // namespace teeio::run
