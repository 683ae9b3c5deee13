#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "base/types.h"
#include "host/pci_tsm/doe.h"
#include "host/pci_tsm/driver.h"
#include "host/pci_tsm/function.h"
#include "host/pci_tsm/ide_streams.h"
#include "hw/pci_function.h"
#include "object/file.h"
#include "object/trace.h"
#include "schedule/mutex.h"

namespace teeio::tsm {

/// The PCI/TSM core: which function is connected to which TSM, and which is
/// bound to which VM. Source: Linux drivers/pci/tsm.c; the function of each
/// method is named there.
///
/// Lifetime: one a machine; functions are added before the first call and stay
/// until device_removed().
/// Locking: pci_tsm_rwsem over arrival and departure of contexts, and one lock
/// a DSM (pci_tsm_pf0->lock) over what happens to the functions of one card.
class PciTsm {
 public:
  explicit PciTsm(object::Trace& trace) : trace_(trace) {}

  /// Makes a function known (Linux: device enumeration).
  void add_function(hw::PciFunction& function) TEEIO_EXCLUDES(rwsem_);
  /// tsm_register(): gives N of tsmN.
  std::uint32_t register_tsm(Driver& driver) TEEIO_EXCLUDES(rwsem_);
  /// tsm_unregister(): disconnects every card of that TSM.
  void unregister_tsm(std::uint32_t number) TEEIO_EXCLUDES(rwsem_);
  /// pci_tsm_destroy(): the function leaves the bus.
  void device_removed(Bdf bdf) TEEIO_EXCLUDES(rwsem_);

  /// Write to tsm/connect. Errors: EINVAL unless "tsmN"; EBUSY connected
  /// already; ENXIO no such TSM, no DSM, or no mailbox with CMA to speak to it (connect_store(),
  /// pci_tsm_pf0_constructor()); the driver's.
  Result<void> connect(Bdf bdf, std::string_view text) TEEIO_EXCLUDES(rwsem_);
  /// Write to tsm/disconnect. Errors: ENXIO not connected; EINVAL another name
  /// (disconnect_store()). Unbinds every function of the card first.
  Result<void> disconnect(Bdf bdf, std::string_view text) TEEIO_EXCLUDES(rwsem_);

  /// New IDE keys for a card that is connected. No public kernel has a caller, or a place for the
  /// decision; the firmwares have the commands (TDH.IDE.STREAM.KM, RMI_PDEV_STREAM_KEY_REFRESH,
  /// TIO_ROLL_KEY). Errors: ENXIO not connected; the driver's.
  Result<void> refresh_keys(Bdf bdf) TEEIO_EXCLUDES(rwsem_);

  /// pci_tsm_bind(). Errors: EINVAL no VM or no TSM context; EBUSY bound to
  /// another VM; the driver's. Success again when bound to the same VM, also
  /// under another tdi_id. `vm_file` is only read: the caller holds it.
  Result<void> bind(Bdf bdf, object::File* vm_file, std::uint32_t tdi_id) TEEIO_EXCLUDES(rwsem_);
  /// pci_tsm_unbind(): always succeeds, also when not bound.
  void unbind(Bdf bdf) TEEIO_EXCLUDES(rwsem_);
  /// pci_tsm_guest_req(). Errors: ENXIO not bound; EINVAL another
  /// architecture; the driver's.
  GuestOutcome guest_request(Bdf bdf, const GuestRequest& request) TEEIO_EXCLUDES(rwsem_);

  /// bind() and guest_request() in one, nothing coming in between: for a guest whose
  /// request binds. What was bound before stays bound; what this call has bound is
  /// unbound again when the request is refused, as where firmware takes LOCK from the
  /// host only. Errors: those of both.
  GuestOutcome bind_and_request(Bdf bdf, object::File* vm_file, std::uint32_t tdi_id,
                                const GuestRequest& request) TEEIO_EXCLUDES(rwsem_);

  /// Who must act when `bdf` is unbound: VFIO's device, from its open to its
  /// close (nullptr). With VdeviceLifetime::kIndependent the function may be
  /// bound at either: nobody holds the host back in between, and who comes next
  /// is told.
  void set_handlers(Bdf bdf, TeardownHandlers* handlers) TEEIO_EXCLUDES(rwsem_);

