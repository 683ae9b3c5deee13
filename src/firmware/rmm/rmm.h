#pragma once

#include <map>
#include <vector>

#include "firmware/rmm/objects.h"
#include "firmware/rmm/sequence_watcher.h"
#include "hw/physical_memory.h"
#include "object/trace.h"
#include "schedule/mutex.h"

namespace teeio::rmm {

/// A slice of Arm's Realm Management Monitor: the host commands of device
/// assignment, each with the refusals of TF-RMM (runtime/rmi/{pdev,vdev,realm,
/// rtt_map,rtt_unmap}.c) in their order. README.md lists what is left out.
///
/// Every command first refuses what is no granule address or a granule of
/// another kind: INPUT. The explorer may make each that changes something RMI_BUSY
/// once ("RMI_VDEV_CREATE fails"), before anything was done; the mutex makes none so.
/// One that says "driven" takes effect when the host has
/// carried its messages with *_communicate(), whose x1 is the size of the data
/// object to carry next; 0: over, look at the state.
///
/// Lifetime: one a machine. Locking: its own mutex, for the length of a command.
class Rmm {
 public:
  /// `channels`: what sessions with devices are.
  Rmm(hw::PhysicalMemory& memory, object::Trace& trace, std::vector<hw::RootPort*> ports,
      spdm::ChannelSetup channels = {})
      : memory_(memory), trace_(trace), ports_(std::move(ports)), channels_(std::move(channels)) {}

  RmiResult granule_delegate(Hpa granule);
  RmiResult granule_undelegate(Hpa granule);  ///< INPUT unless DELEGATED

  RmiResult realm_create(Hpa rd, std::uint32_t vm);  ///< always with device assignment
  RmiResult realm_activate(Hpa rd);                  ///< REALM unless NEW
  RmiResult realm_terminate(Hpa rd);
  RmiResult realm_destroy(Hpa rd);  ///< REALM unless ZOMBIE, with no REC, mapping or VDEV

  RmiResult rec_create(Hpa rd, Hpa rec);  ///< REALM unless NEW
  RmiResult rec_destroy(Hpa rec);
  /// The realm runs on, as far as its last call goes; x1: RecExit. REALM unless ACTIVE.
  RmiResult rec_enter(Hpa rec);

  RmiResult pdev_create(Hpa pdev, const PdevParams& params);  ///< driven → READY
  RmiResult pdev_communicate(Hpa pdev, Hpa data, HostComm host);
  RmiResult pdev_get_state(Hpa pdev);  ///< x1: PdevState
  /// Both ends of stream `id`, whose association the host has set up in the end
  /// point's registers; driven. INPUT: no such port, or not READY and idle.
  RmiResult pdev_stream_connect(Hpa pdev, Bdf port, std::uint8_t id);
  RmiResult pdev_stream_disconnect(Hpa pdev);  ///< driven; DEVICE while a VDEV exists
  RmiResult pdev_abort(Hpa pdev);              ///< DEVICE when idle
  RmiResult pdev_stop(Hpa pdev);               ///< driven; DEVICE: busy, a stream or a VDEV
  RmiResult pdev_destroy(Hpa pdev);            ///< DEVICE unless STOPPED

  RmiResult vdev_create(Hpa rd, Hpa pdev, Hpa vdev, const VdevParams& params);  ///< driven
  RmiResult vdev_communicate(Hpa rd, Hpa pdev, Hpa vdev, Hpa data, HostComm host);
  RmiResult vdev_get_state(Hpa vdev);                           ///< x1: VdevState
  RmiResult vdev_lock(Hpa rd, Hpa pdev, Hpa vdev);              ///< driven; UNLOCKED → LOCKED
  RmiResult vdev_start(Hpa rd, Hpa pdev, Hpa vdev);             ///< driven; LOCKED → STARTED
  RmiResult vdev_interface_report(Hpa rd, Hpa pdev, Hpa vdev);  ///< driven
  [[nodiscard]] Bytes cached_report(Hpa vdev);                  ///< what the host cached of it
  /// 0x81. The device measures itself anew, signed with `nonce`; driven. DEVICE when busy.
  RmiResult vdev_get_measurements(Hpa rd, Hpa pdev, Hpa vdev,
                                  const std::array<std::byte, 32>& nonce);
  /// spdm::encode_evidence() of what the PDEV proved last. Empty without an authenticated session.
  [[nodiscard]] Bytes cached_evidence(Hpa pdev);
  /// GRANULE, x1 the first that is MAPPED of the VDEV's ranges. DMA is off at
  /// once, the TDI stopped when driven.
  RmiResult vdev_unlock(Hpa rd, Hpa pdev, Hpa vdev);
  RmiResult vdev_abort(Hpa rd, Hpa pdev, Hpa vdev);    ///< → ERROR; DEVICE when idle
  RmiResult vdev_destroy(Hpa rd, Hpa pdev, Hpa vdev);  ///< DEVICE unless NEW or UNLOCKED

