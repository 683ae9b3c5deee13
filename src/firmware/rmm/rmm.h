#pragma once

#include <array>
#include <expected>
#include <functional>
#include <map>
#include <optional>
#include <vector>

#include "firmware/rmm/objects.h"
#include "firmware/sequence_watcher.h"
#include "hw/arm_exceptions.h"
#include "hw/physical_memory.h"
#include "object/trace.h"
#include "schedule/monitor.h"
#include "schedule/recorded_map.h"
#include "spdm/channel_setup.h"

namespace teeio::rmm {

/// What the monitor was built with and booted on.
struct Settings {
  bool device_assignment = true;
  Defects defects = Defects::kNone;
  std::uint64_t bridge = kBridge;            ///< base of the only host bridge's ECAM
  std::vector<Hpa> psmmus = {kPsmmu};        ///< bases of SMMUs
  std::vector<hw::Smmu*> smmus{};            ///< their hardware, as far as there is some
  std::vector<std::size_t> psmmu_of_port{};  ///< by port; those beyond have the first
  std::size_t operations = 10;               ///< contexts of stateful operations
  std::uint64_t rec_granules = 16;           ///< a REC's: MAX_REC_AUX_GRANULES; 0: made at once

  static constexpr std::uint64_t kBridge = 0x4000'0000;
  static constexpr Hpa kPsmmu{0x2b40'0000};
};

/// Arm's Realm Management Monitor, as far as device assignment goes: each command with
/// TF-RMM's checks in their order, each check a line of its row (rows.h), from which
/// docs/firmware/rmm.md is made. README.md says what is left out.
///
/// The explorer may make those that change something RMI_BUSY once ("RMI_VDEV_CREATE
/// fails"), before anything was done; the mutex makes none so. One that says "driven"
/// takes effect when the host has carried its messages with *_communicate(): it fills
/// the data page's CommEnter, and finds what to do next in its CommExit.
///
/// A stateful command that is INCOMPLETE has its handle in x1; `memory` says what OP_*
/// call is next, x2 how much memory (granules in bits 15:2, as RmiOpMemDonateReq).
///
/// Lifetime: one a machine. Locking: its own mutex, for the length of a command.
class Rmm {
 public:
  /// `channels`: what sessions with devices are.
  Rmm(hw::PhysicalMemory& memory, object::Trace& trace, std::vector<hw::RootPort*> ports,
      spdm::ChannelSetup channels = {}, Settings settings = {});

  // realm.cc. Ranges: [base, top), one granule a call; x1: the next.
  RmiResult granule_range_delegate(Hpa base, Hpa top);
  RmiResult granule_range_undelegate(Hpa base, Hpa top);
  struct RealmParams {
    std::uint32_t vm = 0;  ///< for traces
    Hpa rtt{0};            ///< root table
    bool devices = true;
    std::uint8_t hash = 0;  ///< a HashAlgorithm, of its measurements
    /// What a processor has; some number, for the measurement's sake.
    std::uint32_t breakpoints = 6, watchpoints = 4;
    std::array<std::byte, kPersonalisationBytes> personalisation{};
  };
  RmiResult realm_create(Hpa rd, const RealmParams& params);
  RmiResult realm_activate(Hpa rd);
  RmiResult realm_terminate(Hpa rd);
  RmiResult realm_destroy(Hpa rd);

