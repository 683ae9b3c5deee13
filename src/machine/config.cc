#include "machine/config.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <toml++/toml.h>

#include <algorithm>
#include <limits>
#include <map>
#include <optional>
#include <ranges>
#include <set>
#include <utility>

#include "base/toml_text.h"
#include "machine/check_config.h"
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
constexpr std::pair<std::string_view, bool> kRmmDefects[] = {{"none", false},
                                                             {"as-9a7f8ef4", true}};
constexpr std::pair<std::string_view, bool> kCcaBinds[] = {{"unlocked", false}, {"locked", true}};
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

/// Addresses and serial numbers are hexadecimal, as one writes them; all else is decimal.
std::string range_text(std::uint64_t low, std::uint64_t high) {
  if (low == high) return fmt::format("{}", low);
  if (high > std::numeric_limits<std::uint32_t>::max())
    return fmt::format("a number from {:#x} to {:#x}", low, high);
  return fmt::format("a number from {} to {}", low, high);
}

/// One table of the file being read. The first problem is kept; reading goes on
/// with defaults, and the caller looks at the problem once, at the end.
class Section {
 public:
  Section(const toml::table& table, std::string_view file, std::string& problem)
      : table_(table), file_(file), problem_(problem) {}

  std::uint64_t number(std::string_view key, std::uint64_t low, std::uint64_t high,
                       std::optional<std::uint64_t> fallback = {}) {
    const toml::node* node = take(key, fallback.has_value());
    if (node == nullptr) return fallback.value_or(low);
    const auto value = node->value<std::int64_t>();
    if (!node->is_integer() || *value < 0 || static_cast<std::uint64_t>(*value) < low ||
        static_cast<std::uint64_t>(*value) > high) {
      complain(*node, key, range_text(low, high));
      return low;
    }
    return static_cast<std::uint64_t>(*value);
  }

  bool flag(std::string_view key, bool fallback) {
    const toml::node* node = take(key, true);
    if (node == nullptr) return fallback;
    if (!node->is_boolean()) complain(*node, key, "true or false");
    return node->value_or(fallback);
  }

  std::string text(std::string_view key) {
    const toml::node* node = take(key, false);
    if (node == nullptr) return {};
    if (!node->is_string()) complain(*node, key, "a text in quotes");
    return node->value_or(std::string());
  }

  /// Empty: the key is not there.
  std::string optional_text(std::string_view key) {
    if (take(key, true) == nullptr) return {};
    std::string value = text(key);
    if (value.empty()) complain(*table_.get(key), key, "a text that is not empty");
    return value;
  }

  Bdf bdf(std::string_view key) {
    const toml::node* node = take(key, false);
    if (node == nullptr) return {};
    const auto parsed = Bdf::parse(node->value_or(std::string()));
    if (!parsed) complain(*node, key, "a PCI address such as \"0000:01:00.0\"");
    return parsed.value_or(Bdf{});
  }

  template <class Names, class E = typename std::ranges::range_value_t<Names>::second_type>
  E choice(std::string_view key, const Names& names, std::optional<E> fallback = {}) {
    const toml::node* node = take(key, fallback.has_value());
    if (node == nullptr) return fallback.value_or(names[0].second);
    const std::string value = node->value_or(std::string());
    std::string allowed;
    for (const auto& [name, meaning] : names) {
      if (name == value) return meaning;
      allowed += fmt::format("{}\"{}\"", allowed.empty() ? "" : ", ", name);
    }
    complain(*node, key, "one of " + allowed);
    return names[0].second;
  }

  /// No other table has this number in `key`. `others`: where those before stand.
  void unique(std::string_view key, std::map<std::uint64_t, std::uint32_t>& others) {
    const toml::node* node = table_.get(key);
    const auto value = node == nullptr ? std::nullopt : node->value<std::int64_t>();
    if (!value) return;
    const auto [other, is_new] =
        others.emplace(static_cast<std::uint64_t>(*value), node->source().begin.line);
    if (!is_new) complain(*node, key, fmt::format("another than that in line {}", other->second));
  }

  /// Every key must have been read.
  void finish() {
    for (const auto& [key, node] : table_)
      if (!seen_.contains(std::string(key.str())))
        complain(node, key.str(),
                 fmt::format("no such key here; known: {}", fmt::join(seen_, ", ")), "");
  }
  void seen(std::string_view key) { seen_.emplace(key); }
  [[nodiscard]] const toml::table& table() const { return table_; }
  [[nodiscard]] std::string_view file() const { return file_; }
  [[nodiscard]] std::string& problem() { return problem_; }
  [[nodiscard]] std::uint32_t line() const { return table_.source().begin.line; }
  void complain(const toml::node& node, std::string_view key, std::string_view allowed,
                std::string_view verb = "must be ") {
    report(node.source().begin.line, key, fmt::format("{}{}", verb, allowed));
  }

 private:
  const toml::node* take(std::string_view key, bool optional) {
    seen_.emplace(key);
    const toml::node* node = table_.get(key);
    if (node == nullptr && !optional) report(table_.source().begin.line, key, "is missing here");
    return node;
  }
  void report(std::uint32_t line, std::string_view key, std::string_view what) {
    if (problem_.empty()) problem_ = fmt::format("{}:{}: key \"{}\": {}", file_, line, key, what);
  }

