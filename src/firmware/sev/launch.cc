#include "firmware/sev/launch.h"

#include <algorithm>

#include "crypto/hash.h"
#include "crypto/random.h"
#include "firmware/sev/id_block.h"

namespace teeio::sev {
namespace {

/// Whether that guest may be the migration agent of one with this policy.
bool may_be_agent(const GuestContext& agent, std::uint64_t policy) {
  const bool may_leave = (policy & kPolicySingleSocket) == 0;
  return (policy & kPolicyMigrationAgent) != 0 && !agent.agent_report_id &&
         (may_leave || (agent.policy & kPolicySingleSocket) != 0);
}

void store_digest(ByteView key_field, std::array<std::byte, 48>& digest) {
  std::ranges::copy(crypto::hash(crypto::HashAlgorithm::kSha384, key_field).view(), digest.begin());
}

}  // namespace

Launch::Launch(Platform& platform, IoGuard& guard) : platform_(platform), guard_(guard) {
  const auto add = [&](const Row& row, Status (Launch::*run)(Call&)) {
    platform.add(row, [this, run](Call& call) { return (this->*run)(call); });
  };
  add(row::kSnpDecommission, &Launch::decommission);
  add(row::kSnpActivate, &Launch::activate);
  add(row::kSnpGuestStatus, &Launch::guest_status);
  add(row::kSnpGctxCreate, &Launch::gctx_create);
  add(row::kSnpLaunchStart, &Launch::launch_start);
  add(row::kSnpLaunchUpdate, &Launch::launch_update);
  add(row::kSnpLaunchFinish, &Launch::launch_finish);
}

std::expected<GuestContext*, Status> Launch::context(Call& call, Hpa gctx, bool reserved) {
  if (reserved || !is_page_aligned(raw(gctx))) return std::unexpected(call.refuse("reserved"));
  if (!platform_.snp()) return std::unexpected(call.refuse("snp"));
  GuestContext* guest = platform_.guest(gctx);
  if (guest == nullptr) return std::unexpected(call.refuse("guest"));
  return guest;
}

Status Launch::gctx_create(Call& call) {
  const Hpa page{call.body().le<std::uint64_t>()};
  if (!is_page_aligned(raw(page))) return call.refuse("reserved");
  if (!platform_.snp()) return call.refuse("snp");
  if (!platform_.rmp().covers(page)) return call.refuse("address");
  if (platform_.rmp().state(page) != PageState::kFirmware) return call.refuse("page");
  if (platform_.rmp().entry(page).size != RmpSize::k4K) return call.refuse("size");
  if (platform_.memory().is_mmio(page)) return call.refuse("mmio");
  platform_.make_guest(page);
  return Status::kSuccess;
}

Status Launch::launch_start(Call& call) {
  constexpr std::uint32_t kAgent = 1, kIncoming = 2, kKnown = kAgent | kIncoming;
  Reader in = call.body();
  const Hpa gctx{in.le<std::uint64_t>()};
  const auto policy = in.le<std::uint64_t>();
  const Hpa agent_page{in.le<std::uint64_t>()};
  const auto flags = in.le<std::uint32_t>();
  in.skip(sizeof(std::uint32_t));  // the guest's TSC frequency
  const ByteView workarounds = in.take(sizeof(GuestContext::workarounds));
  const auto found =
      context(call, gctx, (flags & ~kKnown) != 0 || !is_page_aligned(raw(agent_page)));
  if (!found) return found.error();
  GuestContext& guest = **found;
  if (guest.state != GuestContext::State::kInit) return call.refuse("state");
  const bool wants_agent = (flags & kAgent) != 0;
  const GuestContext* const agent = wants_agent ? platform_.guest(agent_page) : nullptr;
  if (wants_agent && agent == nullptr) return call.refuse("agent");
  if (agent != nullptr && !may_be_agent(*agent, policy)) return call.refuse("policy_agent");
  if ((policy & kPolicyMustBeOne) == 0) return call.refuse("policy_one");
  if ((policy & kPolicyAbi) > kAbiVersion) return call.refuse("policy_abi");
  if ((policy & ~kPolicyBase) != 0) return call.refuse("policy_feature");
  if ((flags & kIncoming) != 0) return call.refuse("incoming");
  guest.agent_report_id.reset();
  if (agent != nullptr) guest.agent_report_id = agent->report_id;
  guest.policy = policy;
  guest.digest = {};
  std::ranges::copy(workarounds, guest.workarounds.begin());
  guest.launch_tcb = Chip::kCurrent.encode();
  crypto::fill_random(guest.report_id);
  for (auto& key : guest.message_keys) crypto::fill_random(key);
  guest.sequence = {};
  guest.state = GuestContext::State::kLaunch;
  return Status::kSuccess;
}

Status Launch::activate(Call& call) {
  Reader in = call.body();
  const Hpa gctx{in.le<std::uint64_t>()};
  const Asid asid = in.le<std::uint32_t>();
  const auto found = context(call, gctx, false);
  if (!found) return found.error();
  GuestContext& guest = **found;
  if (guest.state == GuestContext::State::kInit) return call.refuse("launched");
  if (asid != 0 && platform_.rmp().has_pages(asid)) return call.refuse("pages");
  if (asid == 0 || asid > Rmp::kMaxAsid) return call.refuse("asid");
  if (platform_.guest_of(asid) != nullptr) return call.refuse("owned");
  if (guest.asid != 0) return call.refuse("active");
  if (platform_.dirty_asids().contains(asid)) return call.refuse("flush");
  guest.asid = asid;
  return Status::kSuccess;
}

/// What a good ID block says is the guest's from then on, also when its author's key is refused.
std::optional<Status> Launch::refuse_id_block(Call& call, GuestContext& guest,
                                              const IdOperands& id) {
  Bytes block(IdBlock::kSize);
  Bytes page(IdAuthentication::kSize);
  if (!platform_.memory().read(id.block, block) ||
      !platform_.memory().read(id.authentication, page))
    return call.refuse("id_address");
  const IdBlock said = IdBlock::decode(block);
  const IdAuthentication by = IdAuthentication::decode(page);
  if (said.digest != guest.digest) return call.refuse("id_digest");
  if (said.policy != guest.policy) return call.refuse("id_policy");
  if (by.id_key_algorithm != kEcdsaP384Sha384 ||
      (id.with_author && by.author_key_algorithm != kEcdsaP384Sha384))
    return call.refuse("id_algorithm");
  const auto key = key_of_field(by.id_key);
  if (!key) return call.refuse("id_key");
  if (!is_signed_by(*key, block, by.block_signature)) return call.refuse("id_signature");
  GuestIdentity& identity = guest.identity;
  identity.family_id = said.family_id;
  identity.image_id = said.image_id;
  identity.svn = said.guest_svn;
  store_digest(by.id_key, identity.id_key_digest);
  if (!id.with_author) return std::nullopt;
  const auto author = key_of_field(by.author_key);
  if (!author) return call.refuse("author_key");
  if (!is_signed_by(*author, by.id_key, by.id_key_signature))
    return call.refuse("author_signature");
  store_digest(by.author_key, identity.author_key_digest);
  return std::nullopt;
}

Status Launch::launch_finish(Call& call) {
  constexpr std::uint64_t kIdBlock = 1U, kAuthorKey = 2U, kVcekDisabled = 4U;
  Reader in = call.body();
  const Hpa gctx{in.le<std::uint64_t>()};
  const Hpa block{in.le<std::uint64_t>()};
  const Hpa authentication{in.le<std::uint64_t>()};
  const auto flags = in.le<std::uint64_t>();
  const ByteView host_data = in.take(sizeof(GuestContext::host_data));
  const auto found = context(call, gctx, (flags & ~(kIdBlock | kAuthorKey | kVcekDisabled)) != 0);
  if (!found) return found.error();
  GuestContext& guest = **found;
  const bool with_author = (flags & kAuthorKey) != 0;
  if (guest.state != GuestContext::State::kLaunch) return call.refuse("launch");
  if (guest.asid == 0) return call.refuse("inactive");
  if ((flags & kIdBlock) != 0)
    if (const auto refused = refuse_id_block(call, guest, {block, authentication, with_author}))
      return *refused;
  std::ranges::copy(host_data, guest.host_data.begin());
  guest.identity.author_key_enabled = with_author;
  guest.vcek_disabled = (flags & kVcekDisabled) != 0;
  guest.state = GuestContext::State::kRunning;
  return Status::kSuccess;
}

/// Source: struct sev_data_snp_guest_status: POLICY, ASID, STATE; bit 96 + 32: VCEK_DIS.
Status Launch::guest_status(Call& call) {
  Reader in = call.body();
  const Hpa gctx{in.le<std::uint64_t>()};
  const Hpa out{in.le<std::uint64_t>()};
  constexpr std::size_t kAnswer = 32;
  if (!is_page_aligned(raw(gctx))) return call.refuse("reserved");
  if (Platform::crosses(out, kAnswer)) return call.refuse("crosses");
  const auto found = context(call, gctx, false);
  if (!found) return found.error();
  const GuestContext& guest = **found;
  const Bytes answer = Writer()
                           .le(guest.policy)
                           .le(guest.asid)
                           .le(static_cast<std::uint8_t>(guest.state))
                           .zeros(3)
                           .le(std::uint32_t{guest.vcek_disabled})
                           .zeros(12)
                           .take();
  if (const auto refused = platform_.refuse_answer_page(call, out, answer.size())) return *refused;
  (void)platform_.write_page(out, answer);
  return Status::kSuccess;
}

/// A guest that has TDIs bound keeps its context (model's choice: no source says).
Status Launch::decommission(Call& call) {
  const Hpa gctx{call.body().le<std::uint64_t>()};
  const auto found = context(call, gctx, false);
  if (!found) return found.error();
  const GuestContext& guest = **found;
  if (guest.bound_tdis != 0) return call.refuse("bound");
  if (guest.asid != 0) {
    // The cores use an ASID from the end of the launch.
    if (guest.state == GuestContext::State::kRunning) platform_.dirty_asids().insert(guest.asid);
    guard_.forget(guest.asid);
    platform_.rmp().lose_key(guest.asid);
  }
  platform_.remove_guest(gctx);
  return Status::kSuccess;
}

}  // namespace teeio::sev