  // pdev.cc, stream.cc
  RmiResult pdev_create(Hpa pdev, Hpa params);  ///< of PdevParams; driven
  RmiResult pdev_communicate(Hpa pdev, Hpa data);
  RmiResult pdev_get_state(Hpa pdev);               ///< x1: PdevState
  RmiResult pdev_set_pubkey(Hpa pdev, Hpa params);  ///< of PublicKeyParams; driven
  RmiResult pdev_stream_connect(Hpa params);        ///< of StreamParams; x1: handle; driven
  RmiResult pdev_stream_complete(Hpa pdev_1, Hpa pdev_2, std::uint64_t handle);
  RmiResult pdev_stream_disconnect(Hpa pdev_1, Hpa pdev_2, std::uint64_t handle);   ///< driven
  RmiResult pdev_stream_key_refresh(Hpa pdev_1, Hpa pdev_2, std::uint64_t handle);  ///< driven
  RmiResult pdev_stream_key_purge(Hpa pdev_1, Hpa pdev_2, std::uint64_t handle);
  RmiResult pdev_stop(Hpa pdev);  ///< driven
  RmiResult pdev_abort(Hpa pdev);
  RmiResult pdev_destroy(Hpa pdev);

  // vdev.cc
  RmiResult vdev_create(Hpa rd, Hpa pdev, Hpa vdev, Hpa params);  ///< of VdevParams; driven
  RmiResult vdev_communicate(Hpa rd, Hpa pdev, Hpa vdev, Hpa data);
  RmiResult vdev_get_state(Hpa vdev);                                       ///< x1: VdevState
  RmiResult vdev_lock(Hpa rd, Hpa pdev, Hpa vdev);                          ///< driven
  RmiResult vdev_start(Hpa rd, Hpa pdev, Hpa vdev);                         ///< driven
  RmiResult vdev_get_interface_report(Hpa rd, Hpa pdev, Hpa vdev);          ///< driven
  RmiResult vdev_get_measurements(Hpa rd, Hpa pdev, Hpa vdev, Hpa params);  ///< driven
  RmiResult vdev_complete(Hpa rec, Hpa vdev);
  RmiResult vdev_unlock(Hpa rd, Hpa pdev, Hpa vdev);  ///< driven; GRANULE, x1: which is mapped
  RmiResult vdev_abort(Hpa rd, Hpa pdev, Hpa vdev);
  RmiResult vdev_destroy(Hpa rd, Hpa pdev, Hpa vdev);

  // psmmu.cc
  RmiResult psmmu_activate(Hpa psmmu, Hpa params);  ///< of PsmmuParams
  RmiResult psmmu_deactivate(Hpa psmmu);
  RmiResult psmmu_st_l2_create(Hpa psmmu, std::uint64_t sid);
  RmiResult psmmu_st_l2_destroy(Hpa psmmu, std::uint64_t sid);

  // operation.cc. Lists of descriptors lie in one page of the host's.
  RmiResult op_continue(std::uint64_t handle);
  RmiResult op_mem_donate(std::uint64_t handle, Hpa list, std::uint64_t count);
  RmiResult op_mem_reclaim(std::uint64_t handle, Hpa list, std::uint64_t count);
  RmiResult op_cancel(std::uint64_t handle);

  // device_memory.cc. `addresses`: a descriptor, or the list's address.
  RmiResult rtt_dev_map(Hpa rd, Hpa vdev, Gpa base, Gpa top, AddressFlags flags,
                        std::uint64_t addresses);
  RmiResult rtt_dev_unmap(Hpa rd, Gpa base, Gpa top, AddressFlags flags,
                          std::uint64_t addresses = 0);
  RmiResult rtt_dev_validate(Hpa rd, Hpa rec, Gpa base, Gpa top);

  // data_memory.cc
  RmiResult rtt_data_map(Hpa rd, Gpa base, Gpa top, AddressFlags flags, std::uint64_t addresses);
  RmiResult rtt_data_unmap(Hpa rd, Gpa base, Gpa top, AddressFlags flags,
                           std::uint64_t addresses = 0);
  RmiResult rtt_data_map_init(Hpa rd, Hpa data, Gpa ipa, Hpa source, std::uint64_t flags);

  // shared_memory.cc: the host's memory, where the realm's address space is not protected.
  RmiResult rtt_unprot_map(Hpa rd, Gpa base, Gpa top, UnprotectedFlags flags,
                           std::uint64_t addresses);
  RmiResult rtt_unprot_unmap(Hpa rd, Gpa base, Gpa top, AddressFlags flags,
                             std::uint64_t addresses = 0);

