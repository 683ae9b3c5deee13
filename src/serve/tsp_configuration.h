#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/bytes.h"

namespace teeio::serve {

/// What GET_TARGET_CAPABILITIES_RSP announces. Bits as wire::cxl::tsp has them.
struct TspCapabilities {
  unsigned encryption = 0;
  unsigned algorithms = 0;
  unsigned te_state = 0;
  std::uint32_t out_of_band = 0;  ///< granularities
  std::uint32_t in_band = 0;
  unsigned configuration = 0;
  std::uint32_t ckids = 0;
  unsigned secondary_sessions = 0;
};

/// What SET_TARGET_CONFIGURATION asks for.
struct TspConfiguration {
  static constexpr std::uint8_t kNoLength = 0xff;
  unsigned encryption = 0;
  std::uint32_t algorithm = 0;
  unsigned te_state = 0;
  std::uint32_t out_of_band = 0;
  unsigned configuration = 0;
  std::uint32_t ckid_base = 0;
  std::uint32_t ckids = 0;
  std::array<std::uint8_t, 8> in_band_lengths{};  ///< kNoLength: the entry is not used
  unsigned secondary_sessions = 0;                ///< a bit each, from 0 on

  /// The whole request; nullopt: it has another length.
  [[nodiscard]] static std::optional<TspConfiguration> decode(ByteView request);
};

/// All that is asked for is announced, and goes together.
///
/// Source: spdm-emu library/cxl_tsp_responder_lib/cxl_tsp_rsp_set_configuration.c,
/// cxl_tsp_validate_configruation(), but for its refusal of length index 7 where the whole
/// memory is a granularity, for which no reason is to be seen. Special-purpose memory (bit 1 of
/// the configuration features) is the requester's to say, and always taken.
[[nodiscard]] bool fits(const TspConfiguration& wanted, const TspCapabilities& has);

}  // namespace teeio::serve
