// The tables of a policy about what a guest proves.
#include "evidence/policy_section.h"

namespace teeio::evidence {
namespace {

constexpr std::initializer_list<std::size_t> kDigests = {32, 48, 64};

/// The states that a platform's token can say.
std::vector<std::string_view> lifecycles() {
  constexpr std::uint64_t kStates = 0x61;
  std::vector<std::string_view> words;
  for (std::uint64_t state = 0; state < kStates; ++state)
    if (const auto word = wire::cca_lifecycle_name(state << 8U); !word.empty())
      words.push_back(word);
  return words;
}

void read_component(Section& section, WantedComponent& wanted) {
  section.required("type");
  std::optional<std::string> type;
  section.text("type", type);
  wanted.type = type.value_or(std::string());
  section.bytes("value", wanted.values, kDigests);
  section.bytes("signer", wanted.signers, kDigests);
}

void read_realm(Section& section, CcaPolicy& policy) {
  section.bytes("initial", policy.initial, kDigests);
  section.bytes("personalization", policy.personalization, {wire::kCcaPersonalizationSize});
  section.choice("mec", "private", "any", policy.private_mec);
  std::set<std::uint64_t> taken;
  section.tables("extensible", [&](Section& one) {
    const auto index = one.identifier("index", std::uint64_t{0}, taken);
    std::vector<Bytes> values;
    one.required("value");
    one.bytes("value", values, kDigests);
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
  const std::vector<std::string_view> known = lifecycles();
  const std::string allowed = fmt::format("among {}", fmt::join(known, ", "));
  section.each("lifecycle", allowed, [&](const toml::node& node) {
    const auto word = node.value_exact<std::string>();
    if (!word || std::ranges::find(known, *word) == known.end()) return false;
    states.push_back(*word);
    return true;
  });
  if (!states.empty()) policy.lifecycles = std::move(states);
  section.bytes("implementation", policy.implementations, {32});
  section.bytes("instance", policy.instances, {wire::kCcaInstanceSize});
  section.choice("others", "allowed", "refused", policy.allow_other_components);
  section.tables("component",
                 [&](Section& one) { read_component(one, policy.components.emplace_back()); });
  section.table("realm", [&](Section& one) { read_realm(one, policy); });
}

void read_snp(Section& section, SnpPolicy& policy) {
  // 56860: VMPL 0 to 3; a TCB_VERSION has a byte for each part.
  constexpr std::uint64_t kMostVmpl = 3, kMostOfTcb = 255;
  section.texts("certificates", policy.certificate_files);
  section.choice("report_data", "required", "ignored", policy.report_data_required);
  section.choice("debug", "allowed", "refused", policy.allow_debug);
  section.choice("migration", "allowed", "refused", policy.allow_migration);
  std::optional<std::uint64_t> vmpl;
  section.number("most_vmpl", vmpl, kMostVmpl);
  policy.most_vmpl = vmpl.value_or(0);
  section.bytes("measurement", policy.measurements, {48});
  section.bytes("host_data", policy.host_data, {32});
  section.bytes("chip", policy.chips, {64});
  section.number("least_guest_svn", policy.least_guest_svn,
                 std::numeric_limits<std::uint32_t>::max());
  section.table("least_tcb", [&](Section& one) {
    one.number("fmc", policy.fmc, kMostOfTcb);
    one.number("boot_loader", policy.boot_loader, kMostOfTcb);
    one.number("tee", policy.tee, kMostOfTcb);
    one.number("snp", policy.snp, kMostOfTcb);
    one.number("microcode", policy.microcode, kMostOfTcb);
  });
}

}  // namespace teeio::evidence
