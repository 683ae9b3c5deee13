#pragma once

#include "wire/spdm.h"

namespace teeio::fuzz {

/// Negotiated sizes, from one byte of the input: none, or those of P-384 and
/// SHA-384 with what the other bits say.
inline wire::SpdmSizes sizes_of(std::uint8_t choice) {
  wire::SpdmSizes sizes;
  if ((choice & 1U) == 0) return sizes;
  sizes = {.hash = 48, .signature = 96, .exchange_request = 96, .exchange_response = 96};
  if ((choice & 2U) != 0) sizes.summary_hash = 48;
  if ((choice & 4U) != 0) sizes.verify_data = 48;
  sizes.multi_key = (choice & 8U) != 0;
  if ((choice & 16U) != 0) sizes.signature = 0;
  return sizes;
}
inline constexpr std::uint8_t kAllSizes = 0x0f;

}  // namespace teeio::fuzz