  // tables.cc
  RmiResult rtt_create(Hpa rd, Hpa rtt, Gpa ipa, std::uint8_t level);
  RmiResult rtt_destroy(Hpa rd, Gpa ipa, std::uint8_t level);  ///< x1: the granule
  RmiResult rtt_fold(Hpa rd, Gpa ipa, std::uint8_t level);     ///< x1: the granule
  RmiResult rtt_init_ripas(Hpa rd, Gpa base, Gpa top);         ///< x1: how far
  RmiResult rtt_read_entry(Hpa rd, Gpa ipa, std::uint8_t level);
  RmiResult rtt_set_ripas(Hpa rd, Hpa rec, Gpa base, Gpa top);

  // rec.cc, rec_run.cc
  RmiResult rec_create(Hpa rd, Hpa rec, Hpa params);  ///< of RecParams, read at OP_CONTINUE
  RmiResult rec_destroy(Hpa rec);
  /// Of a REC that runs no code: completes what its calls below wait for. x1: RecExit, x2:
  /// the VDEV's id.
  RmiResult rec_enter(Hpa rec, std::uint64_t flags = 0);
  /// With the record at `run`, of one whose processor has `registers`. x1: RecExit; kRealm:
  /// the realm runs now, with the registers as they are then, and comes back by realm_call()
  /// or rec_exit(). Else the record says why it left at once. `exceptions`: who takes an
  /// injected abort; null: the access is repeated.
  RmiResult rec_enter(Hpa rec, Hpa run, hw::ArmRegisters& registers,
                      hw::ArmExceptions* exceptions = nullptr);
  /// The realm, which runs, makes an SMC. True: it goes on, with the results in `registers`.
  /// False: it has left, and the record at `run` says why.
  bool realm_call(Hpa rec, Hpa run, hw::ArmRegisters& registers);
  /// The realm, which runs, is left for another reason.
  void rec_exit(Hpa rec, Hpa run, const hw::CpuExit& why);
  /// What a realm's own access finds at a protected address. kEmpty: an abort that the realm
  /// sees; kUnmapped: one for the host.
  struct Place {
    Hpa page;
    bool device;
  };
  enum class NoPlace : std::uint8_t { kEmpty, kUnmapped };
  [[nodiscard]] std::expected<Place, NoPlace> translate(Hpa rd, Gpa ipa);
  /// For tests: the realm's code runs, and no other task enters or uses the REC.
  void set_running(Hpa rec, bool running);

  // rsi_realm.cc: the realm's own calls. kAbort: see RsiCode.
  RsiResult rsi_version(Hpa rec, std::uint64_t wanted);     ///< x1, x2: lowest, highest
  RsiResult rsi_features(Hpa rec, std::uint64_t index);     ///< x1: the register
  RsiResult rsi_realm_config(Hpa rec, Gpa ipa);             ///< a page of the realm's
  RsiResult rsi_ipa_state_get(Hpa rec, Gpa base, Gpa end);  ///< x1: up to where; x2: RIPAS
  RsiResult rsi_host_call(Hpa rec, Gpa ipa);                ///< kIncomplete: leaves the realm

  // rsi_attest.cc
  using MeasurementWords = std::array<std::uint64_t, 8>;
  RsiResult rsi_measurement_read(Hpa rec, std::uint64_t slot, MeasurementWords& words);
  RsiResult rsi_measurement_extend(Hpa rec, std::uint64_t slot, std::uint64_t size,
                                   const MeasurementWords& value);
  /// x1: the most bytes that a token has.
  RsiResult rsi_attest_token_init(Hpa rec, const MeasurementWords& challenge);
  /// The next bytes of the token, `offset` into a page of the realm's. x1: how many; kSuccess:
  /// they were the last, kIncomplete: the realm is to call again.
  RsiResult rsi_attest_token_continue(Hpa rec, Gpa page, std::uint64_t offset, std::uint64_t size);
  // psci.cc: a realm's power. `call` is x0 to x3.
  PsciResult psci(Hpa rec, const PsciCall& call);
  /// `status`: 0, or PSCI's DENIED (of CPU_ON).
  RmiResult psci_complete(Hpa calling, Hpa target, std::uint64_t status);

