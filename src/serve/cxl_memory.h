#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.h"

namespace teeio::serve {

/// What a CXL memory device says to CXL's IDE_KM and TSP, for requesters that ask
/// every device for them (DMTF's does, and gives up when refused): ports with a key a
/// direction each that waits and then goes, and protects nothing; a configuration that is checked
/// against its capabilities, kept, and can be locked. No memory is behind it.
///
/// Source: CXL 3.1, 11.4 (IDE_KM) and 11.5 (TSP); layouts and numbers as libspdm
/// cxl_idekm.h and cxl_tsp.h have them; what is refused as intel/tee-io-validator
/// doc/cxl_ide_test and doc/tsp_test, and spdm-emu library/cxl_tsp_responder_lib, have it.
///
/// Lifetime: of its card's SPDM responder. Locking: none.
class CxlMemory {
 public:
  /// `generates`: it makes the key and the initial IV that it sends with itself (GETKEY), and
  /// takes no others once it has told them.
  explicit CxlMemory(bool generates, unsigned ports = 1) : generates_(generates), ports_(ports) {}

  /// The answer to a vendor-defined payload under CXL's vendor ID, protocol byte
  /// included; nullopt: it makes no sense.
  [[nodiscard]] std::optional<Bytes> answer(ByteView payload);
  void reset() { *this = CxlMemory(generates_, static_cast<unsigned>(ports_.size())); }
  /// An SPDM session is gone: keys that waited or were told are gone with it.
  void session_ended();

 private:
  [[nodiscard]] std::optional<Bytes> answer_ide_km(ByteView message);
  [[nodiscard]] std::optional<Bytes> answer_key_message(ByteView message);
  [[nodiscard]] Bytes answer_tsp(ByteView message);
  [[nodiscard]] Bytes set_configuration(ByteView message);
  [[nodiscard]] Bytes get_configuration() const;

  struct Port {
    std::array<bool, 2> pending{};  ///< by direction: a key waits for K_SET_GO
    Bytes generated{};              ///< key and IV that GETKEY_ACK told; empty: none
  };
  /// That of a message that names a key; nullptr: there is none.
  [[nodiscard]] Port* port_of(ByteView message);

  /// The status of KP_ACK.
  [[nodiscard]] std::uint8_t program(ByteView message);
  /// What follows the names in GETKEY_ACK: key and IV.
  [[nodiscard]] static Bytes generate(Port& port);
  /// The key and IV of a KEY_PROG are those that were told, as far as they must be.
  [[nodiscard]] bool is_as_generated(const Port& port, ByteView message) const;

  bool generates_;
  std::vector<Port> ports_;  ///< at least one, at most 256
  Bytes configuration_;      ///< SET_TARGET_CONFIGURATION from byte 2 on, as GET has it
  bool locked_ = false;
};

}  // namespace teeio::serve
