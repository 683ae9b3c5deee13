// The tables of a policy about what a guest proves.
#include "evidence/policy_section.h"

namespace teeio::evidence {
namespace {

constexpr std::string_view kHex = "a list of hexadecimal texts";

/// Digests and identifiers of such sizes.
void digests(Section& section, std::string_view key, std::vector<Bytes>& into,
             std::initializer_list<std::size_t> sizes) {
  section.each(key, kHex, [&](const toml::node& node) {
    const auto text = node.value_exact<std::string_view>();
    auto hex = text ? from_hex(*text) : std::nullopt;
    if (!hex || std::ranges::find(sizes, hex->size()) == sizes.end()) return false;
    into.push_back(std::move(*hex));
    return true;
  });
}

bool is_lifecycle(std::string_view word) {
  constexpr std::uint64_t kStates = 0x61;
  for (std::uint64_t state = 0; state < kStates; ++state)
    if (wire::cca_lifecycle_name(state << 8U) == word) return !word.empty();
  return false;
}

void read_component(Section& section, WantedComponent& wanted) {
  section.required("type");
  std::optional<std::string> type;
  section.text("type", type);
  wanted.type = type.value_or(std::string());
  digests(section, "value", wanted.values, {32, 48, 64});
  digests(section, "signer", wanted.signers, {32, 48, 64});
}

void read_realm(Section& section, CcaPolicy& policy) {
  digests(section, "initial", policy.initial, {32, 48, 64});
  digests(section, "personalization", policy.personalization, {wire::kCcaPersonalizationSize});
  section.choice("mec", "private", "any", policy.private_mec);
  std::set<std::uint64_t> taken;
  section.tables("extensible", [&](Section& one) {
    const auto index = one.identifier("index", std::uint64_t{0}, taken);
    std::vector<Bytes> values;
    one.required("value");
    digests(one, "value", values, {32, 48, 64});
    if (index >= wire::kCcaExtensible)
      one.refuse("index", "a number from 0 to 3");
    else
      policy.extensible.at(index) = std::move(values);
  });
}

}  // namespace

void read_cca(Section& section, CcaPolicy& policy) {
  section.texts("platform_keys", policy.key_files);
  section.choice("challenge", "required", "ignored", policy.challenge_required);
  section.choice("model", "allowed", "refused", policy.allow_model);
  std::vector<std::string> states;
  section.each("lifecycle", "states as \"secured\"", [&](const toml::node& node) {
    const auto word = node.value_exact<std::string>();
    if (!word || !is_lifecycle(*word)) return false;
    states.push_back(*word);
    return true;
  });
  if (!states.empty()) policy.lifecycles = std::move(states);
  digests(section, "implementation", policy.implementations, {32});
  digests(section, "instance", policy.instances, {wire::kCcaInstanceSize});
  section.choice("others", "allowed", "refused", policy.allow_other_components);
  section.tables("component",
                 [&](Section& one) { read_component(one, policy.components.emplace_back()); });
  section.table("realm", [&](Section& one) { read_realm(one, policy); });
}

void read_snp(Section& section, SnpPolicy& policy) {
  section.texts("certificates", policy.certificate_files);
  section.choice("report_data", "required", "ignored", policy.report_data_required);
  section.choice("debug", "allowed", "refused", policy.allow_debug);
  section.choice("migration", "allowed", "refused", policy.allow_migration);
  std::optional<std::uint64_t> vmpl;
  section.number("most_vmpl", vmpl);
  policy.most_vmpl = vmpl.value_or(0);
  digests(section, "measurement", policy.measurements, {48});
  digests(section, "host_data", policy.host_data, {32});
  digests(section, "chip", policy.chips, {64});
  section.number("least_guest_svn", policy.least_guest_svn);
  section.table("least_tcb", [&](Section& one) {
    one.number("fmc", policy.fmc);
    one.number("boot_loader", policy.boot_loader);
    one.number("tee", policy.tee);
    one.number("snp", policy.snp);
    one.number("microcode", policy.microcode);
  });
}

}  // namespace teeio::evidence