  /// By which a relying party checks the platform's half of a token.
  [[nodiscard]] crypto::PublicKey platform_key();

  // rsi.cc: those about devices. kIncomplete: the call leaves the realm, the host has
  // to name the VDEV (VDEV_COMPLETE), and REC_ENTER completes it: rsi_result().
  RsiResult rsi_vdev_get_info(Hpa rec, std::uint64_t vdev_id, std::uint64_t address);
  struct Mapping {
    std::uint64_t vdev_id = 0;
    Gpa base{0}, top{0};
    Hpa pa{0};
    Nonces nonces{};
  };
  RsiResult rsi_vdev_validate_mapping(Hpa rec, const Mapping& mapping);
  RsiResult rsi_vdev_dma_enable(Hpa rec, std::uint64_t vdev_id, const Nonces& nonces);
  RsiResult rsi_vdev_dma_disable(Hpa rec, std::uint64_t vdev_id);
  /// `ripas`: 0 EMPTY, 1 RAM.
  RsiResult rsi_ipa_state_set(Hpa rec, Gpa base, Gpa top, std::uint64_t ripas,
                              bool change_destroyed);
  [[nodiscard]] RsiResult rsi_result(Hpa rec);  ///< how the realm's last call ended
  [[nodiscard]] VdevInfo rsi_info(Hpa rec);     ///< what RSI_VDEV_GET_INFO gave

  /// Granules that are not the host's, for a machine's census.
  [[nodiscard]] std::size_t granules();
  /// An assertion of TF-RMM's stopped it (Defects::kAs9a7f8ef4): nothing works any more.
  [[nodiscard]] bool panicked();

 private:
  class Command;
  void set(Hpa granule, GranuleState state);
  [[nodiscard]] GranuleState state_of(Hpa granule) const;
  [[nodiscard]] bool is_hosts(Hpa granule) const;
  [[nodiscard]] object::EventFields about(Hpa object) const;
  void fact(object::Fact fact, std::string_view name, const Vdev& vdev, std::uint64_t a = 0);
  /// An assertion of the source fails: with its defects the monitor is gone, which is
  /// reported; without them the caller goes on. Gives whether it is gone.
  bool panic(std::string_view assertion, Bdf function);
  [[nodiscard]] bool defective() const { return settings_.defects == Defects::kAs9a7f8ef4; }

  // communicate.cc
  std::optional<CommEnter> enter(Command& c, CommState comm, CommState pdevs, Hpa data);
  RmiResult drive_pdev(Command& c, Pdev& pdev, const CommEnter& enter, Hpa data);
  RmiResult drive_vdev(Command& c, Pdev& pdev, Vdev& vdev, const CommEnter& enter, Hpa data);
  Application::Step step_end_point(Pdev& pdev, const CommEnter& enter);
  Application::Step step_stream(Pdev& pdev, const CommEnter& enter);
  Application::Step step_root_port(Pdev& pdev);
  Application::Step step_application(Pdev& pdev, Hpa user, Job job, const CommEnter& enter);
  void pdev_driven(Pdev& pdev);
  void vdev_driven(Vdev& vdev);
  Code leave(CommState& comm, Application::Step& step, Hpa data);

  // stream.cc
  struct Ends {
    Pdev* end_point = nullptr;
    Pdev* port = nullptr;
  };
  Job connect_job(Pdev& pdev);
  Job refresh_job(Pdev& pdev);
  Job disconnect_job(Pdev& pdev);
  void begin_stream(const Ends& ends, PdevOp op);
  void abandon_stream(Pdev& pdev);

