#include "explore/scenario/text_settings.h"

#include <fmt/format.h>

#include <utility>

#include "base/check.h"

namespace teeio::explore {
namespace {

using machine::Config;

/// The values are the machine file's own: it reads them.
constexpr std::pair<std::string_view, void (*)(Config& to, const Config& from)> kSettings[] = {
    {"bind_owner", [](Config& to, const Config& from) { to.bind_owner = from.bind_owner; }},
    {"close_order",
     [](Config& to, const Config& from) { to.vfio.close_order = from.vfio.close_order; }},
    {"while_bound",
     [](Config& to, const Config& from) { to.vfio.while_bound = from.vfio.while_bound; }},
    {"vm_ref", [](Config& to, const Config& from) { to.iommufd.vm_ref = from.iommufd.vm_ref; }},
    {"vdevice_lifetime",
     [](Config& to, const Config& from) {
       to.iommufd.vdevice_lifetime = from.iommufd.vdevice_lifetime;
     }},
};

std::expected<Config, std::string> with(std::string_view key, std::string_view value) {
  return machine::parse_config(
      fmt::format("name = \"setting\"\ntsm = \"tdx\"\n[policies]\n{} = \"{}\"\n", key, value), "");
}

}  // namespace

std::expected<void, SettingProblem> check_setting(std::string_view key, std::string_view value) {
  std::string known;
  for (const auto& [name, copy] : kSettings) {
    known += fmt::format("{}{}", known.empty() ? "" : ", ", name);
    if (name != key) continue;
    const bool plain = value.find_first_of("\"\\") == std::string_view::npos;
    const auto config = plain ? with(key, value) : std::unexpected(std::string("no such value"));
    if (config) return {};
    const std::string& said = config.error();
    const std::size_t sentence = said.rfind("must be ");
    return std::unexpected(SettingProblem{
        true,
        fmt::format("{} {}", key, sentence == std::string::npos ? said : said.substr(sentence))});
  }
  return std::unexpected(
      SettingProblem{false, fmt::format("there is no setting `{}`; allowed are {}", key, known)});
}

void apply_setting(Config& config, std::string_view key, std::string_view value) {
  const auto from = with(key, value);
  TEEIO_CHECK(from.has_value(), "a setting is applied that was not checked");
  for (const auto& [name, copy] : kSettings)
    if (name == key) copy(config, *from);
}

}  // namespace teeio::explore
