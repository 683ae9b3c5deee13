#pragma once

#include <expected>
#include <string>
#include <string_view>
#include <vector>

#include "spdm/credentials.h"

namespace teeio::serve {

/// "INDEX=KIND[+raw]:VALUE": a measurement block. KIND is one of DSP0274's
/// DMTFSpecMeasurementValueType ("rom", "firmware", "manifest" …); VALUE is text. Error, ready
/// to print: the part that makes no sense, and what there is.
[[nodiscard]] std::expected<spdm::Measurement, std::string> parse_measurement(
    std::string_view text);

/// A card's blocks, with some put in the place of those of the same index, or added; in the
/// extension log too.
///
/// Lifetime: `card` outlives it. Locking: none.
class MeasurementBlocks final : public spdm::MeasurementSource {
 public:
  MeasurementBlocks(spdm::MeasurementSource& card, std::vector<spdm::Measurement> more)
      : card_(card), more_(std::move(more)) {}
  [[nodiscard]] std::vector<spdm::Measurement> measurements() override;
  [[nodiscard]] Bytes extension_log() override { return spdm::extension_log_of(measurements()); }

 private:
  spdm::MeasurementSource& card_;
  const std::vector<spdm::Measurement> more_;
};

}  // namespace teeio::serve
