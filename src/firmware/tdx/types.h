#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "base/types.h"
#include "firmware/tdx/status.h"

namespace teeio::tdx {

// What the leaves take and give. Numbers and bit positions are those of the
// registers they travel in. Source: intel/tdx-module, tdxio branch.

/// A function as TDISP and DEVIFMT name it: 15:0 requester ID, 23:16 segment,
/// 24 segment valid. The host leaves refuse anything but a bare requester ID.
enum class FunctionId : std::uint32_t {};
[[nodiscard]] constexpr FunctionId function_id(Bdf bdf) { return FunctionId{bdf.rid()}; }
[[nodiscard]] constexpr Bdf bdf_of(FunctionId id) {
  return Bdf::from_rid(static_cast<std::uint16_t>(static_cast<std::uint32_t>(id) & 0xffffU));
}

/// Which S-EPT (or MMIOMT data) entry: one that maps 4 KiB, 2 MiB, 1 GiB or
/// 512 GiB; table pages hang below entries of level 1–3.
enum class Level : std::uint8_t { k4K = 0, k2M = 1, k1G = 2, k512G = 3 };
[[nodiscard]] constexpr std::uint64_t level_bytes(Level level) {
  return std::uint64_t{1} << (12U + 9U * static_cast<unsigned>(level));
}

/// GPAs with this bit go through the shared tables and are none of the module's
/// business (GPAW = 0: 48-bit guest addresses, four levels).
inline constexpr std::uint64_t kSharedGpaBit = std::uint64_t{1} << 47U;

inline constexpr std::uint32_t kTdcsPages = 4;    ///< MNG.ADDCX calls before MNG.INIT
inline constexpr std::uint32_t kTdvpsPages = 5;   ///< VP.ADDCX calls before VP.INIT
inline constexpr std::uint32_t kMaxIommus = 128;  ///< ids below; hiop 3:0, socket 7:4
inline constexpr std::uint32_t kMaxSpdm = 256;    ///< sessions an IOMMU
/// Descriptors of 32 bytes in an invalidation queue of one page, of which one stays free.
/// Source: tdxio branch, iommu.c, configure_iommu().
inline constexpr std::uint32_t kQueueDescriptors = 127;
inline constexpr std::uint32_t kIommuPages = 2;     ///< G3: trusted root table, invalidation queue
inline constexpr unsigned kDevifmtLevels = 4;       ///< table levels, root = 4
inline constexpr unsigned kMmiomtLevels = 5;        ///< table levels, root = 5
inline constexpr std::size_t kDeviceInfoHash = 48;  ///< bytes
/// Bytes of a TDISP message that fit a message page with its envelopes, and what the
/// module asks of a report at first. Source: tdxio branch, TDISP_PAYLOAD_MAX_SIZE.
inline constexpr std::uint16_t kMaxTdispMessage = 4049;

struct Check;

/// The public generations of TDX Connect's API. Source of G2: intel/tdx-module, tdxio branch,
/// 2023; of G3: the posted Linux host driver, "[PATCH v1 00/26] TDX Connect" (2025-11).
enum class Api : std::uint8_t { kG2, kG3 };

/// G2: what SETREG and GETREG name in RDX: pages of the IOMMU's, and what is done with it.
/// Source: tdxio branch, iommu_defs.h, iommu_register_id_e.
enum class IommuRegister : std::uint32_t {
  kId = 0x8000'0001,
  kState = 0x8000'0002,
  kQueue = 0x8000'0003,
  kQueueContext = 0x8000'0004,
  kRootTable = 0x8000'0005,
  kStreamInfo0 = 0x8000'0006,
  kStreamInfo1 = 0x8000'0007,
  kSpdmDirectory = 0x8000'0008,
  kConfigIommu = 0x8000'0009,
  kClearIommu = 0x8000'000a,
  kConfigRootPort = 0x8000'000b,
  kClearRootPort = 0x8000'000c,
};
/// Those that want a page before CONFIG_IOMMU.
inline constexpr std::array kIommuPageRegisters{
    IommuRegister::kQueue,       IommuRegister::kQueueContext, IommuRegister::kRootTable,
    IommuRegister::kStreamInfo0, IommuRegister::kStreamInfo1,  IommuRegister::kSpdmDirectory};

/// HPA_ARRAY_T: a page, or a page with the addresses of several: 51:12 address, 63:55 how
/// many, less one. Source: posted Linux, tdx.c, hpa_array_t_assign_raw().
class HpaArray {
 public:
  constexpr explicit HpaArray(std::uint64_t value) : raw_(value) {}
  constexpr HpaArray(Hpa page, std::size_t count)
      : raw_(teeio::raw(page) | static_cast<std::uint64_t>(count - 1) << kCountShift) {}

