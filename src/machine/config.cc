#include "machine/config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <toml++/toml.h>

#include <algorithm>
#include <bit>
#include <map>
#include <optional>
#include <utility>

#include "base/toml_text.h"
#include "device/io_ports.h"
#include "hw/dma.h"
#include "hw/msi.h"
#include "machine/check_config.h"
#include "machine/config_section.h"
#include "machine/tdi_config.h"
#include "machine/vendors.h"

namespace teeio::machine {
namespace {

using iommufd::BindOwner;

constexpr std::pair<std::string_view, BindOwner> kOwners[] = {{"any", BindOwner::kAny},
                                                              {"vfio", BindOwner::kVfio},
                                                              {"iommufd", BindOwner::kIommufd},
                                                              {"guest", BindOwner::kGuest},
                                                              {"vdevice", BindOwner::kVdevice}};
constexpr std::pair<std::string_view, vfio::CloseOrder> kCloseOrders[] = {
    {"unbind-first", vfio::CloseOrder::kUnbindFirst}, {"mainline", vfio::CloseOrder::kMainline}};
constexpr std::pair<std::string_view, vfio::WhileBound> kWhileBound[] = {
    {"block", vfio::WhileBound::kBlock}, {"auto-unbind", vfio::WhileBound::kAutoUnbind}};
constexpr std::pair<std::string_view, vfio::ContainerKind> kContainers[] = {
    {"type1", vfio::ContainerKind::kType1}, {"iommufd", vfio::ContainerKind::kIommufd}};
constexpr std::pair<std::string_view, iommufd::VmRef> kVmRefs[] = {
    {"viommu", iommufd::VmRef::kViommu}, {"vfio", iommufd::VmRef::kVfio}};
constexpr std::pair<std::string_view, iommufd::VdeviceLifetime> kLifetimes[] = {
    {"idevice", iommufd::VdeviceLifetime::kIdevice},
    {"independent", iommufd::VdeviceLifetime::kIndependent}};
constexpr std::pair<std::string_view, CardConfig::Model> kModels[] = {
    {"dma-engine", CardConfig::Model::kDmaEngine},
    {"nvme", CardConfig::Model::kNvme},
    {"plain", CardConfig::Model::kPlain}};
using Driver = CardConfig::Driver;
constexpr std::pair<std::string_view, Driver> kDrivers[] = {
    {"vfio-pci", Driver::kVfio}, {"native", Driver::kNative}, {"none", Driver::kNone}};
constexpr std::pair<std::string_view, Driver> kVfDrivers[] = {{"vfio-pci", Driver::kVfio},
                                                              {"none", Driver::kNone}};
constexpr std::pair<std::string_view, SpdmChannel> kChannels[] = {
    {"plain", SpdmChannel::kPlain}, {"session", SpdmChannel::kSession}};
constexpr std::pair<std::string_view, SpdmKey> kSpdmKeys[] = {{"p256", SpdmKey::kP256},
                                                              {"p384", SpdmKey::kP384}};
constexpr std::pair<std::string_view, std::uint8_t> kSpdmVersions[] = {{"1.0", std::uint8_t{0x10}},
                                                                       {"1.1", std::uint8_t{0x11}},
                                                                       {"1.2", std::uint8_t{0x12}},
                                                                       {"1.3", std::uint8_t{0x13}},
                                                                       {"1.4", std::uint8_t{0x14}}};
constexpr std::pair<std::string_view, bool> kTdxApis[] = {{"g3", false}, {"g2", true}};
constexpr std::pair<std::string_view, bool> kRmmDefects[] = {{"none", false},
                                                             {"as-9a7f8ef4", true}};
constexpr std::pair<std::string_view, bool> kCcaBinds[] = {{"unlocked", false}, {"locked", true}};
constexpr auto kIdeFeatureNames = [] {
  std::array<std::pair<std::string_view, std::uint16_t>, std::size(hw::kIdeFeatures)> names;
  std::ranges::transform(hw::kIdeFeatures, names.begin(), [](const hw::IdeFeature& row) {
    return std::pair(row.name, std::uint16_t{row.feature});
  });
  return names;
}();
std::vector<std::pair<std::string_view, abi::AbiProfile>> profiles() {
  std::vector<std::pair<std::string_view, abi::AbiProfile>> names;
  for (const abi::AbiProfile profile : abi::kAbiProfiles)
    names.emplace_back(abi::profile_name(profile), profile);
  return names;
}

std::vector<std::pair<std::string_view, TsmKind>> tsms() {
  std::vector<std::pair<std::string_view, TsmKind>> names;
  for (const Vendor& vendor : vendors()) names.emplace_back(vendor.kind.name, vendor.kind);
  return names;
}

constexpr std::uint64_t kMiB = 1ULL << 20U;
/// Holds the tables of firmware and IOMMUs for the largest machine, and small guests.
constexpr std::uint64_t kLeastMemoryMib = 16;
constexpr std::uint64_t kMostNamespaceMib = 1ULL << 24U;

/// Where 32-bit MMIO may lie: below the I/O APICs and interrupt messages of a PC.
constexpr std::uint64_t kFirstRom = 0x8000'0000, kLastRom = 0xfebf'ffff;
constexpr std::uint64_t kLeastRomKib = 2, kMostRomKib = 16 * 1024;  // PCIe Base Spec 7.5.1.2.4

RootPortConfig read_root_port(Section& s, std::uint32_t iommus) {
  RootPortConfig port;
  port.bdf = s.bdf("bdf");
  port.bus = static_cast<std::uint8_t>(s.number("bus", 1, 255));
  port.window = Hpa{s.number("window", 0x1000'0000'0000, 0x3fff'ffff'ffff)};
  port.window_bytes = s.number("window_mib", 1, 4096) * kMiB;
  if (s.has("memory_window", "memory_window_mib")) {
    port.memory_window = Hpa{s.number("memory_window", kFirstRom, kLastRom)};
    port.memory_window_bytes = s.number("memory_window_mib", 1, 256, 1) * kMiB;
  }
  if (s.has("io_window", "io_window_kib")) {
    port.io_window = Hpa{s.number("io_window", 0x1000, 0xf000)};
    port.io_window_bytes = s.number("io_window_kib", 4, 60, 4) * 1024;
  }
  port.ide_streams = static_cast<unsigned>(s.number("ide_streams", 0, 32, 0));
  port.tee_io = s.flag("tee_io", false);
  port.acs = s.flag("acs", true);
  port.iommu = static_cast<std::uint32_t>(s.number("iommu", 0, iommus - 1, 0));
  s.finish();
  return port;
}

/// Keys that would change nothing on a machine with this TSM.
void refuse_idle_keys(const toml::table& root, TsmKind tsm, Section& top) {
  const auto owner = root["policies"]["bind_owner"];
  if (tsm == TsmKind::kNone && owner && owner.value<std::string_view>() != "any")
    top.complain(*owner.node(), "bind_owner", "\"any\": without a `tsm` nothing binds");
  const auto refuse = [&](std::string_view key, std::string_view why) {
    if (const toml::node* node = root.get(key); node != nullptr) top.complain(*node, key, why);
  };
  if (tsm != TsmKind::kTdx) refuse("tdx_api", "left out: this machine's `tsm` is not \"tdx\"");
  if (tsm != TsmKind::kCca)
    for (const std::string_view key : {"rmm_defects", "cca_bind"})
      refuse(key, "left out: this machine's `tsm` is not \"cca\"");
}

/// [[card.namespace]]: a file, or so much memory.
NamespaceConfig read_namespace(Section& s, unsigned vfs) {
  NamespaceConfig space;
  space.function = static_cast<unsigned>(s.number("function", 0, vfs, 0));
  space.file = s.optional_text("file");
  std::optional<std::uint64_t> mib;
  if (!space.file.empty()) mib = 0;
  space.bytes = s.number("mib", mib ? 0 : 1, kMostNamespaceMib, mib) * kMiB;
  s.finish();
  return space;
}

/// As many vectors as MSI's Message Control can say: PCIe Base Spec 7.7.1.2.
unsigned read_msi(Section& s) {
  constexpr unsigned kMost = hw::Msi::kMaxVectors;
  const auto vectors = static_cast<unsigned>(s.number("msi", 0, kMost, 0));
  if (vectors == 0 || std::has_single_bit(vectors)) return vectors;
  s.complain(*s.table().get("msi"), "msi", "0, 1, 2, 4, 8, 16 or 32");
  return 0;
}

void read_rom(Section& s, CardConfig& card) {
  if (!s.has("rom", "rom_kib")) return;
  card.rom = Hpa{s.number("rom", kFirstRom, kLastRom)};
  const std::uint64_t kib = s.number("rom_kib", kLeastRomKib, kMostRomKib, 64);
  card.rom_bytes = kib * 1024;
  if (!std::has_single_bit(kib)) s.complain(*s.table().get("rom_kib"), "rom_kib", "a power of two");
  if (raw(card.rom) % std::bit_ceil(card.rom_bytes) != 0)
    s.complain(*s.table().get("rom"), "rom", fmt::format("a multiple of its {} KiB", kib));
}

CardConfig read_card(Section& s, ConfigLines::Card& lines) {
  lines.line = s.line();
  CardConfig card;
  card.model = s.choice("model", kModels);
  card.bdf = s.bdf("bdf");
  card.window = Hpa{s.number("window", 0x1000'0000'0000, 0x3fff'ffff'ffff)};
  card.driver = s.choice("driver", kDrivers, std::optional(Driver::kVfio));
  read_rom(s, card);
  if (card.model == CardConfig::Model::kPlain && s.has("io")) {
    constexpr std::uint64_t kPorts = device::IoPorts::kPorts;
    card.io = Hpa{s.number("io", 0x1000, 0x1'0000 - kPorts)};
    if (raw(*card.io) % kPorts != 0)
      s.complain(*s.table().get("io"), "io", fmt::format("a multiple of its {} ports", kPorts));
  }
  if (card.is_tee_io()) {
    card.vfs = static_cast<unsigned>(s.number("vfs", 0, 128, 0));
    const Driver beside = card.driver == Driver::kNone ? Driver::kNone : Driver::kVfio;
    card.vf_driver = s.choice("vf_driver", kVfDrivers, std::optional(beside));
    card.ide_streams = static_cast<unsigned>(s.number("ide_streams", 1, 32, 1));
    card.ide.links = static_cast<unsigned>(s.number("ide_links", 0, hw::IdeOffer::kMaxLinks, 0));
    card.ide.features = s.flags("ide_features", kIdeFeatureNames, card.ide.features);
    card.serial = s.number("serial", 0, 0x7fff'ffff'ffff'ffff, 1);
    if (card.model == CardConfig::Model::kDmaEngine) {
      card.memory_bytes = s.number("memory_kib", 64, 1024, 1024) * 1024;
      card.pasid_bits = static_cast<unsigned>(s.number("pasid_bits", 0, hw::kPasidBits, 0));
      card.msi_vectors = read_msi(s);
      card.intx = s.flag("intx", false);
    }
    card.spdm = s.choice("spdm", kChannels, std::optional(SpdmChannel::kSession));
    card.spdm_key = s.choice("spdm_key", kSpdmKeys, std::optional(SpdmKey::kP384));
    card.spdm_version = s.choice("spdm_version", kSpdmVersions, std::optional(std::uint8_t{0x12}));
  }
  if (card.model == CardConfig::Model::kNvme)
    for_each_table(s.table(), s, "namespace", s.file(), s.problem(), [&](Section& inner) {
      lines.namespaces.push_back(inner.line());
      card.namespaces.push_back(read_namespace(inner, card.vfs));
      card.namespaces.back().where = fmt::format("{}:{}", inner.file(), inner.line());
    });
  if (card.is_tee_io())
    for_each_table(s.table(), s, "tdi", s.file(), s.problem(), [&](Section& inner) {
      lines.tdis.push_back(inner.line());
      card.tdis.push_back(read_tdi(inner, card.vfs));
    });
  s.finish();
  return card;
}

void read_policies(Section& s, Config& config) {
  config.bind_owner = s.choice("bind_owner", kOwners, std::optional(BindOwner::kAny));
  config.vfio.close_order =
      s.choice("close_order", kCloseOrders, std::optional(vfio::CloseOrder::kUnbindFirst));
  config.vfio.while_bound =
      s.choice("while_bound", kWhileBound, std::optional(vfio::WhileBound::kBlock));
  config.iommufd.vm_ref = s.choice("vm_ref", kVmRefs, std::optional(iommufd::VmRef::kViommu));
  config.iommufd.vdevice_lifetime =
      s.choice("vdevice_lifetime", kLifetimes, std::optional(iommufd::VdeviceLifetime::kIdevice));
  s.finish();
}

}  // namespace

device::ReportOptions CardConfig::report_of(unsigned function) const {
  const auto found = std::ranges::find(tdis, function, &TdiConfig::function);
  return found == tdis.end() ? device::ReportOptions{} : found->report;
}

std::expected<Config, std::string> parse_config(std::string_view text, std::string_view file_name) {
  if (const std::size_t line = line_of_too_many_parts(text); line != 0)
    return std::unexpected(fmt::format("{}:{}: keys have too many parts", file_name, line));
  toml::table root;
  try {
    root = toml::parse(text);
  } catch (const toml::parse_error& error) {
    return std::unexpected(
        fmt::format("{}:{}: {}", file_name, error.source().begin.line, error.description()));
  }
  std::string problem;
  Section top(root, file_name, problem);
  Config config;
  config.name = top.label("name");
  config.tsm = top.choice("tsm", tsms());
  config.profile = top.choice("abi", profiles(), std::optional(abi::AbiProfile::kTeeio));
  config.memory_bytes = top.number("memory_mib", kLeastMemoryMib, 1U << 20U, 1024) * kMiB;
  config.hkids = static_cast<std::uint16_t>(top.number("hkids", 1, 1023, 63));
  config.iommus = static_cast<std::uint32_t>(top.number("iommus", 1, 16, 1));
  config.container =
      top.choice("vfio_container", kContainers, std::optional(vfio::ContainerKind::kType1));
  config.iommufd_mock = top.flag("iommufd_mock", false);
  config.tdx_g2 = top.choice("tdx_api", kTdxApis, std::optional(false));
  config.rmm_defects = top.choice("rmm_defects", kRmmDefects, std::optional(false));
  config.cca_locks = top.choice("cca_bind", kCcaBinds, std::optional(false));
  ConfigLines lines;
  for_each_table(root, top, "root_port", file_name, problem, [&](Section& s) {
    lines.root_ports.push_back(s.line());
    config.root_ports.push_back(read_root_port(s, config.iommus));
  });
  std::map<std::uint64_t, std::uint32_t> serials;
  for_each_table(root, top, "card", file_name, problem, [&](Section& s) {
    config.cards.push_back(read_card(s, lines.cards.emplace_back()));
    s.unique("serial", serials);
  });
  top.seen("policies");
  if (const toml::node* node = root.get("policies"); node != nullptr) {
    if (const toml::table* table = node->as_table(); table != nullptr) {
      Section section(*table, file_name, problem);
      read_policies(section, config);
    } else {
      top.complain(*node, "policies", "a table, [policies]");
    }
  }
  if (abi::proposed_abi(config.profile).vdevice_binds) {
    const bool left_open = config.bind_owner == BindOwner::kAny;
    if (!left_open && config.bind_owner != BindOwner::kVdevice)
      top.complain(*root["policies"]["bind_owner"].node(), "bind_owner",
                   "\"any\" or \"vdevice\": the `abi` of this machine binds with the vDEVICE");
    config.bind_owner = BindOwner::kVdevice;
  }
  refuse_idle_keys(root, config.tsm, top);
  top.finish();
  if (problem.empty()) problem = check_topology(config, lines, file_name);
  if (!problem.empty()) return std::unexpected(problem);
  return config;
}

}  // namespace teeio::machine
