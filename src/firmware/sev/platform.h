#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "firmware/sev/chip.h"
#include "firmware/sev/rmp.h"
#include "firmware/sev/rows.h"
#include "hw/physical_memory.h"
#include "object/trace.h"
#include "schedule/monitor.h"
#include "schedule/recorded_map.h"

namespace teeio::sev {

/// What an ID block has made a guest's reports say; zeros without one.
struct GuestIdentity {
  std::array<std::byte, 16> family_id{}, image_id{};
  std::uint32_t svn = 0;
  std::array<std::byte, 48> id_key_digest{}, author_key_digest{};
  bool author_key_enabled = false;
};

/// A guest as the firmware knows it: what lies in its context page.
/// Source: SEV-SNP firmware ABI (56860), 4.6, "Guest context".
struct GuestContext {
  static constexpr std::size_t kMessageKeys = 4;
  enum class State : std::uint8_t { kInit = 0, kLaunch = 1, kRunning = 2 };  ///< GSTATE_*
  Hpa page{0};
  std::uint32_t vm = 0;  ///< its number in traces
  State state = State::kInit;
  std::uint64_t policy = 0;
  Asid asid = 0;                                               ///< 0: not activated
  std::array<std::byte, 48> digest{};                          ///< of the launch
  std::array<std::byte, 32> host_data{};                       ///< of LAUNCH_FINISH
  std::array<std::byte, 32> report_id{};                       ///< in attestation reports
  std::optional<std::array<std::byte, 32>> agent_report_id{};  ///< the migration agent's
  GuestIdentity identity{};                                    ///< of LAUNCH_FINISH
  bool vcek_disabled = false;               ///< of LAUNCH_FINISH: no report is signed by the VCEK
  std::uint64_t launch_tcb = 0;             ///< the current TCB version at LAUNCH_START
  std::array<std::byte, 16> workarounds{};  ///< GOSVW of LAUNCH_START, for the secrets page
  /// Keys of guest messages, one a VMPL, which the guest finds in its secrets page.
  std::array<std::array<std::byte, 32>, kMessageKeys> message_keys{};
  /// The last sequence number that was used with each of them.
  std::array<std::uint64_t, kMessageKeys> sequence{};
  std::uint32_t bound_tdis = 0;
};

class Call;
class Platform;

/// A row of the mailbox: which command has this number.
struct MailboxCommand {
  std::uint16_t number;
  std::string_view name;   ///< literal, in traces: "TIO_DEV_CREATE"
  std::string_view fails;  ///< literal, what the explorer calls it; empty: it never fails so
  std::uint32_t length;    ///< bytes of its buffer
  /// Whether the buffer begins with its length, a u32 that must be `length`: SEV-TIO's do.
  bool says_length;
  std::function<Status(Call&)> run;
  /// What its arrow is about, from the buffer without its length; may be empty.
  std::function<object::EventFields(Reader)> about = {};
  std::span<const Check> checks = {};  ///< by which Call::refuse() finds status and reason
  /// Whether all that it touches is recorded (schedule/monitor.h); others touch everything.
  [[nodiscard]] bool by_parts() const;
};

/// Numbers of the recorded tables, and of what else is a part of the firmware's state.
enum Part : std::uint8_t {
  kGuests = 1,
  kDevices,
  kTdis,
  kRmpPages,
  kRmpRegions,
  kRmpKeys,   ///< by ASID
  kRmpCount,  ///< of entries
  kDirtyAsids,
};

/// The secure processor and its SEV-SNP firmware: the mailbox, initialisation, pages, the
/// chip's identity, and guests' contexts. Launch and SEV-TIO are classes of their own that add rows
/// to the mailbox.
///
/// A command works on a buffer in memory, checks in its order, and answers with a status.
/// The explorer may make one that changes something end with RESOURCE_LIMIT before anything
/// was done (model's choice); --inject likewise, or with INVALID_PARAM.
///
/// Lifetime: one a machine. Locking: its mutex, for the length of a command: the PSP runs
/// one at a time (Linux: sev_cmd_mutex).
class Platform {
 public:
  struct Options {
    bool tio = true;  ///< SNP_FEATURE_INFO, EBX bit 1
  };
  Platform(hw::PhysicalMemory& memory, object::Trace& trace, Rmp& rmp, Options options);

