#pragma once

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "object/trace.h"
#include "rules/sanitizer.h"

namespace teeio::rules {

inline constexpr Bdf kVf{.domain = 0, .bus = 1, .device = 0, .function = 1};
inline constexpr std::uint64_t kNonce = 0x1122334455667788;

/// Tells a sanitizer a life of one TDI in the words of the event model.
class Story {
 public:
  explicit Story(const TeardownOrder& order = kTdxOrder) : sanitizer(order) {
    trace.add_sink(sanitizer);
  }

  void fact(object::Fact fact, object::EventFields fields = {}) {
    fields.function = function;
    if (fields.vm == 0) fields.vm = vm;
    trace.fact(object::Lane::kFirmware, fact, "state", std::move(fields));
  }
  void tdi(std::uint64_t from, std::uint64_t to) {
    fact(object::Fact::kTdiState, {.a = from, .b = to});
  }

  // The chapters of a correct life.
  void bind() {
    fact(object::Fact::kMetadataCreated);
    tdi(kTdiUnlocked, kTdiLocked);
    fact(object::Fact::kTdiLockNonce, {.a = kNonce});
    fact(object::Fact::kBound);
  }
  void accept() {
    fact(object::Fact::kMmioMapped, {.a = 0x1000, .b = 0xf0000000});
    fact(object::Fact::kTrustedDmaOn);
    fact(object::Fact::kGuestStart, {.a = kNonce});
    tdi(kTdiLocked, kTdiRun);
    fact(object::Fact::kTdiStarted, {.a = kNonce});
  }
  void stop() {
    tdi(kTdiRun, kTdiUnlocked);
    fact(object::Fact::kTdiStopped);
  }
  void unmap() {
    fact(object::Fact::kMmioBlocked, {.a = 0x1000, .b = 0xf0000000});
    fact(object::Fact::kMmioUnmapped, {.a = 0x1000, .b = 0xf0000000});
  }
  void free() {
    fact(object::Fact::kMetadataRemoved);
    fact(object::Fact::kUnbound);
  }
  /// stop → unmap → DMA off → free, as TDX has it.
  void unbind() {
    stop();
    unmap();
    fact(object::Fact::kTrustedDmaOff);
    free();
  }

  /// The rules broken so far, "R1 R4", in order of report.
  std::string broken() const {
    std::string out;
    for (const Violation& v : sanitizer.violations())
      out += (out.empty() ? "R" : " R") + std::to_string(static_cast<unsigned>(v.rule));
    return out;
  }
  const Violation& only() const {
    EXPECT_EQ(sanitizer.violations().size(), 1U) << broken();
    return sanitizer.violations().at(0);
  }

  std::optional<Bdf> function = kVf;
  std::uint32_t vm = 1;
  object::Trace trace;
  Sanitizer sanitizer;
};

}  // namespace teeio::rules
