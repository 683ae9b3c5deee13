#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "base/bytes.h"

namespace teeio::serve {

/// What a CXL memory device says to CXL's IDE_KM and TSP, for requesters that ask
/// every device for them (DMTF's does, and gives up when refused): one port, a key a
/// direction that waits and then goes, and protects nothing; a configuration that is kept and
/// can be locked. It makes neither keys nor IVs itself. No memory is behind it.
///
/// Source: CXL 3.1, 11.4 (IDE_KM) and 11.5 (TSP); layouts and numbers as libspdm
/// cxl_idekm.h and cxl_tsp.h have them; what is refused as intel/tee-io-validator
/// doc/cxl_ide_test and doc/tsp_test have it.
///
/// Lifetime: of its card's SPDM responder. Locking: none.
class CxlMemory {
 public:
  static constexpr std::uint16_t kVendorId = 0x1e98;

  /// The answer to a vendor-defined payload under CXL's vendor ID, protocol byte
  /// included; nullopt: it makes no sense.
  [[nodiscard]] std::optional<Bytes> answer(ByteView payload);
  void reset() { *this = CxlMemory(); }
  /// An SPDM session is gone: keys that waited are gone with it.
  void session_ended() { pending_ = {}; }

 private:
  [[nodiscard]] std::optional<Bytes> answer_ide_km(ByteView message);
  [[nodiscard]] std::optional<Bytes> answer_tsp(ByteView message);
  [[nodiscard]] Bytes set_configuration(ByteView message);

  /// The status of KP_ACK: 0, or 1 "invalid".
  [[nodiscard]] std::uint8_t program(ByteView message);

  std::array<bool, 2> pending_{};  ///< by direction: a key waits for K_SET_GO
  Bytes configuration_;            ///< as SET_TARGET_CONFIGURATION had it, from byte 2 to 192
  bool locked_ = false;
};

}  // namespace teeio::serve