  // tdisp.cc
  Job job_of(Vdev& vdev, Pdev& pdev);

  // operation.cc
  /// `about`: the granule or stream table that the operation is about.
  Operation* reserve(Command& c, std::uint64_t about);
  void release(Operation& operation);
  void touch_contexts() const;
  RmiResult ask_for(Operation& operation);
  RmiResult give_back(Operation& operation, Code result);
  RmiResult donation_failed(Operation& operation);
  RmiResult incomplete(const Operation& operation, MemoryRequest memory);
  [[nodiscard]] std::uint64_t handle_of(const Operation& operation) const;
  Operation* waiting(Command& c, std::uint64_t handle);
  Code created(Operation& operation);
  RmiResult finish(Operation& operation);
  void release(Operation& operation, std::uint64_t room);
  void reclaimed(Operation& operation);

  // mapping.cc
  /// What of a realm's is mapped or unmapped.
  enum class Memory : std::uint8_t { kData, kDevice, kShared };
  struct MapRange {
    Realm* realm;
    Gpa base, top;
    Memory memory;
    std::uint8_t level = 0;
    std::vector<AddressDescriptor> list{};
  };
  struct UnmapInto {
    AddressFlags flags;
    std::uint64_t addresses;
    Memory memory;
  };
  std::optional<std::vector<AddressDescriptor>> descriptors(Command& c, AddressFlags flags,
                                                            std::uint64_t addresses);
  std::optional<MapRange> map_range(Command& c, Hpa rd, Gpa base, Gpa top, AddressFlags flags,
                                    std::uint64_t addresses, Memory memory);
  RmiResult map_blocks(Command& c, const MapRange& range,
                       const std::function<std::string_view(Gpa, Hpa)>& map_one);
  RmiResult unmap_range(Command& c, Hpa rd, Gpa base, Gpa top, const UnmapInto& into);
  [[nodiscard]] std::string_view unmap_fault(Gpa base, Gpa top, const UnmapInto& into) const;
  [[nodiscard]] static Memory memory_of(const Rtt::Entry& entry);

  // device_memory.cc, data_memory.cc, shared_memory.cc
  std::string_view map_shared(Realm& realm, Gpa ipa, Hpa block, std::uint8_t level,
                              UnprotectedFlags flags);
  std::string_view map_block(Realm& realm, const Vdev& vdev, Gpa ipa, Hpa block,
                             std::uint8_t level);
  std::string_view map_data(Realm& realm, Gpa ipa, Hpa block, std::uint8_t level);
  void unmap_entry(Realm& realm, Gpa ipa, std::uint8_t level);
  /// Read, and not changed: orders of who reads are one.
  [[nodiscard]] const Realm& realm_of(const Rec& rec) const { return realms_.at(raw(rec.rd)); }
  [[nodiscard]] bool takes_devices(const Rec& rec) const { return realm_of(rec).devices; }
  [[nodiscard]] static std::expected<Place, NoPlace> place_of(const Realm& realm, Gpa ipa);
  [[nodiscard]] std::optional<Hpa> realm_ram(Hpa rd, Gpa ipa) const;
  bool write_realm(Hpa rd, Gpa ipa, ByteView bytes);

  // rec.cc, rec_run.cc
  RecExit resume(Rec& rec, std::uint64_t flags, hw::ArmRegisters* registers);
  bool complete_host_call(Rec& rec, const RecEnter& entered, hw::ArmRegisters& registers);
  void write_exit(const Rec& rec, Hpa run, RecExit reason);
  /// Where a walk of the realm's tables ends.
  std::uint8_t level_of(const Rec& rec, Gpa ipa) const;
  bool power_call(Hpa at, Hpa run, hw::ArmRegisters& registers, std::uint64_t number);
  void tell(HashAlgorithm algorithm, const MeasurementWords& words,
            std::array<std::uint64_t, 31>& x) const;