  [[nodiscard]] constexpr Hpa page() const { return Hpa{raw_ & 0x000f'ffff'ffff'ffffU}; }
  [[nodiscard]] constexpr std::size_t count() const { return (raw_ >> kCountShift) + 1; }
  [[nodiscard]] constexpr std::uint64_t raw() const { return raw_; }

 private:
  static constexpr unsigned kCountShift = 55;
  std::uint64_t raw_;
};

// G3: pages that the module wants, as it tells in its metadata. The numbers are this model's.
inline constexpr std::size_t kSpdmPages = 2;    ///< spdm_mt_page_count
inline constexpr std::size_t kStreamPages = 1;  ///< ide_mt_page_count
inline constexpr std::size_t kInfoPages = 4;    ///< spdm_max_dev_info_pages

/// RDX of SPDM.MNG (G3). Source: posted Linux, tdx-host.c, enum tdx_spdm_mng_op.
enum class SpdmOperation : std::uint8_t { kHeartbeat = 0, kKeyUpdate = 1, kRecollect = 2 };
/// R8 of IDE.STREAM.KM (G3). Source: posted Linux, tdx-host.c, enum tdx_ide_stream_km_op.
enum class KmOperation : std::uint8_t { kSetup = 0, kRefresh = 1, kStop = 2 };

/// The page that CONNECT (G3) is configured by. Source: posted Linux, tdx-host.c,
/// struct spdm_config_info_t.
struct SpdmConfiguration {
  static constexpr std::uint32_t kHeartbeat = 1U << 13U;
  static constexpr std::uint32_t kKeyUpdate = 1U << 14U;
  std::uint32_t capabilities = 0;  ///< the VMM's
  std::uint8_t session_policy = 0;
  std::uint8_t certificate_slots = 0;  ///< a mask
  std::uint8_t raw_bitstream = 0;      ///< of measurements
};

using DeviceInfoHash = std::array<std::uint64_t, kDeviceInfoHash / 8>;

/// Output registers and status of a leaf.
struct [[nodiscard]] LeafResult {
  Status status;
  std::uint64_t rcx = 0, rdx = 0, r8 = 0, r9 = 0, r10 = 0, r11 = 0, r12 = 0, r13 = 0, r14 = 0,
                r15 = 0;
  const Check* refused_by = nullptr;  ///< the check of the leaf's row that did not hold

  [[nodiscard]] constexpr bool ok() const { return status.ok(); }
  // RCX of leaves that make or take a message: 7:0 code, 15:8 TDISP error code
  // or state where there is one, 63:32 bytes.
  [[nodiscard]] constexpr std::uint8_t message_code() const {
    return static_cast<std::uint8_t>(rcx);
  }
  [[nodiscard]] constexpr std::uint8_t message_detail() const {
    return static_cast<std::uint8_t>(rcx >> 8U);
  }
  /// 0: nothing is to be sent.
  [[nodiscard]] constexpr std::uint32_t message_bytes() const {
    return static_cast<std::uint32_t>(rcx >> 32U);
  }
};

/// TDISP state as GET_DEVICE_INTERFACE_STATE reports it; here, what the module
/// last learnt from an authenticated answer.
enum class TdiState : std::uint8_t { kUnlocked = 0, kLocked = 1, kRun = 2, kError = 3 };

/// RDX of DEVIF.REQUEST: the TDISP request codes.
enum class DevifRequest : std::uint8_t {
  kNone = 0,  ///< with the TD flag: the code is in the TD's buffer
  kLock = 0x83,
  kReport = 0x84,
  kState = 0x85,
  kStart = 0x86,
  kStop = 0x87,
};
/// RDX bit 63 of DEVIF.REQUEST and RESPONSE: on whose behalf.
enum class OnBehalfOf : std::uint8_t { kVmm, kTd };

/// The leaf entry of the DMAR tree at `level`: 0 PASIDTE, 1 PDE, 2 CTE, 3 RTE.
enum class DmarLevel : std::uint8_t { kPasid = 0, kDirectory = 1, kContext = 2, kRoot = 3 };
struct DmarIndex {
  DmarLevel level = DmarLevel::kPasid;
  std::uint16_t rid = 0;
  std::uint16_t iommu = 0;
  std::uint32_t pasid = 0;  ///< 20 bits; requests without PASID use 0
};
/// States of an entry, and how far the invalidation of a blocked one is.
/// Source: tdxio branch, dmar_defs.h.
enum class DmarState : std::uint8_t { kFree = 0, kPending = 1, kBlocked = 2, kPresent = 3 };
enum class InvState : std::uint8_t { kPending = 0, kQueued = 1, kDone = 3 };
/// RDX of DMAR.READ: 2:0 level, 10:3 DmarState, 13:11 InvState, 18:14 pages done of a directory.
[[nodiscard]] constexpr DmarState dmar_state(std::uint64_t rdx) {
  return static_cast<DmarState>(rdx >> 3U & 0xffU);
}

/// An entry of the DMAR tree as it lies in memory: RDX and R8 to R14 of DMAR.ADD. Root and
/// directory entries have one quadword, context entries four.
using DmarValue = std::array<std::uint64_t, 8>;
[[nodiscard]] constexpr std::size_t quadwords_of(DmarLevel level) {
  if (level == DmarLevel::kContext) return 4;
  return level == DmarLevel::kPasid ? 8 : 1;
}
/// What the module takes: a table of 4 KiB, or for a PASIDTE second-stage translation by a
/// table that is not said, with snooping and write-back memory. Source: dmar.h,
/// is_valid_dmar_pasidte(); VT-d 9.3 to 9.6.
[[nodiscard]] constexpr DmarValue dmar_value(DmarLevel level, Hpa table) {
  if (level != DmarLevel::kPasid) return {raw(table) | 1U};
  constexpr std::uint64_t kExecute = 1U << 5U;
  constexpr std::uint64_t kSecondStage = 2U << 6U;
  constexpr std::uint64_t kSnoop = 3U << 23U;
  constexpr std::uint64_t kMemoryType = 1U << 26U | 6U << 27U;  // EMTE, write-back
  return {kExecute | kSecondStage, kSnoop | kMemoryType};
}

/// RDX of IQ.INV.REQUEST.
enum class IqType : std::uint8_t {
  kIotlb = 0,  ///< everything of one TD; names the TDR
  kRoot = 1,
  kContext = 2,
  kDirectory = 3,
  kPasid = 4,
  kTd = 5,  ///< what a TD has asked for itself; names the TDR
};
/// A descriptor of an invalidation queue. Source: VT-d 6.5.2.
using InvalidationDescriptor = std::array<std::uint64_t, 4>;
/// R9 to R12 of IQ.INV.REQUEST: the invalidation wait descriptor that ends the request.
/// Source: VT-d 6.5.2.8.
using WaitDescriptor = InvalidationDescriptor;
/// One that has the IOMMU write `data` to `status`, four bytes of the host's memory, when it
/// gets there. No address: it writes nothing.
[[nodiscard]] constexpr WaitDescriptor wait_descriptor(std::uint32_t data = 0,
                                                       std::optional<Hpa> status = std::nullopt) {
  constexpr std::uint64_t kType = 5;
  constexpr std::uint64_t kStatusWrite = 1U << 5U;
  constexpr std::uint64_t kFence = 1U << 6U;
  if (!status) return {kType | kFence};
  return {kType | kFence | kStatusWrite | std::uint64_t{data} << 32U, raw(*status)};
}

inline constexpr std::uint64_t kMaxIdeStreams = 256;  ///< of an IOMMU

/// R8–R14 of IDE.STREAM.CREATE: a selective stream between a root port and a
/// device. The module writes the root port's registers; the device's are the
/// host's business. Source: PCIe Base Spec 6.33, 7.9.26.
struct IdeStreamConfig {
  std::uint32_t root_port = 0;  ///< index among the IOMMU's root ports
  std::uint8_t register_block = 0;
  /// Which of the root port's stream registers in its key configuration unit; the newer API's
  /// module chooses.
  std::optional<std::uint8_t> key_id{};
  std::uint8_t stream_id = 0;  ///< as TLPs carry it; also the module's name for it
  std::uint16_t rid_base = 0;
  std::uint16_t rid_limit = 0;  ///< last requester ID, inclusive
  Hpa address_base{0};          ///< of the memory that the stream covers, 1 MiB steps
  Hpa address_limit{0};         ///< last byte
};

/// R8 of IDE.STREAM.IDEKMREQ: IDE_KM object ids.
enum class KmObject : std::uint8_t { kKeyProg = 2, kSetGo = 4, kSetStop = 5 };
/// R9: which of a stream's twelve keys. Source: PCIe Base Spec 6.33.3, IDE_KM.
struct KmParameters {
  enum class SubStream : std::uint8_t { kPosted = 0, kNonPosted = 1, kCompletion = 2 };
  enum class Direction : std::uint8_t { kRx = 0, kTx = 1 };  ///< the device's
  SubStream sub_stream = SubStream::kPosted;
  Direction direction = Direction::kRx;
  std::uint8_t key_set = 0;  ///< 0 or 1
};
/// R10 of IDE.STREAM.IDEKMREQ is below this: slots for keys that a root port has for each
/// of its streams, by direction. The machine's choice; the module asks the hardware.
inline constexpr std::uint64_t kKeySlotsOfStream = 6;

/// RDX of DEVIF.RD.
enum class DevifField : std::uint8_t { kTdispVersion = 1 };

/// What the registers of a guest's call have beyond the operands of its leaf, where they must
/// have nothing.
class ReservedBits {
 public:
  [[nodiscard]] std::uint64_t& operator[](Operand which) {
    return of_.at(static_cast<std::size_t>(which));
  }
  [[nodiscard]] std::uint64_t operator[](Operand which) const {
    return of_.at(static_cast<std::size_t>(which));
  }

 private:
  std::array<std::uint64_t, 16> of_{};  ///< by register number
};

/// The logical processor that a host calls on, as far as leaves look at it. SYS.INIT has seen
/// zero in IA32_TSC_ADJUST.
struct Processor {
  std::uint32_t number = 0;
  std::uint64_t tsc_adjust = 0;
};
inline constexpr std::uint32_t kIa32TscAdjust = 0x3b;

/// How TDH.VP.INIT is called: version 1 names the vCPU's x2APIC ID (R8), and keeps it the TD's
/// alone.
struct VpInitVersion {
  std::uint8_t number = 0;
  std::uint64_t x2apic_id = 0;
};

/// How a vCPU left the TD.
enum class TdExit : std::uint8_t {
  kOrdinary,
  kNonRecoverable,  ///< NON_RECOVERABLE_TD and its kin: the TD is fatal from here on
};

/// MNG.INIT's TD_PARAMS, as far as the model has them.
struct TdParameters {
  std::uint64_t attributes = 0;
  std::uint16_t max_vcpus = 1;
};

}  // namespace teeio::tdx
