#pragma once

#include <array>
#include <cstdint>
#include <vector>

#include "base/bytes.h"
#include "base/types.h"
#include "crypto/hash.h"
#include "firmware/rmm/types.h"

namespace teeio::rmm {

/// The pages that the host fills for the monitor, and those that come back, with the
/// layouts of TF-RMM lib/smc/include/smc-rmi.h. Every encode() gives a whole page, and
/// decode() takes one; what is reserved is zero and not looked at.

/// [base, top), bytes.
struct PaRange {
  Hpa base;
  Hpa top;
  bool operator==(const PaRange&) const = default;
};

enum class PdevCategory : std::uint8_t { kRootPort = 0, kOffChip = 1, kOnChip = 2 };
enum class HashAlgorithm : std::uint8_t { kSha256 = 0, kSha512 = 1, kSha384 = 2 };
[[nodiscard]] crypto::HashAlgorithm crypto_hash(HashAlgorithm algorithm);

/// struct rmi_realm_params, as far as the realm's initial measurement has it.
struct RealmFeatures {
  std::uint64_t flags = 0;  ///< bit 3: device assignment
  std::uint32_t address_bits = 0;
  std::uint32_t breakpoints = 0, watchpoints = 0;
  std::uint8_t hash = 0;  ///< a HashAlgorithm
  static constexpr std::uint64_t kDevices = 1U << 3U;
  [[nodiscard]] Bytes encode() const;
};

/// RmiRecMpidr: 4, 8, 8 and 8 bits of a number, each in a byte of its own.
[[nodiscard]] constexpr bool is_rec_mpidr(std::uint64_t mpidr) {
  return (mpidr & ~std::uint64_t{0xffff'ff0f}) == 0;
}
[[nodiscard]] constexpr std::uint64_t rec_index(std::uint64_t mpidr) {
  return (mpidr & 0xfU) | (mpidr >> 8U & 0xff'ffffU) << 4U;
}
[[nodiscard]] constexpr std::uint64_t rec_mpidr(std::uint64_t index) {
  return (index & 0xfU) | (index >> 4U & 0xff'ffffU) << 8U;
}

/// struct rmi_rec_params: how a REC begins.
struct RecParams {
  std::uint64_t flags = kRunnable;
  std::uint64_t mpidr = 0;  ///< rec_mpidr() of the REC's number in its realm
  std::uint64_t pc = 0;
  std::array<std::uint64_t, 8> gprs{};
  static constexpr std::uint64_t kRunnable = 1;
  [[nodiscard]] Bytes encode() const;
  [[nodiscard]] static RecParams decode(ByteView page);
};

/// struct rmi_pdev_params.
struct PdevParams {
  std::uint64_t flags = 0;       ///< bit 0 SPDM, bits 2:1 a PdevCategory
  std::uint64_t bridge = 0;      ///< base of the host bridge's ECAM
  std::uint64_t id = 0;          ///< bus, device and function
  std::uint64_t routing_id = 0;  ///< the segment
  std::uint64_t slot = 0;        ///< of the device's certificates
  std::uint32_t rid_base = 0;    ///< requester IDs of the card: [rid_base, rid_top)
  std::uint32_t rid_top = 0;
  std::uint8_t hash = 0;  ///< a HashAlgorithm

  [[nodiscard]] static std::uint64_t make_flags(PdevCategory category, bool spdm) {
    return (spdm ? 1U : 0U) | static_cast<std::uint64_t>(category) << 1U;
  }
  [[nodiscard]] PdevCategory category() const { return PdevCategory(flags >> 1U & 3U); }
  [[nodiscard]] bool spdm() const { return (flags & 1U) != 0; }
  [[nodiscard]] Bdf function() const {
    return Bdf::from_rid(static_cast<std::uint16_t>(id), static_cast<std::uint16_t>(routing_id));
  }
  [[nodiscard]] Bytes encode() const;
  [[nodiscard]] static PdevParams decode(ByteView page);
};

/// struct rmi_public_key_params.
struct PublicKeyParams {
  static constexpr std::size_t kMaxBytes = 0x400;
  Bytes key;
  std::uint64_t key_length = 0;  ///< as the host says
  std::uint64_t metadata_length = 0;
  std::uint8_t algorithm = 0;  ///< 0 RSASSA-3072, 1 ECDSA P-256, 2 ECDSA P-384
  [[nodiscard]] Bytes encode() const;
  [[nodiscard]] static PublicKeyParams decode(ByteView page);
};

/// enum of stream types; only non-coherent ones are made.
inline constexpr std::uint8_t kNonCoherent = 1;
inline constexpr std::uint8_t kStreamTypes = 5;

/// struct rmi_pdev_stream_params.
struct StreamParams {
  static constexpr std::size_t kMaxRanges = 16;
  std::uint8_t type = kNonCoherent;
  Hpa pdev_1{0};  ///< the end point
  Hpa pdev_2{0};  ///< the root port
  std::uint64_t stream_id = 0;
  std::uint64_t range_count = 0;  ///< ranges themselves are looked at by nobody
  [[nodiscard]] Bytes encode() const;
  [[nodiscard]] static StreamParams decode(ByteView page);
};

/// struct rmi_vdev_params.
struct VdevParams {
  static constexpr std::size_t kMaxRanges = 8;
  std::uint64_t flags = 0;
  std::uint64_t id = 0;           ///< by which the realm names the VDEV; the host's choice
  std::uint64_t tdi = 0;          ///< its requester ID
  std::uint64_t range_count = 0;  ///< as the host says
  std::vector<PaRange> ranges{};  ///< at most kMaxRanges
  [[nodiscard]] Bytes encode() const;
  [[nodiscard]] static VdevParams decode(ByteView page);
};

/// struct rmi_vdev_measure_params.
struct MeasureParams {
  std::uint64_t flags = 0;
  std::array<std::byte, 32> nonce{};
  [[nodiscard]] Bytes encode() const;
  [[nodiscard]] static MeasureParams decode(ByteView page);
};

/// struct psmmu_params, as far as it is looked at.
struct PsmmuParams {
  std::uint64_t flags = 0;  ///< bit 0 MSI, 1 ATS, 2 PRI
  [[nodiscard]] Bytes encode() const;
  [[nodiscard]] static PsmmuParams decode(ByteView page);
};

/// struct rmi_dev_comm_enter, at the beginning of the data page.
struct CommEnter {
  enum Status : std::uint8_t { kNone = 0, kResponse = 1, kError = 2 };
  std::uint8_t status = kNone;
  Hpa request{0};   ///< the buffer for requests
  Hpa response{0};  ///< and the one with the answer
  std::uint64_t response_length = 0;
  [[nodiscard]] Bytes encode() const;  ///< kSize bytes
  [[nodiscard]] static CommEnter decode(ByteView in);
  static constexpr std::size_t kSize = 0x20;
};

/// struct rmi_dev_comm_exit, kOffset into the data page.
struct CommExit {
  static constexpr std::size_t kOffset = 0x800;
  static constexpr std::size_t kSize = 0x50;
  enum Flag : std::uint64_t {
    kCacheRequest = 1U << 0U,
    kCacheResponse = 1U << 1U,
    kSend = 1U << 2U,
    kWait = 1U << 3U,
    kStreamWait = 1U << 6U,
  };
  enum class Object : std::uint8_t { kVca, kCertificate, kMeasurements, kReport };
  enum class Protocol : std::uint8_t { kSpdm, kSecuredSpdm };
  std::uint64_t flags = 0;
  std::uint64_t cache_request_offset = 0, cache_request_length = 0;
  std::uint64_t cache_response_offset = 0, cache_response_length = 0;
  Object object = Object::kVca;  ///< of what is to be cached
  Protocol protocol = Protocol::kSpdm;
  std::uint64_t request_length = 0;
  std::uint64_t timeout = 0;
  [[nodiscard]] Bytes encode() const;  ///< kSize bytes
  [[nodiscard]] static CommExit decode(ByteView in);
};

/// RmiAddrRangeDesc4KB: blocks of a size, one behind the other.
struct AddressDescriptor {
  static constexpr std::uint64_t kMostBlocks = 1023;
  Hpa base{0};
  std::uint64_t count = 0;  ///< of blocks, at most kMostBlocks
  std::uint8_t level = 3;   ///< whose block
  bool undelegated = false;
  [[nodiscard]] std::uint64_t encode() const;
  [[nodiscard]] static AddressDescriptor decode(std::uint64_t word);
};

/// RmiRttProtMapFlags and RmiRttUnmapFlags.
struct AddressFlags {
  enum Type : std::uint8_t { kNone = 0, kSingle = 1, kList = 2 };
  std::uint8_t type = kSingle;
  std::uint64_t count = 0;  ///< of a list
};

/// RmiRttUnprotMapFlags: what the realm may do with shared memory, and how it is cached.
struct UnprotectedFlags {
  AddressFlags addresses{};
  std::uint8_t memory = kWriteBack;      ///< MEMATTR[2:0] of a descriptor, with FWB
  std::uint8_t access = kWrite | kRead;  ///< S2AP, direct
  static constexpr std::uint8_t kReserved = 4, kWriteBack = 6;
  static constexpr std::uint8_t kWrite = 1, kRead = 2;
};

/// What RSI_VDEV_GET_INFO tells the realm: struct rsi_vdev_info.
struct VdevInfo {
  std::uint64_t slot = 0;
  std::uint8_t hash = 0;  ///< a HashAlgorithm
  std::uint64_t lock_nonce = 0, measurements_nonce = 0, report_nonce = 0;
  std::uint8_t state = 0;                        ///< 0 UNLOCKED, 1 LOCKED, 2 STARTED, 3 ERROR
  Bytes vca, certificate, measurements, report;  ///< digests
  [[nodiscard]] Bytes encode() const;            ///< 0x200 bytes
};

/// struct rmi_rec_enter, at the beginning of the run page.
struct RecEnter {
  std::uint64_t flags = 0;
  std::array<std::uint64_t, 31> gprs{};
  [[nodiscard]] Bytes encode() const;
  [[nodiscard]] static RecEnter decode(ByteView page);
};

/// struct rmi_rec_exit, kOffset into the run page: what is looked at of it.
struct RecExitRecord {
  static constexpr std::size_t kOffset = 0x800;
  RecExit reason = RecExit::kIrq;
  std::uint64_t esr = 0, far = 0, hpfar = 0;
  std::array<std::uint64_t, 31> gprs{};
  std::uint64_t base = 0, top = 0;  ///< of RIPAS_CHANGE and DEV_MEM_MAP
  std::uint8_t ripas = 0;
  std::uint64_t vdev_id = 0;
  std::uint64_t pa = 0;
  std::uint32_t imm = 0;
  [[nodiscard]] Bytes encode() const;  ///< from kOffset on
  [[nodiscard]] static RecExitRecord decode(ByteView in);
};

}  // namespace teeio::rmm
