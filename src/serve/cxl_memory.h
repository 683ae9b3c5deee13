#pragma once

#include <cstdint>
#include <optional>

#include "base/bytes.h"

namespace teeio::serve {

/// What a CXL memory device says to CXL's IDE_KM and TSP, for requesters that ask
/// every device for them (DMTF's does, and gives up when refused): one port, keys
/// that are acknowledged and protect nothing, a configuration that is kept and can be
/// locked. No memory is behind it.
///
/// Source: CXL 3.1, 11.4 (IDE_KM) and 11.5 (TSP); layouts and numbers as libspdm
/// cxl_idekm.h and cxl_tsp.h have them.
///
/// Lifetime: of its card's SPDM responder. Locking: none.
class CxlMemory {
 public:
  static constexpr std::uint16_t kVendorId = 0x1e98;

  /// The answer to a vendor-defined payload under CXL's vendor ID, protocol byte
  /// included; nullopt: it makes no sense.
  [[nodiscard]] std::optional<Bytes> answer(ByteView payload);
  void reset() { *this = CxlMemory(); }

 private:
  [[nodiscard]] std::optional<Bytes> answer_ide_km(ByteView message);
  [[nodiscard]] std::optional<Bytes> answer_tsp(ByteView message);
  [[nodiscard]] Bytes set_configuration(ByteView message);

  Bytes configuration_;  ///< as SET_TARGET_CONFIGURATION had it, from byte 2 to 192
  bool locked_ = false;
};

}  // namespace teeio::serve
