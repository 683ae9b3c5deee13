#include "device/nvme/features.h"

#include <algorithm>

namespace teeio::nvme {
namespace {

/// Figure 271, "Feature Identifiers".
enum FeatureId : std::uint8_t {
  kArbitration = 0x01,
  kPowerManagement = 0x02,
  kTemperature = 0x04,
  kErrorRecovery = 0x05,
  kWriteCache = 0x06,
  kQueueNumber = 0x07,
  kCoalescing = 0x08,
  kVectorConfig = 0x09,
  kAtomicity = 0x0a,
  kEventConfig = 0x0b,
};

constexpr std::uint32_t kAllQueues = (kIoQueues - 1U) | (kIoQueues - 1U) << 16U;
constexpr std::uint32_t kWarnings = 0x1f;
constexpr std::uint32_t kVectorBits = 0xffff;
constexpr std::uint32_t kBit16 = 1U << 16U;

std::unexpected<Status> invalid() { return std::unexpected(Status::kInvalidField); }

bool is_namespace(std::uint32_t nsid, const Features::Situation& situation) {
  return nsid >= 1 && nsid <= situation.namespaces;
}

}  // namespace

/// TMPSEL 19:16: the composite temperature alone, to Set Features as "all sensors" too;
/// THSEL 21:20.
std::uint16_t* Features::threshold(std::uint32_t word, bool setting) {
  constexpr std::uint32_t kAllSensors = 0xf;
  const std::uint32_t sensor = word >> 16U & 0xfU;
  const bool known = sensor == 0 || (setting && sensor == kAllSensors);
  if (!known || (word >> 20U & 3U) > 1) return nullptr;
  return (word >> 20U & 3U) == 0 ? &over_ : &under_;
}

Outcome<std::uint32_t> Features::get(const Command& command, const Situation& situation) const {
  if ((command.cdw10 >> 8U & 7U) != 0) return invalid();  // Select: not offered
  switch (command.cdw10 & 0xffU) {
    case kArbitration:
      return arbitration_;
    case kPowerManagement:
      return 0U;
    case kTemperature: {
      const std::uint16_t* const found =
          const_cast<Features*>(this)->threshold(command.cdw11, false);
      if (found == nullptr) return invalid();
      return *found;
    }
    case kErrorRecovery:
      if (!is_namespace(command.nsid, situation)) return std::unexpected(Status::kInvalidNamespace);
      return command.nsid <= error_recovery_.size() ? error_recovery_[command.nsid - 1]
                                                    : std::uint16_t{0};
    case kWriteCache:
      return write_cache_ ? 1U : 0U;
    case kQueueNumber:
      return kAllQueues;
    case kCoalescing:
      return coalescing_;
    case kVectorConfig: {
      const std::uint32_t vector = command.cdw11 & kVectorBits;
      if (vector >= kVectors) return invalid();
      return vector | (not_coalesced_[vector] ? kBit16 : 0U);
    }
    case kAtomicity:
      return atomicity_off_ ? 1U : 0U;
    case kEventConfig:
      return told_warnings_;
    default:
      return invalid();
  }
}

/// 5.21.1.5: a feature of a namespace; with FFFFFFFFh of all.
void Features::set_error_recovery(std::uint32_t nsid, std::uint32_t namespaces,
                                  std::uint16_t value) {
  error_recovery_.resize(namespaces);
  if (nsid == kAllNamespaces)
    std::ranges::fill(error_recovery_, value);
  else
    error_recovery_.at(nsid - 1) = value;
}

Outcome<std::uint32_t> Features::set(const Command& command, const Situation& situation) {
  if (command.cdw10 >> 31U != 0) return std::unexpected(Status::kNotSaveable);
  const std::uint32_t id = command.cdw10 & 0xffU;
  const std::uint32_t value = command.cdw11;
  if (id == kErrorRecovery) {
    if (command.nsid != kAllNamespaces && !is_namespace(command.nsid, situation))
      return std::unexpected(Status::kInvalidNamespace);
    if ((value & kBit16) != 0) return invalid();  // DULBE: no such error is reported
    set_error_recovery(command.nsid, situation.namespaces, static_cast<std::uint16_t>(value));
    return 0U;
  }
  const bool known = id >= kArbitration && id <= kEventConfig && id != 0x03;
  if (!known) return invalid();
  if (command.nsid != 0 && command.nsid != kAllNamespaces)
    return std::unexpected(Status::kNotNamespaceSpecific);
  switch (id) {
    case kArbitration:
      arbitration_ = value;
      return 0U;
    case kPowerManagement:
      if ((value & 0x1fU) != 0) return invalid();  // one power state
      return 0U;
    case kTemperature: {
      std::uint16_t* const found = threshold(value, true);
      if (found == nullptr) return invalid();
      *found = static_cast<std::uint16_t>(value);
      return 0U;
    }
    case kWriteCache:
      write_cache_ = (value & 1U) != 0;
      return 0U;
    case kQueueNumber:
      if (situation.has_io_queues) return std::unexpected(Status::kSequenceError);
      if ((value & 0xffffU) == 0xffffU || value >> 16U == 0xffffU) return invalid();
      return kAllQueues;
    case kCoalescing:
      coalescing_ = static_cast<std::uint16_t>(value);
      return 0U;
    case kVectorConfig:
      if ((value & kVectorBits) >= kVectors) return invalid();
      not_coalesced_[value & kVectorBits] = (value & kBit16) != 0;
      return 0U;
    case kAtomicity:
      atomicity_off_ = (value & 1U) != 0;
      return 0U;
    default:
      if ((value & ~kWarnings) != 0) return invalid();  // no notices are offered (OAES)
      told_warnings_ = static_cast<std::uint8_t>(value);
      return 0U;
  }
}

}  // namespace teeio::nvme
