#include "firmware/sev/launch.h"

#include <algorithm>

#include "crypto/random.h"

namespace teeio::sev {
namespace {

constexpr std::uint32_t kAddressLength = 8;  // struct sev_data_snp_addr
constexpr std::uint32_t kActivateLength = 12;
constexpr std::uint32_t kStartLength = 48;
constexpr std::uint32_t kFinishLength = 64;
constexpr std::uint32_t kUpdateLength = 32;
constexpr std::uint32_t kGuestStatusLength = 16;

}  // namespace

Launch::Launch(Platform& platform, IoGuard& guard) : platform_(platform), guard_(guard) {
  const auto row = [&](std::uint16_t number, std::string_view name, std::string_view fails,
                       std::uint32_t length, Status (Launch::*run)(Call&)) {
    platform.add({number, name, fails, length, false,
                  [this, run](Call& call) { return (this->*run)(call); }});
  };
  row(kSnpPlatformStatus, "SNP_PLATFORM_STATUS", {}, kAddressLength, &Launch::platform_status);
  row(kSnpDfFlush, SEV_COMMAND_NAME("SNP_DF_FLUSH"), 0, &Launch::df_flush);
  row(kSnpDecommission, SEV_COMMAND_NAME("SNP_DECOMMISSION"), kAddressLength,
      &Launch::decommission);
  row(kSnpActivate, SEV_COMMAND_NAME("SNP_ACTIVATE"), kActivateLength, &Launch::activate);
  row(kSnpGuestStatus, "SNP_GUEST_STATUS", {}, kGuestStatusLength, &Launch::guest_status);
  row(kSnpGctxCreate, SEV_COMMAND_NAME("SNP_GCTX_CREATE"), kAddressLength, &Launch::gctx_create);
  row(kSnpLaunchStart, SEV_COMMAND_NAME("SNP_LAUNCH_START"), kStartLength, &Launch::launch_start);
  row(kSnpLaunchUpdate, SEV_COMMAND_NAME("SNP_LAUNCH_UPDATE"), kUpdateLength,
      &Launch::launch_update);
  row(kSnpLaunchFinish, SEV_COMMAND_NAME("SNP_LAUNCH_FINISH"), kFinishLength,
      &Launch::launch_finish);
}

GuestContext* Launch::context(Call& call, Hpa gctx, Status& status) {
  if (!platform_.snp()) {
    status = call.refuse(Status::kInvalidPlatformState, "SNP is not initialised");
    return nullptr;
  }
  GuestContext* guest = platform_.guest(gctx);
  if (guest == nullptr)
    status = call.refuse(Status::kInvalidGuest, "the page is no guest's context");
  return guest;
}

/// Source: struct sev_user_data_snp_status of Linux include/uapi/linux/psp-sev.h.
Status Launch::platform_status(Call& call) {
  const Hpa out{call.body().le<std::uint64_t>()};
  constexpr std::uint8_t kRmpInitialised = 1U << 0U;
  Writer status;
  status.le(static_cast<std::uint8_t>(kAbiVersion >> 8U))
      .le(static_cast<std::uint8_t>(kAbiVersion));
  status.le(static_cast<std::uint8_t>(platform_.snp() ? 1 : 0)).le(kRmpInitialised);
  status.le(std::uint32_t{0}).le(std::uint32_t{0});  // build id, features
  status.le(static_cast<std::uint32_t>(guests_));
  status.le(std::uint64_t{0}).le(std::uint64_t{0});  // TCB versions
  if (!platform_.write_page(out, status.take()))
    return call.refuse(Status::kInvalidAddress, "the answer has no place there");
  return Status::kSuccess;
}

Status Launch::df_flush(Call& call) {
  if (!platform_.snp()) return call.refuse(Status::kInvalidPlatformState, "SNP is not initialised");
  dirty_.clear();
  return Status::kSuccess;
}

Status Launch::gctx_create(Call& call) {
  const Hpa page{call.body().le<std::uint64_t>()};
  if (!platform_.snp()) return call.refuse(Status::kInvalidPlatformState, "SNP is not initialised");
  if (!is_page_aligned(raw(page)) || !platform_.rmp().covers(page))
    return call.refuse(Status::kInvalidAddress, "there is no such page");
  if (platform_.rmp().state(page) != PageState::kFirmware)
    return call.refuse(Status::kInvalidPageState, "the page is not Firmware");
  platform_.make_guest(page);
  ++guests_;
  return Status::kSuccess;
}

Status Launch::launch_start(Call& call) {
  Reader in = call.body();
  const Hpa gctx{in.le<std::uint64_t>()};
  const auto policy = in.le<std::uint64_t>();
  in.skip(sizeof(std::uint64_t));  // the migration agent's context
  const auto flags = in.le<std::uint32_t>();
  Status status{};
  GuestContext* guest = context(call, gctx, status);
  if (guest == nullptr) return status;
  if (guest->state != GuestContext::State::kInit)
    return call.refuse(Status::kInvalidGuestState, "the guest is launched already");
  if (flags != 0 || (policy & kPolicyMigrationAgent) != 0)
    return call.refuse(Status::kUnsupported, "no migration agent, no incoming image");
  if ((policy & kPolicyMustBeOne) == 0)
    return call.refuse(Status::kPolicyFailure, "bit 17 of the policy must be one");
  if ((policy & kPolicyAbi) > kAbiVersion)
    return call.refuse(Status::kPolicyFailure, "the policy wants a newer ABI");
  guest->policy = policy;
  guest->digest = {};
  crypto::fill_random(guest->report_id);
  for (auto& key : guest->message_keys) crypto::fill_random(key);
  guest->sequence = {};
  guest->state = GuestContext::State::kLaunch;
  return Status::kSuccess;
}

Status Launch::activate(Call& call) {
  Reader in = call.body();
  const Hpa gctx{in.le<std::uint64_t>()};
  const Asid asid = in.le<std::uint32_t>();
  Status status{};
  GuestContext* guest = context(call, gctx, status);
  if (guest == nullptr) return status;
  if (guest->state == GuestContext::State::kInit)
    return call.refuse(Status::kInvalidGuestState, "the guest's launch has not begun");
  if (guest->asid != 0) return call.refuse(Status::kActive, "the guest has an ASID");
  if (asid == 0 || asid > Rmp::kMaxAsid)
    return call.refuse(Status::kInvalidAsid, "there is no such ASID");
  if (platform_.guest_of(asid) != nullptr)
    return call.refuse(Status::kAsidOwned, "the ASID is another guest's");
  if (dirty_.contains(asid))
    return call.refuse(Status::kDfFlushRequired, "the ASID was used and not flushed");
  guest->asid = asid;
  return Status::kSuccess;
}

Status Launch::launch_finish(Call& call) {
  Reader in = call.body();
  const Hpa gctx{in.le<std::uint64_t>()};
  in.skip(2 * sizeof(std::uint64_t));  // ID block and its authentication
  const auto flags = in.le<std::uint64_t>();
  const ByteView host_data = in.take(sizeof(GuestContext::host_data));
  Status status{};
  GuestContext* guest = context(call, gctx, status);
  if (guest == nullptr) return status;
  if (guest->state != GuestContext::State::kLaunch)
    return call.refuse(Status::kInvalidGuestState, "the guest is not in launch");
  constexpr std::uint64_t kIdBlockEnable = 1U << 0U;
  constexpr std::uint64_t kVcekDisabled = 1U << 2U;
  if ((flags & kIdBlockEnable) != 0)
    return call.refuse(Status::kUnsupported, "an ID block is not modelled");
  if ((flags & ~kVcekDisabled) != 0)
    return call.refuse(Status::kInvalidParam, "a reserved bit is set");
  std::ranges::copy(host_data, guest->host_data.begin());
  guest->state = GuestContext::State::kRunning;
  return Status::kSuccess;
}

/// Source: struct sev_data_snp_guest_status: POLICY, ASID, STATE.
Status Launch::guest_status(Call& call) {
  Reader in = call.body();
  const Hpa gctx{in.le<std::uint64_t>()};
  const Hpa out{in.le<std::uint64_t>()};
  Status status{};
  const GuestContext* guest = context(call, gctx, status);
  if (guest == nullptr) return status;
  Writer answer;
  answer.le(guest->policy).le(guest->asid).le(static_cast<std::uint8_t>(guest->state)).zeros(19);
  if (!platform_.write_page(out, answer.take()))
    return call.refuse(Status::kInvalidAddress, "the answer has no place there");
  return Status::kSuccess;
}

/// A guest that has TDIs bound keeps its context (model's choice: no source says).
Status Launch::decommission(Call& call) {
  const Hpa gctx{call.body().le<std::uint64_t>()};
  Status status{};
  GuestContext* guest = context(call, gctx, status);
  if (guest == nullptr) return status;
  if (guest->bound_tdis != 0) return call.refuse(Status::kInUse, "TDIs are bound to the guest");
  if (guest->asid != 0) {
    dirty_.insert(guest->asid);
    guard_.forget(guest->asid);
  }
  platform_.remove_guest(gctx);
  --guests_;
  return Status::kSuccess;
}

}  // namespace teeio::sev
