#pragma once

#include <cstdint>
#include <expected>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "abi/profile.h"
#include "base/types.h"
#include "device/report_options.h"
#include "entry/call.h"
#include "host/iommufd/environment.h"
#include "host/vfio/policies.h"
#include "hw/ide_offer.h"
#include "machine/tsm_kind.h"

namespace teeio::machine {

struct RootPortConfig {
  Bdf bdf;
  std::uint8_t bus = 0;  ///< the one bus below it
  Hpa window{0};         ///< of the bridge, 1 MiB aligned
  std::uint64_t window_bytes = 0;
  Hpa memory_window{0};                   ///< below 4 GiB, for expansion ROMs
  std::uint64_t memory_window_bytes = 0;  ///< 0: there is none
  Hpa io_window{0};                       ///< ports
  std::uint64_t io_window_bytes = 0;      ///< 0: there is none
  unsigned ide_streams = 0;               ///< 0: no IDE capability
  bool tee_io = false;
  bool acs = true;  ///< without: the port and all below it are one IOMMU group
  std::uint32_t iommu = 0;
};

/// How firmware and a card's DSM talk.
enum class SpdmChannel : std::uint8_t {
  kPlain,    ///< in the clear, nobody authenticated: cheap, for exploration
  kSession,  ///< an authenticated SPDM session with encrypted messages
};

/// The key of a card's certificate, and with it the strength of its sessions.
enum class SpdmKey : std::uint8_t { kP256, kP384 };

/// A namespace of an NVMe card.
struct NamespaceConfig {
  unsigned function = 0;    ///< 0: the PF, then its VFs
  std::string file;         ///< empty: memory, gone with the machine
  std::uint64_t bytes = 0;  ///< 0: as long as the file
  std::string where;        ///< FILE:LINE of its table, for messages; no part of what it is
  bool operator==(const NamespaceConfig& other) const {
    return function == other.function && file == other.file && bytes == other.bytes;
  }
};

/// The report of one TDI of a card.
struct TdiConfig {
  unsigned function = 0;  ///< 0: the PF, then its VFs
  device::ReportOptions report{};
  bool operator==(const TdiConfig&) const = default;
};

struct CardConfig {
  enum class Model : std::uint8_t { kDmaEngine, kPlain, kNvme } model = Model::kPlain;
  Bdf bdf;
  Hpa window{0};
  unsigned vfs = 0;
  unsigned ide_streams = 0;
  hw::IdeOffer ide{};  ///< what IDE offers beside them
  std::uint64_t serial = 0;
  std::uint64_t memory_bytes = 0x10'0000;  ///< of each function's BAR2
  unsigned pasid_bits = 0;                 ///< of a DMA-engine card; 0: no PASID capability
  unsigned msi_vectors = 0;                ///< of each function; 0: no MSI
  bool intx = false;                       ///< the PF has an interrupt pin
  Hpa rom{0};                              ///< of the PF
  std::uint64_t rom_bytes = 0;             ///< 0: no expansion ROM
  std::optional<Hpa> io;                   ///< first port of a plain card's I/O BAR
  /// Who has a function at boot. kNative: a driver of the card's own kind, PFs only.
  enum class Driver : std::uint8_t { kVfio, kNative, kNone };
  Driver driver = Driver::kVfio;     ///< of the PF
  Driver vf_driver = Driver::kVfio;  ///< of each VF
  SpdmChannel spdm = SpdmChannel::kPlain;
  SpdmKey spdm_key = SpdmKey::kP384;
  std::uint8_t spdm_version = 0x12;         ///< the highest that it speaks, BCD major.minor
  std::vector<NamespaceConfig> namespaces;  ///< of an NVMe card, in the order of the file
  std::vector<TdiConfig> tdis;              ///< in the order of the file
  /// It has a DSM, and its functions are TDIs.
  [[nodiscard]] bool is_tee_io() const { return model != Model::kPlain; }
  bool operator==(const CardConfig&) const = default;

  /// Of `function`, 0 the PF: what the file says, or the default.
  [[nodiscard]] device::ReportOptions report_of(unsigned function) const;
  /// Whether `function` is the PF or one of the VFs.
  [[nodiscard]] bool has(Bdf function) const {
    return function.domain == bdf.domain && function.rid() >= bdf.rid() &&
           function.rid() <= bdf.rid() + vfs;
  }
};

/// A whole machine, as its file describes it.
struct Config {
  std::string name;
  TsmKind tsm = TsmKind::kNone;
  abi::AbiProfile profile = abi::AbiProfile::kTeeio;
  std::uint64_t memory_bytes = 0;
  std::uint16_t hkids = 0;
  std::uint32_t iommus = 1;
  /// Whether vCPUs run code. Without, KVM_RUN gives ENXIO; the guest's faults are
  /// KVM_PRE_FAULT_MEMORY's. For explored runs, which make a machine a schedule.
  bool guest_code = true;
  std::vector<RootPortConfig> root_ports;
  std::vector<CardConfig> cards;
  bool tdx_g2 = false;       ///< the TDX module's API is the older one
  bool rmm_defects = false;  ///< the RMM has those of TF-RMM 9a7f8ef4
  bool cca_locks = false;    ///< Arm CCA's driver locks at bind

  vfio::ContainerKind container = vfio::ContainerKind::kType1;
  iommufd::BindOwner bind_owner = iommufd::BindOwner::kAny;
  vfio::Policies vfio;
  iommufd::Policies iommufd;
  bool iommufd_mock = false;  ///< a kernel with CONFIG_IOMMUFD_TEST
};

/// Reads a machine file. The error is ready to print: file, line, key, and what
/// is allowed there. Keys that it does not know are errors.
[[nodiscard]] std::expected<Config, std::string> parse_config(std::string_view text,
                                                              std::string_view file_name);
[[nodiscard]] std::expected<Config, std::string> load_config(const std::string& path);

/// The built-in machine that is meant by its name or by a word of its name alone ("cca"), and
/// by "" the default one; empty: none is.
[[nodiscard]] std::string_view builtin_name(std::string_view name_or_word);

/// What the user calls a machine: the name of a built-in one, or else a file, or else a word
/// of one built-in name alone ("cca"); "-" is standard input, "" the default machine.
[[nodiscard]] std::expected<Config, std::string> find_config(const std::string& name_or_path);

/// The compiled-in machines: machines/*.toml by name without ending. Empty text
/// if there is none of that name.
[[nodiscard]] std::string_view builtin_machine(std::string_view name);
[[nodiscard]] std::vector<std::string_view> builtin_machines();
inline constexpr std::string_view kDefaultMachine = "tdx-connect";

}  // namespace teeio::machine
