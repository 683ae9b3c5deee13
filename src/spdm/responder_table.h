#pragma once

#include <cstdint>

#include "spdm/responder_state.h"

namespace teeio::spdm::responder {

/// Where a request may come.
enum class Place : std::uint8_t {
  kOutside,    ///< in the clear only
  kInside,     ///< in an established session only
  kEither,     ///< in the clear or in an established session
  kHandshake,  ///< in a session that is not established (or in the clear, for one)
  kAnywhere,
};

/// One request: when it is allowed, what it needs, who answers it.
struct Row {
  wire::SpdmCode code;
  Reply (*handler)(Call&);
  Place place;
  Phase phase = Phase::kNegotiated;
  std::uint32_t own = 0;   ///< flags of ours, one of which must be set; 0: none needed
  std::uint32_t peer = 0;  ///< the peer's
  /// It interrupts what CHALLENGE would sign. Source: DSP0274 1.2, 10.10.1
  /// ("M1/M2"), as libspdm reads it.
  bool resets_m1m2 = false;
  std::uint16_t extended = 0;  ///< flags of ours of 1.4, which must be set
};
/// nullptr: no such request.
[[nodiscard]] const Row* find_row(std::uint8_t code);

}  // namespace teeio::spdm::responder
