#pragma once

#include <vector>

#include "base/check.h"
#include "crypto/issue.h"
#include "evidence/object.h"
#include "spdm/credentials.h"

// Devices of the corpus, and their evidence as they prove it.
namespace teeio::evidence {

using Nonce = std::array<std::byte, 32>;

/// The corpus is made of what can be made.
template <class T>
T must(Result<T> made) {
  TEEIO_CHECK(made.has_value(), "the corpus cannot be made");
  return *std::move(made);
}

/// A nonce whose every byte is `byte`.
[[nodiscard]] Nonce nonce_of(unsigned byte);
[[nodiscard]] Bytes bytes_of_text(std::string_view text);

/// The values of a device that a policy looks at.
struct DeviceState {
  std::string firmware = "corpus firmware 2.1";
  std::string next_firmware{};  ///< from its second answer on; empty: the same
  std::uint64_t svn = 7;
  std::uint32_t debug = 0;  ///< device mode state
  bool has_firmware_block = true;
  bool has_sound_part = false;  ///< another device mode before it: of a part without debugging
};
[[nodiscard]] std::vector<spdm::Measurement> measurements_of(const DeviceState& state);

/// How it was asked.
struct Asking {
  std::uint8_t version = 0x14;  ///< the highest that the requester knows
  bool sign = true;
  Nonce nonce{};
  std::vector<std::uint8_t> indices = {0xff};  ///< of GET_MEASUREMENTS; the last one signs
};
/// What the device proves to that requester; with the VCA before SPDM 1.2.
[[nodiscard]] Bundle prove(const crypto::Identity& identity, const DeviceState& state,
                           const Asking& asking);

/// An interface report with two BARs and an MSI-X table.
[[nodiscard]] Bytes interface_report(bool open_to_host = false);

/// The extension value of a DiceTcbInfo. `flags`: of OperationalFlags.
[[nodiscard]] Bytes dice_tcb_info(std::uint8_t svn, std::uint8_t flags);
[[nodiscard]] Bytes dice_ueid();
[[nodiscard]] Bytes dice_fwid();  ///< of the DiceTcbInfo

/// A certificate of the device with this id-DMTF-device-info.
[[nodiscard]] crypto::LeafExtras device_named(std::string info);
/// One with a DiceTcbInfo and a UEID.
[[nodiscard]] crypto::LeafExtras with_dice(std::uint8_t svn, std::uint8_t flags);

}  // namespace teeio::evidence
