#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/types.h"
#include "firmware/tdx/locks.h"
#include "firmware/tdx/types.h"
#include "hw/vtd/vtd_iommu.h"
#include "schedule/recorded_hash_map.h"
#include "schedule/recorded_map.h"
#include "spdm/channel.h"

namespace teeio::hw {
class RootPort;
}

namespace teeio::tdx {

// The objects of TDX Connect. Source: tdxio branch, src/common/data_structures/
// tdxio. All guarded by State::mutex; what is a recorded table is a part of its state each.

/// Numbers of the recorded tables.
enum Table : std::uint8_t {
  kPages = 1,
  kTds,
  kVcpus,
  kHkids,
  kModuleLocks,
  kIommus,
  kSessions,
  kSpdmLocks,
  kStreams,
  kDevifmtTables,
  kDevifmtSlots,
  kDevifmtLocks,
  kMmiomtTables,
  kMmiomtSlots,
  kDmar,
};

/// One bit for each sub-stream: the keys of one direction and key set.
using KeyBits = std::uint8_t;
inline constexpr KeyBits kAllSubStreams = 0b111;

/// Source: tdxio branch, ide_stream_defs.h, stream_exinfo_t.
struct IdeStream {
  /// The keys of one direction (the device's) in one key set.
  struct Keys {
    KeyBits programmed = 0;  ///< in the root port, while not all three are
    KeyBits go = 0;          ///< all three are: a K_SET_GO may be sent, once each
    bool primed = false;     ///< the root port has all three: its Ready bit
  };
  /// G3: an operation of KM that is not over, and how many messages of it are.
  struct Km {
    KmOperation operation;
    std::uint32_t done;
  };
  IdeStreamConfig config;
  std::uint32_t spdm = 0;
  std::vector<Hpa> pages;
  bool blocked = false;
  bool enabled = false;  ///< the root port's enable bit was set
  std::uint32_t devif_ref_cnt = 0;
  std::array<std::array<Keys, 2>, 2> keys;  ///< by direction and key set
  std::uint32_t sent_tx_go = 0;             ///< K_SET_GO of the device's Tx since it was enabled
  struct Outstanding {
    KmObject object;
    KmParameters parameters;
  };
  std::optional<Outstanding> outstanding;  ///< until a good answer
  std::optional<Km> km;
  std::uint8_t key_set = 0;  ///< G3: that was programmed last

  [[nodiscard]] Keys& of(const KmParameters& p) {
    return keys.at(static_cast<std::size_t>(p.direction)).at(p.key_set);
  }
};

struct SpdmSession {
  std::vector<Hpa> pages;
  bool bound = false;
  bool asked = false;   ///< CONNECT or MNG has given a request and waits for its answer
  bool ending = false;  ///< so has DISCONNECT
  bool worn = false;    ///< G3: its keys have served their time, until a KEY_UPDATE
  std::uint32_t active_stream_count = 0;
  /// What the device proved, as the host and the guest get it: evidence, or on a
  /// plain channel its VERSION answer.
  Bytes info;
  DeviceInfoHash info_hash{};                             ///< SHA-384 of info
  std::optional<std::array<std::byte, 32>> recollecting;  ///< the nonce of an MNG that is not over
  SpdmConfiguration configuration;                        ///< G3
  std::optional<SpdmOperation> operation;                 ///< G3: of an MNG that is not over
  std::unique_ptr<spdm::RequesterChannel> channel;
};

/// A request in the invalidation queue, with its wait descriptor.
struct QueueEntry {
  IqType type;
  Hpa tdr{0};       ///< kIotlb, kTd
  DmarIndex index;  ///< the others
  WaitDescriptor wait{};
  std::vector<InvalidationDescriptor> descriptors{};  ///< kTd
  bool passed = false;      ///< the IOMMU's head is behind it: PROCESS may take it
  std::uint32_t taken = 0;  ///< descriptors of it that PROCESS has taken already
};

/// G2: pages of a queue, one behind the other. Source: tdxio branch, iommu_defs.h, iq_buffer_t.
struct IommuQueue {
  Hpa base{0};
  std::uint32_t pages = 0;
};
/// G2: what SETREG has brought. Source: tdxio branch, iommu_defs.h, iommu_config_t.
struct IommuPages {
  IommuQueue queue, context;
  Hpa root_table{0};
  std::array<Hpa, 2> stream_info{};
  Hpa spdm_directory{0};
};

struct IommuState {
  IommuState(const schedule::Monitor& mutex, std::uint32_t id)
      : sessions({&mutex, kSessions, id}),
        spdm_locks({&mutex, kSpdmLocks, id}),
        streams({&mutex, kStreams, id}) {}

