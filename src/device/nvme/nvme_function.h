#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "device/nvme/controller.h"
#include "device/tee_function.h"

namespace teeio::nvme {

/// One function of an NVMe card: a TDI with a controller. In RUN everything that the
/// controller asks of memory is trusted (T=1): commands, data, completions.
///
/// Lifetime: owned by NvmeCard. Locking: the card's lock.
class NvmeFunction final : public device::TeeFunction, private HostAccess {
 public:
  /// Where the BARs are.
  struct Addresses {
    Hpa registers;
    Hpa msix;
  };
  struct Place {
    Bdf bdf;
    hw::Identity identity;
    Addresses addresses;
    device::TeeFunction* pf = nullptr;  ///< nullptr: this is the PF
    bool bars_move = false;             ///< as NvmeCard::Options has it
    Hpa rom{0};                         ///< likewise, as the next
    std::uint64_t rom_bytes = 0;
    device::ReportOptions report{};
  };
  NvmeFunction(object::Trace& trace, schedule::Monitor& card_lock, const Place& place,
               const ControllerIdentity& identity, std::vector<NameSpace> spaces);

  static std::array<hw::Bar, hw::kBarCount> make_bars(const Addresses& addresses);
  [[nodiscard]] const Controller& controller() const { return controller_; }

 private:
  // TeeFunction
  void register_read(std::uint64_t offset, std::span<std::byte> out) override;
  void register_write(std::uint64_t offset, ByteView in) override;
  void scrub() override;
  // HostAccess
  [[nodiscard]] bool may_issue() const override { return may_issue_now(traffic()); }
  Result<void> read(std::uint64_t address, std::span<std::byte> out) override;
  Result<void> write(std::uint64_t address, ByteView in) override;
  void interrupt(std::uint16_t vector) override { fire(vector); }

  [[nodiscard]] hw::TBit traffic() const;

  Controller controller_;
};

}  // namespace teeio::nvme
