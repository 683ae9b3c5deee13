#pragma once

#include <cstdint>
#include <expected>
#include <string>

#include "base/types.h"
#include "serve/bus.h"
#include "serve/validate/config_file.h"

namespace teeio::serve::validate {

/// The DOE mailbox of a PCIe function of this host, through its config space file in /sys.
///
/// Source: PCIe Base Spec 6.30.2 and 7.9.24; steps as Linux drivers/pci/doe.c,
/// pci_doe_send_req() and pci_doe_recv_resp().
///
/// Lifetime: the caller's. Locking: none; the kernel's own use of the mailbox is not seen.
class DoeBus final : public Bus {
 public:
  /// The first mailbox whose discovery lists SPDM. Errors, ready to print: no such function,
  /// no right to write its config space, no such mailbox.
  static std::expected<DoeBus, std::string> open(Bdf function, unsigned timeout_ms);

  std::expected<Bytes, Loss> exchange(ByteView packet, unsigned timeout_ms) override;
  [[nodiscard]] std::string name() const override { return config_.function().str(); }
  [[nodiscard]] const ConfigFile& config() const { return config_; }
  /// In config space.
  [[nodiscard]] std::uint16_t mailbox() const { return mailbox_; }

  /// The TSM that the kernel has connected to the function, as its `tsm/connect` says;
  /// empty: none, or this kernel has no such thing.
  [[nodiscard]] static std::string connected_tsm(Bdf function);

 private:
  explicit DoeBus(ConfigFile config) : config_(std::move(config)) {}
  [[nodiscard]] std::uint32_t status() const;
  bool find_spdm(unsigned timeout_ms);
  [[nodiscard]] bool lists_spdm(unsigned timeout_ms);
  /// Until busy and error are clear and nothing is left to read.
  [[nodiscard]] bool make_ready(unsigned timeout_ms);
  std::expected<Bytes, Loss> receive() const;

  ConfigFile config_;
  std::uint16_t mailbox_ = 0;
};

}  // namespace teeio::serve::validate