  hw::VtdIommu* iommu = nullptr;
  std::vector<hw::RootPort*> root_ports;
  Hpa registers{0};
  TryLock lock;  ///< configuration lock, with host priority
  bool configured = false;
  std::vector<const hw::RootPort*> ready_ports;  ///< that CONFIG_RP was for; G3: all
  IommuPages pages;                              ///< G2
  bool configuring = false, clearing = false;    ///< G2: the IOMMU takes its time
  std::uint32_t generation = 0;                  ///< clears so far
  Hpa root_table{0};
  std::uint32_t active_spdm_session_count = 0;
  schedule::RecordedMap<std::uint32_t, SpdmSession> sessions;
  schedule::RecordedMap<std::uint32_t, TryLock>
      spdm_locks;  ///< of the directory's entries, used or not
  schedule::RecordedMap<std::uint8_t, IdeStream> streams;
  std::vector<QueueEntry> queue;
};

/// The TD's own request, on its way through the host.
enum class TdRequest : std::uint8_t { kAvailable, kRequested, kGenerated, kProcessed };

/// A device interface: DEVIFCS. Source: tdxio branch, devif_defs.h.
struct Devif {
  Hpa devifcs{0}, td_buffer{0}, vmm_buffer{0};
  Hpa tdr{0};
  std::uint32_t iommu = 0;
  std::uint8_t stream = 0;
  TdiState state = TdiState::kUnlocked;
  bool valid = false;
  std::array<std::byte, 32> nonce{};
  std::uint64_t mmio_page_cnt = 0;
  bool dmar_mapped = false;
  DeviceInfoHash info_hash{};  ///< of what the device had proved when the interface was made
  /// A request waits for its answer, whoever asked. Only a good answer ends that.
  bool out_tdisp_req = false;
  /// What is left of the report under this lock: it can be read once.
  std::uint16_t report_offset = 0, report_length = 0;

  TdRequest td_request = TdRequest::kAvailable;
  Bytes td_message;  ///< the TD's buffer: its request as it asked, then the answer
};

/// A leaf entry of DEVIFMT; its lock outlives the interface in it.
struct DevifSlot {
  std::optional<Devif> devif;
  TryLock lock;
};

/// A table page of DEVIFMT. Whoever makes or removes a child passes the table, and whoever
/// removes the table changes it: to count children needs no record of its own.
struct DevifmtTable {
  Hpa page{0};
  std::uint32_t children = 0;  ///< tables, or interfaces
};

/// Functions by id. Tables are by (level, what their entries share).
struct Devifmt {
  struct Key {
    std::uint8_t level;
    std::uint32_t prefix;
    auto operator<=>(const Key&) const = default;
  };
  explicit Devifmt(const schedule::Monitor& mutex)
      : tables({&mutex, kDevifmtTables}),
        slots({&mutex, kDevifmtSlots}),
        locks({&mutex, kDevifmtLocks}) {}

  schedule::RecordedHashMap<Key, DevifmtTable> tables;
  schedule::RecordedHashMap<std::uint32_t, DevifSlot> slots;
  schedule::RecordedHashMap<Key, TryLock>
      locks;  ///< of the entry that points to a table, whether it is there
};
[[nodiscard]] constexpr std::uint64_t part_key(const Devifmt::Key& key) {
  return std::uint64_t{key.level} << 40U | key.prefix;
}
/// What the entries of one table of `level` share: the function id splits into
/// 5 (root), 9, 9 and 9 bits. Source: tdxio branch, src/common/tdxio/devifmt.c.
[[nodiscard]] constexpr Devifmt::Key devifmt_table(FunctionId function, unsigned level) {
  return {static_cast<std::uint8_t>(level),
          level == kDevifmtLevels ? 0 : static_cast<std::uint32_t>(function) >> 9U * level};
}

struct MmiomtEntry {
  FunctionId owner{0};
  bool mapped = false;
  std::uint64_t bepoch = 0;  ///< the TD's epoch of the last block
};
/// An entry of MMIOMT: DATA, or a QNODE, whose tables are found by their keys.
struct MmiomtSlot {
  TryLock lock;
  std::optional<MmiomtEntry> data;
};
/// A table page of MMIOMT, its slots recorded each by itself. Children are counted as
/// DevifmtTable's are.
struct MmiomtTable {
  static constexpr unsigned kIndexBits = 7;
  Hpa page{0};
  std::uint32_t children = 0;  ///< DATA entries and tables
  std::array<MmiomtSlot, 1U << kIndexBits> slots{};
};
struct Mmiomt {
  struct Key {
    std::uint8_t level;
    std::uint64_t prefix;
    auto operator<=>(const Key&) const = default;
  };
  explicit Mmiomt(const schedule::Monitor& mutex)
      : tables({&mutex, kMmiomtTables}), slots({&mutex, kMmiomtSlots}) {}

  schedule::RecordedHashMap<Key, MmiomtTable> tables;  ///< level 1…5
  const schedule::Recorded slots;                      ///< of all tables, and the next
  MmiomtSlot root;                                     ///< points to the root table
};

[[nodiscard]] constexpr std::uint64_t part_key(const Mmiomt::Key& key) {
  return std::uint64_t{key.level} << 44U | key.prefix;
}

struct DmarEntry {
  DmarState state = DmarState::kFree;
  InvState inv = InvState::kPending;
  Hpa where{0};             ///< of the entry's quadwords
  DmarValue value{};        ///< as the host gave it
  Hpa table{0};             ///< what it points to
  std::uint32_t pages = 0;  ///< of that table: several for a context entry's directory
  std::uint32_t done = 0;   ///< of them, when ADD or REMOVE was interrupted
  Hpa tdr{0};               ///< PASIDTE: who accepted
  std::uint32_t children = 0;
};

}  // namespace teeio::tdx
