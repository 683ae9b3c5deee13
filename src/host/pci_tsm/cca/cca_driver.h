#pragma once

#include <map>
#include <vector>

#include "host/kvm/rmm/realm_host.h"
#include "host/pci_tsm/driver.h"
#include "schedule/mutex.h"

namespace teeio::tsm {

/// Arm CCA's TSM driver (Linux series: drivers/virt/coco/arm-cca-host).
///
/// bind: VDEV_CREATE up to UNLOCKED; LOCK and START follow the guest's requests.
/// unbind: KVM's MMIO out, VDEV_UNLOCK (trusted DMA off, then the device is
/// stopped), VDEV_DESTROY: the opposite of TDX's order, since the monitor
/// refuses to unlock while a granule is mapped.
///
/// Guest requests: SET_TDI_STATE (u32 state); VALIDATE_MMIO (u64 IPA base, u64
/// IPA top, u64 PA of the base), for what the realm itself asked the monitor; READ_OBJECT answers
/// the interface report or a part of the device's evidence; REGEN_OBJECT (32-byte nonce) has that
/// measured anew; OBJECT_INFO answers a u32 state. tsm_code is the monitor's result code.
///
/// Lifetime: one a machine. Locking: a leaf lock over what is bound.
class CcaDriver final : public Driver {
 public:
  CcaDriver(kvm::RealmHost& host, std::vector<hw::RootPort*> ports)
      : host_(host), ports_(std::move(ports)) {}

  [[nodiscard]] std::string_view name() const override { return "cca"; }
  /// RMI_DEV_NAME of the posted series; A. Kumar K.V shows it as a platform device.
  [[nodiscard]] std::string_view platform_device() const override { return "platform/arm-rmi-dev"; }
  [[nodiscard]] TvmArch arch() const override { return TvmArch::kCca; }

  Result<void> connect(hw::PciFunction& pf0) override;
  void disconnect(hw::PciFunction& pf0) override;
  Result<void> bind(hw::PciFunction& function, const Tdi& tdi, kvm::Vm& vm) override;
  void unbind(hw::PciFunction& function, const Tdi& tdi, kvm::Vm& vm,
              TeardownHandlers& handlers) override;
  Result<GuestResponse> guest_request(hw::PciFunction& function, const Tdi& tdi, kvm::Vm& vm,
                                      const GuestRequest& request, std::uint64_t& code) override;

 private:
  /// A connected card, with how far that got.
  struct Card {
    hw::PciFunction* pf0;
    std::uint8_t stream;
    Hpa message{0};  ///< the data page of communications
    Hpa pdev{0};
    bool created = false;
    bool endpoint_set = false;
    bool streaming = false;
  };
  struct Bound {
    Card* card;
    Hpa vdev;
  };

  Card* card_of(hw::PciFunction& function);
  Bound bound(hw::PciFunction& function) TEEIO_EXCLUDES(bound_lock_);
  Result<std::size_t> carry(Card& card, std::size_t bytes);
  template <class Communicate>
  Result<void> drive(Card& card, Communicate communicate);

  // connect.cc
  Result<void> connect_steps(Card& card, Bdf port);
  Result<void> drive_pdev(Card& card, rmm::PdevState wanted);
  void undo_connect(Card& card);

  // bind.cc
  Result<void> drive_vdev(const Bound& bound, Hpa rd, rmm::VdevState wanted);
  bool unlock(const Bound& bound, Hpa rd);
  void destroy_vdev(const Bound& bound, Hpa rd);

  // request.cc
  rmm::RmiResult set_state(const Bound& bound, Hpa rd, std::uint32_t state, Result<void>& driven);
  rmm::RmiResult validate(const Bound& bound, kvm::Vm& vm, Reader payload);

  kvm::RealmHost& host_;
  const std::vector<hw::RootPort*> ports_;
  std::map<Bdf, Card> cards_;  ///< by PF0; changes only under pci_tsm_rwsem (write)
  schedule::Mutex bound_lock_{schedule::Rank::kLeaf};
  std::map<Bdf, Bound> bound_ TEEIO_GUARDED_BY(bound_lock_);
};

}  // namespace teeio::tsm