  /// Runs a command. INVALID_COMMAND: no row has that number. INVALID_ADDRESS: the buffer is
  /// not readable. INCORRECT_BUFFER_LENGTH: it says another length than its row.
  Status command(std::uint16_t number, Hpa buffer) TEEIO_EXCLUDES(mutex_);

  [[nodiscard]] Rmp& rmp() { return rmp_; }
  [[nodiscard]] hw::PhysicalMemory& memory() { return memory_; }
  [[nodiscard]] object::Trace& trace() { return trace_; }
  /// Names of those that --inject may make busy or refuse: what changes something.
  [[nodiscard]] std::vector<std::string_view> commands_that_may_fail() const;
  /// SNP_FEATURE_INFO's EBX.
  [[nodiscard]] std::uint32_t feature_ebx() const;
  /// Says to traces which VM a context page is of. Not a command: the real one is not told.
  void name_guest(Hpa gctx, std::uint32_t vm) TEEIO_EXCLUDES(mutex_);
  /// What a context page holds: for whoever plays a guest that runs no code. Not a command.
  [[nodiscard]] std::optional<GuestContext> look(Hpa gctx) TEEIO_EXCLUDES(mutex_);
  /// Runs `what` while no command runs, and gives its answer.
  template <class What>
  auto between_commands(What what) TEEIO_EXCLUDES(mutex_) {
    const schedule::Section lock(mutex_);
    return what();
  }
  /// Context pages of guests, for a machine's census.
  [[nodiscard]] std::size_t guest_count() TEEIO_EXCLUDES(mutex_);

  // For the classes that add commands; what takes a lock says so, the rest runs in one.
  void add(MailboxCommand row);  ///< precondition: the number is free; before any command
  void add(const Row& row, std::function<Status(Call&)> run);  ///< as add()
  [[nodiscard]] Chip& chip() { return chip_; }
  [[nodiscard]] bool snp() const { return snp_; }  ///< SNP_INIT_EX was done
  [[nodiscard]] bool tio() const { return tio_; }  ///< with tio_en
  /// The guest whose context page this is; nullptr: it is none.
  [[nodiscard]] GuestContext* guest(Hpa gctx);
  /// Precondition: the page is in state Firmware; it becomes a context page.
  GuestContext& make_guest(Hpa gctx);
  /// The page is in state Firmware again; the guest is forgotten.
  void remove_guest(Hpa gctx);
  [[nodiscard]] GuestContext* guest_of(Asid asid);  ///< that has it activated
  /// A page of the host's that the firmware reads, or one of the firmware's that it writes
  /// (state Firmware). Errors: EFAULT.
  Result<Bytes> read_page(Hpa address, std::size_t size_bytes);
  Result<void> write_page(Hpa address, ByteView bytes);
  /// Whether that many bytes do not end in their page.
  [[nodiscard]] static bool crosses(Hpa address, std::size_t size_bytes);
  /// A page that takes a command's answer: there, and the firmware's or, before SNP, the
  /// host's. Refused with the rows' "address", "page" and "size"; nullopt: it is good.
  std::optional<Status> refuse_answer_page(Call& call, Hpa page, std::size_t size_bytes);
  /// ASIDs that guests have given up, and nobody flushed since.
  [[nodiscard]] std::set<Asid>& dirty_asids() {
    mutex_.touch(schedule::part(kDirtyAsids), schedule::Touch::How::kWrite);
    return dirty_;
  }
  /// Whose parts the tables of the classes that add commands are.
  [[nodiscard]] const schedule::Monitor& monitor() const { return mutex_; }
  /// Runs when SNP_SHUTDOWN_EX has ended SNP.
  void on_shutdown(std::function<void()> then) { shutdown_ = std::move(then); }