  /// A program has written to the function's configuration space at `at`, past the host's
  /// drivers: tells the rules when that was the mailbox of a connected DSM, which then has two
  /// owners. Linux looks at no such write: vfio_raw_config_write() for what no capability
  /// claims, pci_write_config() of sysfs.
  void program_wrote_config(hw::PciFunction& function, std::uint16_t at) TEEIO_EXCLUDES(rwsem_);

  // Attributes of sysfs, and what reports ask.
  [[nodiscard]] bool is_pf0(Bdf bdf) const;         ///< has connect/disconnect
  [[nodiscard]] bool is_managed(Bdf bdf);           ///< has a context
  [[nodiscard]] std::string connected_to(Bdf bdf);  ///< "tsm0" or ""
  [[nodiscard]] std::string dsm_of(Bdf bdf);        ///< "0000:01:00.0" or ""
  [[nodiscard]] std::string bound_to(Bdf bdf);      ///< "tsm0" while bound, else ""
  /// What discovery named when the function was found; empty: nothing, or no mailbox.
  [[nodiscard]] std::vector<DoeFeature> doe_features(Bdf bdf);
  [[nodiscard]] std::vector<std::uint32_t> tsms();
  /// Driver::platform_device() of tsmN; "" if it is gone.
  [[nodiscard]] std::string platform_device(std::uint32_t number);
  /// The streams of all TSMs: drivers/pci/ide.c.
  [[nodiscard]] IdeStreams& streams() { return streams_; }

 private:
  /// struct pci_tsm and, for a DSM, struct pci_tsm_pf0.
  struct Context {
    std::uint32_t tsm;
    Bdf dsm;
    std::optional<Tdi> tdi;
    /// Its memory, not its life: struct pci_tdi has a bare struct kvm pointer.
    std::shared_ptr<kvm::Vm> vm = nullptr;
  };
  /// struct pci_dev, as far as this room looks at it.
  struct Function {
    hw::PciFunction* function;
    TeardownHandlers* handlers = nullptr;
    std::optional<Context> context;
    /// pdev->doe_mbs, as far as it goes here: one mailbox, and what its discovery names;
    /// nullopt: it has none that works.
    std::optional<std::vector<DoeFeature>> mailbox;
    /// pci_tsm_pf0->lock; made with the function since only PF0s use theirs.
    std::unique_ptr<schedule::Mutex> lock;
  };

  Function* find(Bdf bdf) TEEIO_REQUIRES_SHARED(rwsem_);
  /// The DSM of a function that has a context, whose lock its operations take.
  Function* dsm(Function& function) TEEIO_REQUIRES_SHARED(rwsem_);
  Driver* driver(std::uint32_t number) TEEIO_REQUIRES_SHARED(rwsem_);
  std::vector<Function*> functions_of(Bdf dsm) TEEIO_REQUIRES_SHARED(rwsem_);
  // Those that end in _locked run under the DSM's lock.
  Result<void> bind_locked(Function& function, kvm::Vm& vm, std::uint32_t tdi_id)
      TEEIO_REQUIRES_SHARED(rwsem_);
  void unbind_one(Function& function) TEEIO_REQUIRES_SHARED(rwsem_);
  void unbind_locked(Function& function) TEEIO_REQUIRES_SHARED(rwsem_);
  GuestOutcome request_locked(Function& function, const GuestRequest& request)
      TEEIO_REQUIRES_SHARED(rwsem_);
  void disconnect_locked(Function& pf0) TEEIO_REQUIRES(rwsem_);
  /// R5 when the VM went before its TDI: Linux would use freed memory here.
  void check_vm(const Context& context, Bdf bdf);

  object::Trace& trace_;
  IdeStreams streams_;
  schedule::RwMutex rwsem_{schedule::Rank::kPciTsmRwsem};
  std::map<Bdf, Function> functions_ TEEIO_GUARDED_BY(rwsem_);
  std::map<std::uint32_t, Driver*> tsms_ TEEIO_GUARDED_BY(rwsem_);
};

/// Whether the function may host a DSM: function 0 of a card, or of a switch's upstream port,
/// with IDE or TEE-I/O. Source: is_pci_tsm_pf0().
[[nodiscard]] bool is_tsm_pf0(hw::PciFunction& function);
/// PCI_EXP_DEVCAP_TEE of the function's PCI Express capability.
[[nodiscard]] bool has_tee(hw::PciFunction& function);

}  // namespace teeio::tsm
