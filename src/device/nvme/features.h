#pragma once

#include <bitset>
#include <cstdint>
#include <vector>

#include "device/nvme/command.h"

namespace teeio::nvme {

/// What Set Features sets: the features that are mandatory for an I/O controller of revision
/// 1.4, and the volatile write cache. Nothing is saved. Source: NVMe 1.4, 5.21.1.
class Features {
 public:
  struct Situation {
    bool has_io_queues = false;
    std::uint32_t namespaces = 0;
  };
  /// Dword 0 of the completion. Errors: kInvalidField: no such feature, Select, or a value
  /// that does not exist; kInvalidNamespace.
  [[nodiscard]] Outcome<std::uint32_t> get(const Command& command,
                                           const Situation& situation) const;
  /// Errors: those, and kNotSaveable, kNotNamespaceSpecific, kSequenceError: the number of
  /// queues when there are some.
  Outcome<std::uint32_t> set(const Command& command, const Situation& situation);

  [[nodiscard]] bool write_cache() const { return write_cache_; }
  /// Critical warnings of the health log that are told as events.
  [[nodiscard]] std::uint8_t told_warnings() const { return told_warnings_; }
  /// The composite temperature is out of the thresholds.
  [[nodiscard]] bool temperature_warning() const { return kKelvin >= over_ || kKelvin <= under_; }
  static constexpr std::uint16_t kKelvin = 300;  ///< this model's composite temperature

 private:
  void set_error_recovery(std::uint32_t nsid, std::uint32_t namespaces, std::uint16_t value);
  std::uint16_t* threshold(std::uint32_t word, bool setting);

  std::uint32_t arbitration_ = 7;  // no limit of a burst
  std::uint16_t over_ = 343;
  std::uint16_t under_ = 0;
  std::vector<std::uint16_t> error_recovery_;  ///< by namespace; those beyond have 0
  bool write_cache_ = true;
  std::uint16_t coalescing_ = 0;
  std::bitset<kVectors> not_coalesced_;
  bool atomicity_off_ = false;
  std::uint8_t told_warnings_ = 0;
};

}  // namespace teeio::nvme