 private:
  friend class Call;
  // platform_commands.cc
  void add_commands();
  Status perform(const MailboxCommand& row, Hpa buffer) TEEIO_REQUIRES(mutex_);
  Status platform_status(Call& call);
  Status get_id(Call& call);
  Status snp_platform_status(Call& call);
  Status df_flush(Call& call);
  Status snp_init(Call& call);
  Status snp_shutdown(Call& call);
  Status page_reclaim(Call& call);
  Status config(Call& call);
  Status vlek_load(Call& call);
  Status feature_info(Call& call);
  std::optional<Status> refuse_own_buffer(Call& call);

  hw::PhysicalMemory& memory_;
  object::Trace& trace_;
  Rmp& rmp_;
  const Options options_;
  std::map<std::uint16_t, MailboxCommand> commands_;
  schedule::Monitor mutex_{schedule::Rank::kFirmware};
  bool snp_ = false;
  bool tio_ = false;
  schedule::RecordedMap<std::uint64_t, GuestContext> guests_{{&mutex_, kGuests}};
  std::set<Asid> dirty_;
  Chip chip_;
  std::function<void()> shutdown_;
};

/// A command in progress: its arrow, its buffer, and how it is refused.
class Call {
 public:
  Call(Platform& platform, const MailboxCommand& row, Hpa buffer, object::EventFields fields)
      : platform_(platform),
        row_(row),
        buffer_(buffer),
        call_(platform.trace_.call(object::Lane::kFirmware, row.name, std::move(fields))) {}
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;

  /// Fields after the length, if the buffer has one.
  [[nodiscard]] Reader body() const { return Reader(body_); }
  [[nodiscard]] Hpa buffer() const { return buffer_; }
  /// By the check of the command's row. Precondition: the row has it.
  Status refuse(std::string_view id);
  Status refuse(Status status, std::string_view why) {
    call_.refuse(status_name(status), why);
    return status;
  }
  /// Neither success nor refusal: more is to be done (SPDM_REQUEST).
  Status outcome(Status status) {
    call_.outcome(std::string(status_name(status)));
    return status;
  }

 private:
  friend class Platform;
  Platform& platform_;
  const MailboxCommand& row_;
  const Hpa buffer_;
  object::Trace::Call call_;
  Bytes body_;
};

/// Numbers of the commands that Platform itself has. Source: Linux include/linux/psp-sev.h.
inline constexpr std::uint16_t kPlatformStatus = 0x004;
inline constexpr std::uint16_t kGetId = 0x00c;
inline constexpr std::uint16_t kSnpPlatformStatus = 0x083;
inline constexpr std::uint16_t kSnpDfFlush = 0x084;
inline constexpr std::uint16_t kSnpInitEx = 0x085;
inline constexpr std::uint16_t kSnpShutdownEx = 0x086;
inline constexpr std::uint16_t kSnpPageReclaim = 0x0c7;
inline constexpr std::uint16_t kSnpConfig = 0x0c9;
inline constexpr std::uint16_t kSnpCommit = 0x0cb;
inline constexpr std::uint16_t kSnpVlekLoad = 0x0cd;
inline constexpr std::uint16_t kSnpFeatureInfo = 0x0ce;

inline constexpr std::uint16_t kAbiVersion = 0x0137;  ///< 1.55, of SEV and of SNP

/// Bits of SNP_INIT_EX's first word, and of SNP_FEATURE_INFO's EBX.
inline constexpr std::uint32_t kInitRmp = 1U << 0U;
inline constexpr std::uint32_t kInitList = 1U << 1U;
inline constexpr std::uint32_t kInitTioEnable = 1U << 4U;
inline constexpr std::uint32_t kFeatureTio = 1U << 1U;

}  // namespace teeio::sev
