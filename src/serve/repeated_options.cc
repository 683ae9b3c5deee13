#include "serve/repeated_options.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

namespace teeio::serve {
namespace {

using Kind = Fault::Kind;

/// The first of `all` that has one before it which equals it, as `same` says.
template <class T, class Same>
const T* first_repeated(const std::vector<T>& all, Same same) {
  for (auto at = all.begin(); at != all.end(); ++at)
    if (std::any_of(all.begin(), at, [&](const T& before) { return same(before, *at); }))
      return &*at;
  return nullptr;
}

/// What a spoiled answer shows only where the device did what it was asked.
bool needs_an_answer(Kind kind) {
  switch (kind) {
    case Kind::kBadSignature:
    case Kind::kBadHmac:
    case Kind::kBadDigest:
    case Kind::kBadCertificate:
    case Kind::kWrongNonce:
    case Kind::kMovedRange:
      return true;
    case Kind::kWrongVersion:
    case Kind::kWrongCode:
    case Kind::kTruncated:
    case Kind::kLonger:
    case Kind::kError:
    case Kind::kEndlessBusy:
    case Kind::kDropped:
    case Kind::kLate:
    case Kind::kAccepted:
    case Kind::kRepeated:
    case Kind::kUnasked:
      return false;
  }
  return false;
}

/// Nothing of `other` is to be seen where `fault` is, at the same message.
bool hides(const Fault& fault, const Fault& other) {
  if (fault.message != other.message || fault.kind == other.kind) return false;
  // The device does nothing then, and says so.
  const bool refuses = fault.kind == Kind::kError || fault.kind == Kind::kEndlessBusy;
  if (refuses && needs_an_answer(other.kind)) return true;
  if (fault.kind == Kind::kError) return other.kind == Kind::kEndlessBusy;
  // What is not done shows in later answers, and so does what should not have been.
  const bool shows_later = other.kind == Kind::kError || other.kind == Kind::kEndlessBusy ||
                           other.kind == Kind::kAccepted;
  return fault.kind == Kind::kDropped && !shows_later;
}

std::string why_repeated_fault(const std::vector<Fault>& faults) {
  const auto same = [](const Fault& a, const Fault& b) {
    return a.kind == b.kind && a.message == b.message;
  };
  if (const Fault* const fault = first_repeated(faults, same))
    return fmt::format("--fault {} is given twice", fault_name(*fault));
  for (const Fault& fault : faults)
    for (const Fault& other : faults)
      if (hides(fault, other))
        return fmt::format("--fault {} changes nothing beside {}", fault_name(other),
                           fault_name(fault));
  return {};
}

}  // namespace

std::string why_repeated(const SpeakerOptions& options) {
  const auto same_index = [](const spdm::Measurement& a, const spdm::Measurement& b) {
    return a.index == b.index;
  };
  if (const auto* const block = first_repeated(options.measurements, same_index))
    return fmt::format("--measurement gives block {} twice", block->index);
  const auto same_hint = [](const spdm::Psk& a, const spdm::Psk& b) { return a.hint == b.hint; };
  if (first_repeated(options.psks, same_hint) != nullptr)
    return "--psk gives two keys for one hint";
  return why_repeated_fault(options.faults);
}

}  // namespace teeio::serve