  // rsi.cc
  class RsiCall;
  Rec& calling(Hpa rec);
  std::expected<Hpa, RsiResult> ram_of_call(RsiCall& call, const Rec& rec, Gpa ipa);
  RsiResult request(Rec& rec, Rec::Call call, std::uint64_t vdev_id);
  RecExit complete_request(Rec& rec);
  RsiResult finish_get_info(RsiCall& call, Rec& rec);
  RsiResult finish_validate_mapping(RsiCall& call, Rec& rec);
  RsiResult finish_dma_enable(RsiCall& call, Rec& rec);
  RsiResult finish_dma_disable(RsiCall& call, Rec& rec);

  // psci.cc
  PsciResult refused(RsiCall& call, std::string_view id);
  PsciResult ask_host(Rec& rec, const PsciCall& call);
  PsciResult tell_host(Rec& rec, const PsciCall& call);
  PsciResult psci_cpu_on(Rec& rec, const PsciCall& call);
  PsciResult psci_affinity_info(Rec& rec, const PsciCall& call);
  PsciResult psci_system(Rec& rec, const PsciCall& call, const Row& row);
  std::uint64_t turn_on(Rec& target, const PsciCall& call, bool denied);

  // rsi_attest.cc
  const Attestation& attestation();

  // rec.cc, pdev.cc, psmmu.cc: the last part of stateful commands
  const Check* rec_created(Operation& operation);
  Code pdev_created(Operation& operation);
  Code psmmu_activated(Operation& operation);
  Code table_created(Operation& operation);
  [[nodiscard]] Psmmu* psmmu_of(Bdf tdi);
  void send(Psmmu& psmmu, const hw::smmu::Command& command);
  void set_dma(Vdev& vdev, bool on);
  void write_ste(const Vdev& vdev, const std::array<std::uint64_t, 4>& words);
  void release_ste(const Vdev& vdev);
  void invalidate(const Realm& realm, std::optional<Gpa> page = std::nullopt);

  hw::PhysicalMemory& memory_;
  object::Trace& trace_;
  const std::vector<hw::RootPort*> ports_;
  const spdm::ChannelSetup channels_;
  const Settings settings_;
  firmware::SequenceWatcher watcher_{trace_};
  /// Numbers of the recorded tables, and of what else is a part of the state.
  enum Table : std::uint8_t {
    kGranules = 1,
    kRealms,
    kRecs,
    kPdevs,
    kVdevs,
    kOperations,
    kContexts,  ///< which of operations_ are free
    kPsmmus,    ///< which are active
    kStreamTables,
    kPanicked,
    kAttestation,
    kRealmsMade,
  };
  void touch(Table part, schedule::Touch::How how) const {
    mutex_.touch(schedule::part(part), how);
  }
  using How = schedule::Touch::How;

  schedule::Monitor mutex_{schedule::Rank::kFirmware};
  bool panicked_ = false;
  std::optional<Attestation> attestation_;  ///< made at the first token
  std::uint64_t realms_made_ = 0;
  schedule::RecordedMap<std::uint64_t, GranuleState> granules_{{&mutex_, kGranules}};  ///< not NS
  schedule::RecordedMap<std::uint64_t, Realm> realms_{{&mutex_, kRealms}};
  schedule::RecordedMap<std::uint64_t, Rec> recs_{{&mutex_, kRecs}};
  schedule::RecordedMap<std::uint64_t, Pdev> pdevs_{{&mutex_, kPdevs}};
  schedule::RecordedMap<std::uint64_t, Vdev> vdevs_{{&mutex_, kVdevs}};
  std::map<std::uint64_t, Psmmu> psmmus_;  ///< the same parts for all; VDEVs point to them
  std::vector<Operation> operations_;      ///< each a part by what it is about
};

}  // namespace teeio::rmm
