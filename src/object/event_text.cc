#include "object/event_text.h"

#include <fmt/format.h>

namespace teeio::object {
namespace {

/// Names of a, b and c where a reader needs them; "" where the event's name or
/// detail says it already.
struct ValueNames {
  std::string_view a, b, c;
};

ValueNames value_names(Fact fact) {
  switch (fact) {
    case Fact::kMmioMapped:
    case Fact::kMmioBlocked:
    case Fact::kMmioUnmapped:
      return {"gpa", "hpa", ""};
    case Fact::kStreamBlocked:
      return {"stream", "", ""};
    case Fact::kIdeviceCreated:
    case Fact::kIdeviceDestroyed:
    case Fact::kVdeviceDestroyed:
    case Fact::kViommuCreated:
    case Fact::kViommuDestroyed:
      return {"serial", "", ""};
    case Fact::kVdeviceCreated:
      return {"serial", "idevice", "viommu"};
    case Fact::kHostMapped:
    case Fact::kHostMapRevoked:
      return {"bar", "", ""};
    case Fact::kSequenceUsed:
      return {"key", "sequence", ""};
    case Fact::kRefLeaked:
      return {"references", "", ""};
    case Fact::kTdiLockNonce:
    case Fact::kTdiStarted:
    case Fact::kGuestStart:
      return {"nonce", "", ""};
    case Fact::kNone:
    case Fact::kTdiState:
    case Fact::kDeviceReset:
    case Fact::kMetadataCreated:
    case Fact::kMetadataRemoved:
    case Fact::kTdiStopped:
    case Fact::kTrustedDmaOn:
    case Fact::kTrustedDmaOff:
    case Fact::kVmCreated:
    case Fact::kVmDestroyed:
    case Fact::kVmDead:
    case Fact::kBound:
    case Fact::kUnbound:
    case Fact::kVmFileReleased:
    case Fact::kHostTouched:
    case Fact::kDma:
    case Fact::kKeyUsed:
    case Fact::kUsedAfterPut:
    case Fact::kTdiStopFailed:
      return {};
  }
  return {};
}

void append_value(std::string& out, std::string_view name, std::uint64_t value) {
  if (name.empty()) return;
  const bool hex = name == "gpa" || name == "hpa" || name == "nonce" || name == "key";
  out += hex ? fmt::format(" {}={:#x}", name, value) : fmt::format(" {}={}", name, value);
}

}  // namespace

std::string event_subject(const Event& event) {
  std::string out;
  if (event.function) out += ' ' + event.function->str();
  if (event.vm != 0) out += fmt::format(" VM {}", event.vm);
  if (!event.detail.empty()) out += ' ' + event.detail;
  const ValueNames names = value_names(event.fact);
  append_value(out, names.a, event.a);
  append_value(out, names.b, event.b);
  append_value(out, names.c, event.c);
  return out.empty() ? out : out.substr(1);
}

std::string event_text(const Event& event) {
  std::string out(lane_name(event.from));
  if (event.fact == Fact::kNone)
    out += fmt::format(" -> {}", lane_name(event.to));
  else
    out += ':';
  out += fmt::format(" {}", event.name);
  if (const std::string subject = event_subject(event); !subject.empty()) out += ' ' + subject;
  if (event.outcome.empty() || event.outcome == "ok") return out;
  out += " = " + event.outcome;
  if (!event.why.empty()) out += fmt::format(" ({})", event.why);
  return out;
}

}  // namespace teeio::object