  /// 0x3E. Tells the monitor which VDEV the realm means. INPUT: the REC has no pending
  /// request, or the VDEV is another realm's or has another id. DEVICE: it is busy.
  RmiResult vdev_complete(Hpa rec, Hpa vdev);

  /// One granule each. INPUT outside of the VDEV's ranges or not DELEGATED; RTT
  /// for an entry in use. The VDEV's state is not asked. What the realm thinks of the
  /// IPA stays as it is.
  RmiResult rtt_dev_map(Hpa rd, Hpa vdev, Gpa ipa, Hpa address);
  /// 0x13. What the realm behind `rec` has asked for becomes valid in [base, top), as far
  /// as it is mapped so and the realm has not lost it before; x1: how far that was.
  /// INPUT: an empty or unaligned range; base is not where the request stands, or top is
  /// beyond it. REC: another realm's. RTT: not even the first granule.
  RmiResult rtt_dev_validate(Hpa rd, Hpa rec, Gpa base, Gpa top);
  /// x1: the PA; 0 for an IPA that maps nothing, which is passed over. A page that the
  /// realm had validated is DESTROYED from here on: no other one takes its place.
  RmiResult rtt_dev_unmap(Hpa rd, Gpa ipa);

  /// The realm's own call 0xF: [base, top) is to be the device's memory at `pa`. It leaves
  /// the realm (RMI_EXIT_VDEV_REQUEST); the host says which VDEV is meant (VDEV_COMPLETE),
  /// and the next REC_ENTER comes back for the mapping. INPUT: unaligned or empty. The real one has
  /// the RMM's three nonces too.
  RsiResult rsi_vdev_validate_mapping(Hpa rec, std::uint64_t vdev_id, Gpa base, Gpa top, Hpa pa);
  /// How the realm's last call ended.
  [[nodiscard]] RsiResult rsi_result(Hpa rec);
  /// What RSI_VDEV_GET_INFO tells a realm of its VDEV with that id, as far as the slice
  /// needs it; nullopt: it has none.
  struct RsiVdevInfo {
    Hpa vdev;
    wire::TdispNonce nonce;
  };
  [[nodiscard]] std::optional<RsiVdevInfo> rsi_vdev_info(Hpa rd, std::uint64_t id);
  /// The realm's own call: DEVICE unless STARTED under the lock with `nonce`, and idle.
  RmiResult rsi_vdev_dma_enable(Hpa rd, Hpa vdev, const wire::TdispNonce& nonce);

  /// Granules that are not the host's, for a machine's census.
  [[nodiscard]] std::size_t granules();

 private:
  class Command;
  void set(Hpa granule, GranuleState state);
  [[nodiscard]] GranuleState state_of(Hpa granule) const;
  [[nodiscard]] object::EventFields about(Hpa object) const;
  RmiResult talk(Command& c, Pdev& pdev, Comm& comm, Hpa data, HostComm host);
  Result<Bytes> advance(Pdev& pdev, Comm& comm, Hpa data, HostComm host);
  void fact(object::Fact fact, std::string_view name, const Vdev& vdev, std::uint64_t a = 0);

  hw::PhysicalMemory& memory_;
  object::Trace& trace_;
  const std::vector<hw::RootPort*> ports_;
  const spdm::ChannelSetup channels_;
  SequenceWatcher watcher_{trace_};
  schedule::Mutex mutex_{schedule::Rank::kFirmware};
  std::map<std::uint64_t, GranuleState> granules_;  ///< all but NS
  std::map<std::uint64_t, Realm> realms_;
  std::map<std::uint64_t, Rec> recs_;
  std::map<std::uint64_t, Pdev> pdevs_;
  std::map<std::uint64_t, Vdev> vdevs_;
};

}  // namespace teeio::rmm
