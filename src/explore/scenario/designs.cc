#include "explore/scenario/designs.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "schedule/consulted.h"

namespace teeio::explore {
namespace {

using machine::Config;
using schedule::Setting;

/// One value of a setting in a Config.
struct Value {
  std::string_view name;
  void (*apply)(Config&);
  bool (*is_set)(const Config&);
};

template <auto kMember, auto kValue>
constexpr Value owner_value(std::string_view name) {
  return {name, [](Config& c) { c.*kMember = kValue; },
          [](const Config& c) { return c.*kMember == kValue; }};
}
template <auto kPart, auto kMember, auto kValue>
constexpr Value policy_value(std::string_view name) {
  return {name, [](Config& c) { (c.*kPart).*kMember = kValue; },
          [](const Config& c) { return (c.*kPart).*kMember == kValue; }};
}

struct Axis {
  std::string_view key;  ///< the setting's, of which a run says that it looked at it
  std::vector<Value> values;
};

const std::vector<Axis>& axes() {
  using iommufd::BindOwner;
  using iommufd::VdeviceLifetime;
  using iommufd::VmRef;
  using vfio::CloseOrder;
  using vfio::WhileBound;
  constexpr auto kOwner = &Config::bind_owner;
  constexpr auto kVfio = &Config::vfio;
  constexpr auto kIommufd = &Config::iommufd;
  constexpr auto kClose = &vfio::Policies::close_order;
  constexpr auto kWhile = &vfio::Policies::while_bound;
  constexpr auto kVmRef = &iommufd::Policies::vm_ref;
  constexpr auto kLifetime = &iommufd::Policies::vdevice_lifetime;
  static const std::vector<Axis> kAxes = {
      {"bind_owner",
       {owner_value<kOwner, BindOwner::kVfio>("vfio"),
        owner_value<kOwner, BindOwner::kIommufd>("iommufd"),
        owner_value<kOwner, BindOwner::kGuest>("guest"),
        owner_value<kOwner, BindOwner::kVdevice>("vdevice")}},
      {"close_order",
       {policy_value<kVfio, kClose, CloseOrder::kUnbindFirst>("unbind-first"),
        policy_value<kVfio, kClose, CloseOrder::kMainline>("mainline")}},
      {"while_bound",
       {policy_value<kVfio, kWhile, WhileBound::kBlock>("block"),
        policy_value<kVfio, kWhile, WhileBound::kAutoUnbind>("auto-unbind")}},
      {"vm_ref",
       {policy_value<kIommufd, kVmRef, VmRef::kViommu>("viommu"),
        policy_value<kIommufd, kVmRef, VmRef::kVfio>("vfio")}},
      {"vdevice_lifetime",
       {policy_value<kIommufd, kLifetime, VdeviceLifetime::kIdevice>("idevice"),
        policy_value<kIommufd, kLifetime, VdeviceLifetime::kIndependent>("independent")}},
  };
  return kAxes;
}

const Config* base_design(std::string_view firmware) {
  const auto designs = default_designs();
  const auto at = std::ranges::find(designs, firmware, &Config::name);
  return at == designs.end() ? nullptr : &*at;
}

/// `design`, with each value of the axis.
void multiply(std::vector<Config>& designs, const Axis& axis) {
  std::vector<Config> more;
  for (const Config& design : designs)
    for (const Value& value : axis.values) {
      Config& made = more.emplace_back(design);
      if (!value.is_set(design)) {
        value.apply(made);
        made.name += ',' + std::string(axis.key) + '=' + std::string(value.name);
      }
    }
  designs = std::move(more);
}

bool same(const Config& a, const Config& b, const Axis& axis) {
  return std::ranges::all_of(axis.values,
                             [&](const Value& v) { return v.is_set(a) == v.is_set(b); });
}

/// Whether two designs agree in all settings of `consulted`.
bool agree(const Config& a, const Config& b, std::uint64_t consulted) {
  if (a.tsm != b.tsm) return false;
  return std::ranges::all_of(axes(), [&](const Axis& axis) {
    return (consulted & Setting::named(axis.key).bit()) == 0 || same(a, b, axis);
  });
}

std::expected<void, std::string> apply_part(Config& design, std::string_view part) {
  const std::size_t equals = part.find('=');
  const std::string_view key = part.substr(0, equals);
  const std::string_view wanted =
      equals == std::string_view::npos ? std::string_view{} : part.substr(equals + 1);
  for (const Axis& axis : axes()) {
    if (axis.key != key) continue;
    std::string known;
    for (const Value& value : axis.values) {
      if (value.name == wanted) return value.apply(design), std::expected<void, std::string>{};
      known += ' ' + std::string(value.name);
    }
    return std::unexpected("a design's " + std::string(key) + " is one of" + known);
  }
  std::string known;
  for (const Axis& axis : axes()) known += ' ' + std::string(axis.key);
  return std::unexpected("a design has no setting '" + std::string(key) + "'; it has" + known);
}

}  // namespace

std::span<const DesignAxis> design_axes() {
  static const std::vector<DesignAxis> kAll = [] {
    std::vector<DesignAxis> all;
    for (const Axis& axis : axes()) {
      DesignAxis& made = all.emplace_back();
      made.key = axis.key;
      for (const Value& value : axis.values) made.values.push_back(value.name);
    }
    return all;
  }();
  return kAll;
}

std::span<const DesignFirmware> design_firmwares() {
  static constexpr DesignFirmware kFirmwares[] = {
      {"tdx", ""},
      {"cca", ""},
      {"sev", ""},
  };
  return kFirmwares;
}

const std::vector<Config>& all_designs() {
  static const std::vector<Config> kAll = [] {
    std::vector<Config> all;
    for (const DesignFirmware& firmware : design_firmwares()) {
      if (!firmware.skipped_because.empty()) continue;
      const Config* base = base_design(firmware.name);
      TEEIO_CHECK(base != nullptr, "a firmware has no built-in design");
      std::vector<Config> designs{*base};
      for (const Axis& axis : axes()) multiply(designs, axis);
      all.insert(all.end(), designs.begin(), designs.end());
    }
    return all;
  }();
  return kAll;
}

std::expected<Config, std::string> parse_design(std::string_view name) {
  const std::size_t comma = name.find(',');
  const std::string_view firmware = name.substr(0, comma);
  for (const DesignFirmware& known : design_firmwares())
    if (known.name == firmware && !known.skipped_because.empty())
      return std::unexpected(std::string(known.skipped_because));
  const Config* base = base_design(firmware);
  if (base == nullptr)
    return std::unexpected("no design begins with '" + std::string(firmware) + "'");
  Config design = *base;
  design.name = name;
  for (std::string_view rest = comma == std::string_view::npos ? "" : name.substr(comma + 1);
       !rest.empty();) {
    const std::size_t next = rest.find(',');
    if (auto applied = apply_part(design, rest.substr(0, next)); !applied)
      return std::unexpected(applied.error());
    rest = next == std::string_view::npos ? "" : rest.substr(next + 1);
  }
  return design;
}

std::vector<DesignResult> run_on_all_designs(const MachineScenario& scenario,
                                             const Options& options) {
  struct Known {
    std::size_t design;
    std::uint64_t consulted;
    ScenarioResult result;
  };
  std::vector<Known> known;
  std::vector<DesignResult> results;
  const std::vector<Config>& designs = all_designs();
  for (std::size_t i = 0; i < designs.size(); ++i) {
    if (!applies(scenario, designs[i])) continue;
    const auto at = std::ranges::find_if(
        known, [&](const Known& k) { return agree(designs[k.design], designs[i], k.consulted); });
    if (at != known.end()) {
      results.push_back({.design = i, .result = at->result, .reused = true});
      continue;
    }
    (void)schedule::take_consulted();
    ScenarioResult result = run_scenario(make_scenario(scenario, designs[i]), options);
    known.push_back({i, schedule::take_consulted(), result});
    results.push_back({.design = i, .result = std::move(result)});
  }
  return results;
}

}  // namespace teeio::explore
