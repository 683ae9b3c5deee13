#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>

#include "serve/bus.h"

namespace teeio::serve::validate {

/// An endpoint of Linux's MCTP network: SPDM and secured SPDM as message types 5 and 6.
/// Source: Linux include/uapi/linux/mctp.h, Documentation/networking/mctp.rst; DSP0275, DSP0276.
///
/// Lifetime: the caller's. Locking: none.
class MctpBus final : public Bus {
 public:
  struct Endpoint {
    std::uint32_t network = 1;
    std::uint8_t eid = 0;
    /// "NET,EID"; nullopt: it is no such thing. EIDs are 8 to 254 (DSP0236, table 2).
    static std::optional<Endpoint> parse(std::string_view text);
  };
  /// Whether this kernel has AF_MCTP.
  [[nodiscard]] static bool exists();
  explicit MctpBus(Endpoint endpoint) : endpoint_(endpoint) {}

  /// A socket a packet: each message type has its own tag.
  std::expected<Bytes, Loss> exchange(ByteView packet, unsigned timeout_ms) override;
  [[nodiscard]] std::string trouble() const override;
  [[nodiscard]] std::string name() const override;

 private:
  const Endpoint endpoint_;
  int send_errno_ = 0;
};

}  // namespace teeio::serve::validate
