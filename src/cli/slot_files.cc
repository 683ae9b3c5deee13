#include "cli/slot_files.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "cli/print.h"
#include "crypto/chain_problem.h"
#include "serve/capture.h"
#include "serve/idle_options.h"

namespace teeio::cli {
namespace {

std::expected<crypto::Identity, std::string> load_identity(const std::string& chain_file,
                                                           const std::string& key_file) {
  constexpr std::size_t kMost = std::size_t{1} << 20U;
  const auto chain = read_file(chain_file, kMost);
  if (!chain) return std::unexpected(chain.error());
  const auto key = read_file(key_file, kMost);
  if (!key) return std::unexpected(key.error());
  auto identity = crypto::identity_from_pem(*chain, *key);
  if (!identity)
    return std::unexpected(fmt::format("{}, {}: {}", chain_file, key_file, identity.error().why));
  return std::move(*identity);
}

/// A chain that requesters will refuse is served all the same: it is what they are tested with.
void warn(const std::string& file, const crypto::CertificateChain& chain) {
  constexpr std::uint64_t kSecondNs = 1'000'000'000;
  if (const auto problem = crypto::chain_problem(chain))
    complain("teeio serve: {}: warning: the chain does not verify: {}\n", file, *problem);
  if (const auto problem = crypto::usage_problem(chain, crypto::SpdmEnd::kResponder))
    complain("teeio serve: {}: warning: the chain does not verify: {}\n", file, *problem);
  const auto now = static_cast<std::int64_t>(serve::world_time_ns() / kSecondNs);
  if (const auto problem = crypto::validity_problem(chain, now))
    complain("teeio serve: {}: warning: {}\n", file, *problem);
}

}  // namespace

std::optional<std::string> SlotFiles::add_slot(const std::string& text) {
  const auto comma = text.find(',');
  const bool formed = text.size() > 2 && text[0] >= '0' && text[0] <= '7' && text[1] == '=' &&
                      comma != std::string::npos && comma > 2 && comma + 1 < text.size();
  if (!formed)
    return fmt::format("{}: must be N=CHAIN,KEY with a slot N of 0 to 7 and two files", text);
  const auto slot = static_cast<std::uint8_t>(text[0] - '0');
  if (std::ranges::any_of(files_, [&](const Pair& pair) { return pair.slot == slot; }))
    return fmt::format("slot {} is filled twice", slot);
  files_.push_back({slot, text.substr(2, comma - 2), text.substr(comma + 1)});
  return std::nullopt;
}

void SlotFiles::add_shared(const std::string& chain, const std::string& key) {
  files_.push_back({std::nullopt, chain, key});
}

std::vector<FileOption> SlotFiles::inputs() const {
  std::vector<FileOption> all;
  for (const Pair& pair : files_) {
    all.push_back({pair.slot ? "--slot" : "--chain", pair.chain});
    all.push_back({pair.slot ? "--slot" : "--key", pair.key});
  }
  return all;
}

std::expected<void, std::string> SlotFiles::load(serve::SpeakerOptions& spdm) {
  for (const Pair& pair : files_) {
    auto identity = load_identity(pair.chain, pair.key);
    if (!identity) return std::unexpected(identity.error());
    if (const auto why = serve::why_idle_key(spdm, identity->key.type()); !why.empty())
      return std::unexpected(fmt::format("{}: {}", pair.chain, why));
    warn(pair.chain, identity->chain);
    loaded_.push_back(std::move(*identity));
    (pair.slot ? spdm.slots.single.at(*pair.slot) : spdm.slots.shared) = &loaded_.back();
  }
  return {};
}

}  // namespace teeio::cli
