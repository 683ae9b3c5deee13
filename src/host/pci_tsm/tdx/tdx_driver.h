#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "host/kvm/tdx/tdx_host.h"
#include "host/pci_tsm/cards.h"
#include "host/pci_tsm/driver.h"
#include "host/pci_tsm/tdx/connect_api.h"
#include "host/pci_tsm/tdx/shared_tables.h"
#include "hw/root_port.h"
#include "schedule/mutex.h"

namespace teeio::tsm {

/// TDX Connect's TSM driver (Linux RFC: drivers/virt/coco/tdx-tsm).
///
/// connect, disconnect: as the module's API has them (ConnectApi). bind: DEVIFMT, DEVIF.CREATE,
/// MMIOMT, DMAR, LOCK. unbind: STOP, KVM's MMIO out, trusted DMA off, MMIOMT, DEVIF.REMOVE,
/// DEVIFMT; source: "[RFC PATCH 00/30] Host side (KVM/VFIO/IOMMUFD) support for TDISP using TSM"
/// (2025-05), patch 30, and the module's checks in DEVIF.REMOVE. When the VM is dead or the device
/// answers no STOP, IDE.STREAM.BLOCK opens the way instead; the stream is then of no use until the
/// card is connected anew.
///
/// Lifetime: one a machine.
/// Locking: its own lock over tables that cards share; below the DSM's lock.
class TdxDriver final : public Driver {
 public:
  using Port = TdxPort;
  /// `api`: the module's.
  TdxDriver(kvm::TdxHost& host, std::vector<Port> ports, tdx::Api api);

  [[nodiscard]] std::string_view name() const override { return "tdx"; }
  /// Linux drivers/virt/coco/tdx-host.
  [[nodiscard]] std::string_view platform_device() const override { return "faux/tdx_host"; }
  [[nodiscard]] TvmArch arch() const override { return TvmArch::kTdx; }

  Result<void> connect(hw::PciFunction& pf0) override;
  void disconnect(hw::PciFunction& pf0) override;
  Result<void> refresh_keys(hw::PciFunction& pf0) override;
  Result<void> bind(hw::PciFunction& function, const Tdi& tdi, kvm::Vm& vm) override;
  void unbind(hw::PciFunction& function, const Tdi& tdi, kvm::Vm& vm,
              TeardownHandlers& handlers) override;
  GuestOutcome guest_request(hw::PciFunction& function, const Tdi& tdi, kvm::Vm& vm,
                             const GuestRequest& request) override;

 protected:
  void size_pools(IdeStreams& streams) override;

 private:
  using Card = TdxCard;
  /// A bound function, with how far its set-up got: undone in reverse.
  struct Bound {
    Card* card;
    std::uint8_t devifmt_levels = 0;
    bool devif = false;
    std::vector<std::pair<Hpa, unsigned>> mmiomt_tables{};  ///< address and level
    std::vector<Hpa> mmiomt_data{};
    unsigned dmar_levels = 0;
    bool locked = false;
  };

  Result<Hpa> alloc_page() { return host_.memory().alloc_page(); }
  // connect.cc
  Result<void> connect_session(Card& card);
  Result<void> connect_stream(Card& card);
  void undo_connect(Card& card);

  // bind.cc
  Result<void> bind_steps(hw::PciFunction& function, kvm::Vm& vm, Bound& bound);
  Result<void> add_devifmt(tdx::FunctionId id, Bound& bound) TEEIO_EXCLUDES(tables_lock_);
  Result<void> create_devif(tdx::FunctionId id, kvm::Vm& vm, Bound& bound);
  Result<void> add_mmiomt(hw::PciFunction& function, Bound& bound) TEEIO_EXCLUDES(tables_lock_);
  /// The tables above the page before, by level, of which a function is a user once.
  using TablePath = std::array<std::optional<SharedTables::Key>, tdx::kMmiomtLevels>;
  Result<void> add_mmiomt_page(tdx::FunctionId id, Hpa page, TablePath& above, Bound& bound)
      TEEIO_REQUIRES(tables_lock_);
  Result<void> add_dmar(hw::PciFunction& function, Bound& bound) TEEIO_EXCLUDES(tables_lock_);

  // unbind.cc
  void stop(hw::PciFunction& function, kvm::Vm& vm, Bound& bound);
  void block_stream(Card& card);
  void reclaim_mmio(hw::PciFunction& function, kvm::Vm& vm);
  void remove_dmar(hw::PciFunction& function, Bound& bound) TEEIO_EXCLUDES(tables_lock_);
  void remove_mmiomt(Bound& bound) TEEIO_EXCLUDES(tables_lock_);
  void remove_devif(tdx::FunctionId id, Bound& bound) TEEIO_EXCLUDES(tables_lock_);

  // request.cc
  GuestOutcome collect_evidence(Card& card, ByteView payload);
  GuestOutcome read_evidence(Card& card, std::uint32_t offset, const GuestRequest& request);
  // objects.cc
  Result<Bytes> device_info(Card& card, std::uint64_t& code);
  GuestOutcome read_part(Card& card, std::uint32_t object, std::uint32_t offset,
                         const GuestRequest& request);

  GuestOutcome relay(Card& card, tdx::FunctionId id);
  tdx::LeafResult make_request(Card& card, tdx::FunctionId id, tdx::DevifRequest code,
                               tdx::OnBehalfOf who);
  tdx::LeafResult take_response(Card& card, tdx::FunctionId id, tdx::OnBehalfOf who);
  // One TDISP exchange of the VMM's own, whole or in its two halves.
  Result<std::size_t> tdisp_request(Card& card, tdx::FunctionId id, tdx::DevifRequest code);
  Result<tdx::LeafResult> tdisp_exchange(Card& card, tdx::FunctionId id, std::size_t bytes);
  Result<tdx::LeafResult> tdisp(Card& card, tdx::FunctionId id, tdx::DevifRequest code);

  kvm::TdxHost& host_;
  const std::vector<Port> ports_;
  const std::unique_ptr<ConnectApi> connect_;
  Cards<Card> cards_;
  BoundFunctions<Bound> bound_;

  schedule::Mutex tables_lock_{schedule::Rank::kTsmDriver};
  SharedTables devifmt_ TEEIO_GUARDED_BY(tables_lock_);
  SharedTables mmiomt_ TEEIO_GUARDED_BY(tables_lock_);
  SharedTables dmar_ TEEIO_GUARDED_BY(tables_lock_);
};

}  // namespace teeio::tsm
