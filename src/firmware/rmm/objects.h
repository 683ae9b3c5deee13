#pragma once

#include <map>
#include <optional>
#include <vector>

#include "firmware/rmm/application.h"
#include "firmware/rmm/attestation.h"
#include "firmware/rmm/measurement.h"
#include "firmware/rmm/rtt.h"
#include "firmware/rmm/types.h"
#include "hw/cpu.h"
#include "hw/root_port.h"
#include "hw/smmu/smmu.h"
#include "wire/tdisp_messages.h"

namespace teeio::rmm {

/// A communication of a PDEV or VDEV: what a command left to be driven.
enum class CommState : std::uint8_t { kIdle, kPending, kActive, kError };

/// What a PDEV is to be driven for. The three of a stream become kStreamComplete.
enum class PdevOp : std::uint8_t {
  kNone,
  kConnect,
  kDisconnect,
  kKeyRefresh,
  kStreamComplete,
  kStop
};

/// An end point's non-coherent stream. Source: TF-RMM runtime/include/dev.h, pdev_stream.
struct Stream {
  enum class State : std::uint8_t {
    kConnecting,
    kConnected,
    kDisconnecting,
    kDisconnected,
    kKeyRefreshing
  };
  /// Whose turn it is: the root port's first and third step, the end point's second.
  enum class Turn : std::uint8_t { kNone, kStart, kPortReady, kEndpointReady, kPortConnected };
  bool taken = false;
  State state = State::kDisconnected;
  Turn turn = Turn::kNone;
  std::uint8_t id = 0;
  Hpa root_port_pdev{0};
  hw::RootPort* port = nullptr;
  std::optional<std::size_t> block{};  ///< of the port's registers, while it has keys
  std::uint8_t key_set = 0;
};

struct Pdev {
  PdevParams params;
  Hpa at;
  PdevState state = PdevState::kNew;
  CommState comm = CommState::kPending;
  PdevOp op = PdevOp::kNone;
  std::uint32_t streams = 0;  ///< that it is an end of
  std::uint32_t vdevs = 0;
  std::map<Hpa, Hpa> mmio{};  ///< of its VDEVs, base to top; none overlap
  // An end point's.
  std::optional<Application> app{};
  Hpa app_user{0};          ///< the PDEV or VDEV whose exchange that is
  bool app_marked = false;  ///< TF-RMM's da_app_yielded, which is not always true
  Stream stream{};
  std::vector<Hpa> aux{};
  // A root port's.
  hw::RootPort* port = nullptr;
  Hpa end_point{0};  ///< whose stream is in an operation

