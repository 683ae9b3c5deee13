#pragma once

#include <map>
#include <vector>

#include "host/kvm/rmm/realm_host.h"
#include "host/pci_tsm/cards.h"
#include "host/pci_tsm/driver.h"

namespace teeio::tsm {

/// How far bind goes. The posted series of the driver differ.
enum class CcaBind : std::uint8_t {
  kLocked,    ///< RFC v4 (2026-04-27): VDEV_LOCK at bind, and the guest asks for RUN alone
  kUnlocked,  ///< iommufd v7 (2026-10-08): the guest asks for LOCK, RUN and UNLOCK
};

/// The SMMU that a root port's functions are behind.
struct CcaPort {
  hw::RootPort* port;
  Hpa psmmu;
};

/// Arm CCA's TSM driver (Linux series: drivers/virt/coco/arm-cca-host).
///
/// connect: the stream's registers at both ends, PDEV_CREATE with the memory that it asks
/// for, the device's key out of its certificates, the root port's PDEV (shared by its
/// cards), the stream with both ends driven in turns. bind: VDEV_CREATE, and VDEV_LOCK as
/// CcaBind says. unbind: KVM's MMIO out, VDEV_UNLOCK (trusted DMA off, then the device is
/// stopped), VDEV_DESTROY: the opposite of TDX's order, since the monitor refuses to
/// unlock while a granule is mapped.
///
/// Guest requests: SET_TDI_STATE (u32 state); VALIDATE_MMIO (u64 IPA base, u64
/// IPA top, u64 PA of the base), for what the realm itself asked the monitor; READ_OBJECT answers
/// the interface report or a part of the device's evidence; REGEN_OBJECT (32-byte nonce) has that
/// measured anew; OBJECT_INFO answers a u32 state. tsm_code is the monitor's result code.
///
/// Lifetime: one a machine. Locking: a leaf lock over what is bound; objects of a card
/// under its DSM's lock.
class CcaDriver final : public Driver {
 public:
  CcaDriver(kvm::RealmHost& host, std::vector<CcaPort> ports, CcaBind how = CcaBind::kUnlocked)
      : host_(host), ports_(std::move(ports)), how_(how) {}

  [[nodiscard]] std::string_view name() const override { return "cca"; }
  /// RMI_DEV_NAME of the posted series; A. Kumar K.V shows it as a platform device.
  [[nodiscard]] std::string_view platform_device() const override { return "platform/arm-rmi-dev"; }
  [[nodiscard]] TvmArch arch() const override { return TvmArch::kCca; }

  Result<void> connect(hw::PciFunction& pf0) override;
  void disconnect(hw::PciFunction& pf0) override;
  Result<void> refresh_keys(hw::PciFunction& pf0) override;
  Result<void> bind(hw::PciFunction& function, const Tdi& tdi, kvm::Vm& vm) override;
  void unbind(hw::PciFunction& function, const Tdi& tdi, kvm::Vm& vm,
              TeardownHandlers& handlers) override;
  GuestOutcome guest_request(hw::PciFunction& function, const Tdi& tdi, kvm::Vm& vm,
                             const GuestRequest& request) override;

 private:
  /// What the monitor has the host keep, by CommExit::Object.
  using Objects = std::array<Bytes, 4>;
  /// The pages of communications: the record of each step, and the messages.
  struct Pages {
    Hpa data{0}, request{0}, response{0}, params{0};
  };
  /// A connected card, with how far that got.
  struct Card {
    hw::PciFunction* pf0;
    CcaPort port;
    std::uint8_t stream = 0;
    IdeStream* ide = nullptr;
    Pages pages{};
    Hpa pdev{0};
    std::uint64_t handle = 0;  ///< of the stream
    bool created = false;
    bool table = false;
    bool port_used = false;
    bool streaming = false;
    Objects objects{};  ///< of the card
    std::map<Bdf, Objects> of_function{};
  };
  /// A root port's PDEV and how many cards use it.
  struct PortPdev {
    Hpa pdev{0};
    unsigned users = 0;
  };
  struct Bound {
    Card* card;
    Hpa vdev;
  };
  /// Where a communication stops.
  enum class Driven : std::uint8_t { kOver, kStreamWait };

  // drive.cc
  Result<void> alloc_pages(Pages& pages);
  void free_pages(const Pages& pages);
  Result<std::size_t> carry(Card& card, const rmm::CommExit& step);
  Result<void> keep(Card& card, const rmm::CommExit& step, Objects& into);
  template <class Communicate>
  Result<Driven> drive(Card& card, Objects& into, Communicate communicate);
  Result<Driven> drive_pdev(Card& card);
  Result<void> drive_port(Card& card, Hpa pdev);
  Result<void> drive_vdev(const Bound& bound, Bdf function, Hpa rd, rmm::VdevState wanted);

  // connect.cc
  Result<void> connect_steps(Card& card);
  Result<void> create_pdev(Card& card);
  Result<void> name_key(Card& card);
  Result<void> pdev_ready(Card& card, rmm::PdevState wanted);
  void undo_connect(Card& card);

  // stream.cc
  Result<void> take_stream(Card& card);
  void give_stream(Card& card);
  Result<void> use_port(Card& card);
  void drop_port(Card& card);
  Result<void> connect_stream(Card& card);
  Result<void> drive_stream(Card& card);
  void disconnect_stream(Card& card);

  // bind.cc
  Result<void> use_table(const Card& card, Bdf function);
  void drop_table(const Card& card, Bdf function);
  Result<Hpa> create_vdev(Card& card, hw::PciFunction& function, Hpa rd);
  Result<void> bind_steps(hw::PciFunction& function, const Bound& bound, Hpa rd);
  bool unlock(const Bound& bound, Bdf function, Hpa rd);
  void destroy_vdev(const Bound& bound, Bdf function, Hpa rd);

  // request.cc
  rmm::RmiResult set_state(const Bound& bound, Bdf function, Hpa rd, std::uint32_t state,
                           Result<void>& driven);
  rmm::RmiResult validate(const Bound& bound, kvm::Vm& vm, Reader payload, Result<void>& mapped);
  rmm::RmiResult measure(const Bound& bound, Bdf function, Hpa rd, ByteView nonce,
                         Result<void>& driven);
  rmm::RmiResult read_report(const Bound& bound, Bdf function, Hpa rd, Result<void>& driven);

  kvm::RealmHost& host_;
  const std::vector<CcaPort> ports_;
  const CcaBind how_;
  Cards<Card> cards_;
  std::map<Bdf, PortPdev> port_pdevs_;  ///< by root port; changes as cards do
  BoundFunctions<Bound> bound_;
};

}  // namespace teeio::tsm