  const toml::table& table_;
  const std::string_view file_;
  std::string& problem_;
  std::set<std::string> seen_;
};

RootPortConfig read_root_port(Section& s, std::uint32_t iommus) {
  RootPortConfig port;
  port.bdf = s.bdf("bdf");
  port.bus = static_cast<std::uint8_t>(s.number("bus", 1, 255));
  port.window = Hpa{s.number("window", 0x1000'0000'0000, 0x3fff'ffff'ffff)};
  port.window_bytes = s.number("window_mib", 1, 4096) * kMiB;
  port.ide_streams = static_cast<unsigned>(s.number("ide_streams", 0, 32, 0));
  port.tee_io = s.flag("tee_io", false);
  port.acs = s.flag("acs", true);
  port.iommu = static_cast<std::uint32_t>(s.number("iommu", 0, iommus - 1, 0));
  s.finish();
  return port;
}

/// Each table of an array of tables, such as [[card]].
template <class Read>
void for_each_table(const toml::table& root, Section& top, std::string_view key,
                    std::string_view file, std::string& problem, Read read) {
  top.seen(key);
  const toml::node* node = root.get(key);
  if (node == nullptr) return;
  const toml::array* array = node->as_array();
  if (array == nullptr) return top.complain(*node, key, "a list of tables, [[…]]");
  for (const toml::node& element : *array) {
    const toml::table* table = element.as_table();
    if (table == nullptr) return top.complain(element, key, "a list of tables, [[…]]");
    Section section(*table, file, problem);
    read(section);
  }
}

/// Keys that would change nothing on a machine with this TSM.
void refuse_idle_keys(const toml::table& root, TsmKind tsm, Section& top) {
  const auto owner = root["policies"]["bind_owner"];
  if (tsm == TsmKind::kNone && owner && owner.value<std::string_view>() != "any")
    top.complain(*owner.node(), "bind_owner", "\"any\": without a `tsm` nothing binds");
  if (tsm != TsmKind::kCca)
    for (const std::string_view key : {"rmm_defects", "cca_bind"})
      if (const toml::node* node = root.get(key); node != nullptr)
        top.complain(*node, key, "left out: this machine's `tsm` is not \"cca\"");
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

CardConfig read_card(Section& s) {
  CardConfig card;
  card.model = s.choice("model", kModels);
  card.bdf = s.bdf("bdf");
  card.window = Hpa{s.number("window", 0x1000'0000'0000, 0x3fff'ffff'ffff)};
  card.driver = s.choice("driver", kDrivers, std::optional(Driver::kVfio));
  if (card.is_tee_io()) {
    card.vfs = static_cast<unsigned>(s.number("vfs", 0, 128, 0));
    const Driver beside = card.driver == Driver::kNone ? Driver::kNone : Driver::kVfio;
    card.vf_driver = s.choice("vf_driver", kVfDrivers, std::optional(beside));
    card.ide_streams = static_cast<unsigned>(s.number("ide_streams", 1, 32, 1));
    card.serial = s.number("serial", 0, 0x7fff'ffff'ffff'ffff, 1);
    if (card.model == CardConfig::Model::kDmaEngine)
      card.memory_bytes = s.number("memory_kib", 64, 1024, 1024) * 1024;
    card.spdm = s.choice("spdm", kChannels, std::optional(SpdmChannel::kSession));
    card.spdm_key = s.choice("spdm_key", kSpdmKeys, std::optional(SpdmKey::kP384));
    card.spdm_version = s.choice("spdm_version", kSpdmVersions, std::optional(std::uint8_t{0x12}));
  }
  if (card.model == CardConfig::Model::kNvme)
    for_each_table(s.table(), s, "namespace", s.file(), s.problem(), [&](Section& inner) {
      card.namespaces.push_back(read_namespace(inner, card.vfs));
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
  config.name = top.text("name");
  config.tsm = top.choice("tsm", tsms());
  config.profile = top.choice("abi", profiles(), std::optional(abi::AbiProfile::kTeeio));
  config.memory_bytes = top.number("memory_mib", kLeastMemoryMib, 1U << 20U, 1024) * kMiB;
  config.hkids = static_cast<std::uint16_t>(top.number("hkids", 1, 1023, 63));
  config.iommus = static_cast<std::uint32_t>(top.number("iommus", 1, 16, 1));
  config.container =
      top.choice("vfio_container", kContainers, std::optional(vfio::ContainerKind::kType1));
  config.iommufd_mock = top.flag("iommufd_mock", false);
  config.rmm_defects = top.choice("rmm_defects", kRmmDefects, std::optional(false));
  config.cca_locks = top.choice("cca_bind", kCcaBinds, std::optional(false));
  ConfigLines lines;
  for_each_table(root, top, "root_port", file_name, problem, [&](Section& s) {
    lines.root_ports.push_back(s.line());
    config.root_ports.push_back(read_root_port(s, config.iommus));
  });
  std::map<std::uint64_t, std::uint32_t> serials;
  for_each_table(root, top, "card", file_name, problem, [&](Section& s) {
    lines.cards.push_back(s.line());
    config.cards.push_back(read_card(s));
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