  [[nodiscard]] bool is_root_port() const { return params.category() == PdevCategory::kRootPort; }
  [[nodiscard]] std::uint32_t max_vdevs() const { return params.rid_top - params.rid_base; }
};

enum class VdevOp : std::uint8_t { kNone, kUnlock, kLock, kStart, kMeasure, kReport };

struct Psmmu;

/// A function of a PDEV that is given to a realm.
struct Vdev {
  VdevParams params;
  Hpa at, rd, pdev;
  Bdf tdi;
  Psmmu* psmmu;
  VdevState state = VdevState::kNew;
  CommState comm = CommState::kPending;
  VdevOp op = VdevOp::kUnlock;
  bool dma = false;          ///< its stream table entry is valid
  bool tdi_stopped = false;  ///< the device has said so since the last UNLOCK
  wire::TdispNonce tdisp_nonce{};
  std::uint16_t lock_flags = 0;       ///< that the device supports
  std::array<std::byte, 32> nonce{};  ///< for the next measurements
  std::size_t report_bytes = 0;
  Nonces nonces{};
  crypto::Digest measurements{}, report{};
};

/// An SMMU's realm half: its tables of 64 entries.
struct Psmmu {
  static constexpr std::uint64_t kTableEntries = hw::smmu::kTableEntries;
  static constexpr unsigned kSidBits = 16;
  enum class State : std::uint8_t { kInactive, kBusy, kActive } state = State::kInactive;
  struct Table {
    Hpa granule{0};
    std::vector<std::uint16_t> entries{};  ///< requester IDs that have one
  };
  std::map<std::uint64_t, Table> tables{};  ///< by first stream ID
  std::vector<Hpa> memory{};                ///< level 1 (two granules), command and event queue
  hw::Smmu* hardware = nullptr;             ///< null: nothing is behind it (tests)
  std::uint32_t prod = 0;                   ///< of the command queue
};

struct Realm {
  std::uint32_t vm;  ///< its number in traces
  bool devices;      ///< device assignment
  Hpa root{0};       ///< table
  std::uint8_t vmid = 0;
  RealmState state = RealmState::kNew;
  std::uint32_t vdevs = 0;
  std::uint32_t recs = 0;
  std::uint64_t next_rec = 0;  ///< its number; one that is gone leaves a gap
  Rtt rtt;
  Measurements measurements{};
  RealmIdentity identity{};
};

/// A realm's vCPU, as far as its calls about devices go. Source: TF-RMM
/// runtime/include/rec.h.
struct Rec {
  enum class Pending : std::uint8_t { kNone, kVdevRequest, kVdevComplete, kPsciComplete };
  enum class Call : std::uint8_t { kNone, kGetInfo, kValidateMapping, kDmaEnable, kDmaDisable };
  Hpa rd;
  std::uint64_t index = 0;
  std::vector<Hpa> aux{};
  bool running = false;
  bool runnable = true;
  Pending pending = Pending::kNone;
  Call call = Call::kNone;  ///< that waits for its VDEV
  std::uint64_t vdev_id = 0;
  Hpa vdev{0};
  // The call's arguments.
  Gpa base{0}, top{0};
  Hpa pa{0};
  Nonces nonces{};
  VdevInfo info{};
  /// Up to where the realm accepts device memory, and which; base 0: nothing.
  struct DevMem {
    Gpa base{0}, top{0}, addr{0};
    Hpa pa{0};
  } dev_mem{};
  struct SetRipas {
    Gpa base{0}, top{0}, addr{0};
    Ripas wanted = Ripas::kEmpty;
    bool change_destroyed = false;
  } set_ripas{};
  RsiResult result{};
  // Of a REC whose realm's code runs.
  hw::ArmRegisters first{};      ///< with which it begins
  bool entered = false;          ///< has begun
  std::optional<Gpa> info_at;    ///< where GET_INFO's record goes
  bool call_lost = false;        ///< its number, in x0, was written over
  std::optional<Gpa> host_call;  ///< where the call's registers are
  Gpa abort_at{0};               ///< of an exit SYNC that the monitor makes itself
  /// Of the abort that the realm last left for: ESR_EL2, without ISV where the host does not
  /// see the access, and FAR_EL2. 0: for another reason. Source: rec.h, last_run_info.
  std::uint64_t abort_syndrome = 0;
  Gpa abort_address{0};
  PsciCall psci{};                           ///< the last one that left the realm
  std::size_t psci_shown = 0;                ///< registers of it that the host sees
  std::optional<std::uint64_t> psci_result;  ///< at the next entry
  struct Start {
    std::uint64_t pc = 0, context = 0;
  };
  std::optional<Start> start;  ///< CPU_ON's, at the next entry
  /// An attestation token under way: struct token_sign_cntxt and rec_attest_data.
  struct Token {
    enum class State : std::uint8_t { kNotStarted, kClaims, kSigned } state = State::kNotStarted;
    Bytes bytes{};           ///< the claims, then the token
    std::size_t copied = 0;  ///< of the token, into the realm's memory
  } token{};
};

/// A stateful operation that waits for its host. Source: TF-RMM lib/sro_context.
struct Operation {
  enum class Expected : std::uint8_t { kContinue, kDonate, kReclaim };
  /// What is done when memory has come or gone.
  enum class Stage : std::uint8_t { kDonating, kDonated, kReclaiming, kReclaimed };
  const Row* command = nullptr;  ///< null: free
  std::uint64_t about = 0;       ///< what no other operation is about
  Expected expected = Expected::kContinue;
  Stage stage = Stage::kDonating;
  bool contiguous = false;
  std::vector<std::uint64_t> wanted{};  ///< granules of each piece that is still to come
  std::vector<Hpa> memory{};            ///< the monitor's, or to be given back
  std::size_t given_back = 0;
  /// What has gone back, and its host is still to be told.
  std::vector<AddressDescriptor> untold{};
  Code result = Code::kSuccess;  ///< at the end of a reclaim
  const Check* refused_by = nullptr;
  Hpa rd{0}, params{0};  ///< REC_CREATE's
  Hpa object{0};         ///< granule that is PARTIAL
  PdevParams pdev{};
  Psmmu* psmmu = nullptr;
  std::uint64_t sid = 0;
  GranuleState kind = GranuleState::kPdevAux;  ///< of the memory
};

}  // namespace teeio::rmm
