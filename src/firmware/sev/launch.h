#pragma once

#include <cstdint>
#include <expected>
#include <optional>

#include "firmware/sev/io_guard.h"
#include "firmware/sev/platform.h"

namespace teeio::sev {

/// Numbers of the launch commands. Source: Linux include/linux/psp-sev.h.
inline constexpr std::uint16_t kSnpDecommission = 0x090;
inline constexpr std::uint16_t kSnpActivate = 0x091;
inline constexpr std::uint16_t kSnpGuestStatus = 0x092;
inline constexpr std::uint16_t kSnpGctxCreate = 0x093;
inline constexpr std::uint16_t kSnpLaunchStart = 0x0a0;
inline constexpr std::uint16_t kSnpLaunchUpdate = 0x0a1;
inline constexpr std::uint16_t kSnpLaunchFinish = 0x0a2;

/// PAGE_TYPE of SNP_LAUNCH_UPDATE. Source: 56860, "SNP_LAUNCH_UPDATE"; Linux psp-sev.h.
enum class LaunchPage : std::uint8_t {
  kNormal = 1,
  kVmsa = 2,
  kZero = 3,
  kUnmeasured = 4,
  kSecrets = 5,
  kCpuid = 6,
};

/// POLICY's bits that the firmware looks at. Source: 56860, 4.3, "Guest policy".
inline constexpr std::uint64_t kPolicyAbi = 0xffff;  ///< major 15:8, minor 7:0
inline constexpr std::uint64_t kPolicyMustBeOne = 1U << 17U;
inline constexpr std::uint64_t kPolicyMigrationAgent = 1U << 18U;
inline constexpr std::uint64_t kPolicyDebug = 1U << 19U;
inline constexpr std::uint64_t kPolicySingleSocket = 1U << 20U;
/// What a guest may ask of a firmware that has no features: ABI version, SMT, bit 17, the
/// migration agent, debugging, one socket. Source: Linux psp-sev.h, SNP_POLICY_MASK_BASE.
inline constexpr std::uint64_t kPolicyBase = 0x1f'ffff;

/// A page's place in the secrets page: key 0 begins here, 32 bytes each.
/// Source: 56860, "Secrets page format"; Linux asm/sev.h, struct snp_secrets_page.
inline constexpr std::size_t kSecretsKeys = 32;

/// SNP guests' lives: context, launch with its measurement, activation of an ASID, and the
/// end. Adds its commands to the mailbox.
///
/// What each command looks at, in its order, is in rows_guest.cc. An incoming image is refused
/// with UNSUPPORTED.
///
/// Lifetime: as the platform. Locking: inside of the platform's command.
class Launch {
 public:
  Launch(Platform& platform, IoGuard& guard);

 private:
  Status gctx_create(Call& call);
  Status launch_start(Call& call);
  Status activate(Call& call);
  Status launch_update(Call& call);
  Status launch_finish(Call& call);
  Status guest_status(Call& call);
  Status decommission(Call& call);

  struct Update {
    GuestContext* guest;
    Hpa page;
    LaunchPage type;
    std::uint8_t permissions[3];  ///< VMPL 3, 2, 1
  };
  Status fill(Call& call, const Update& update);
  /// LAUNCH_FINISH's ID block, its authentication, and whether an author's key is in that.
  struct IdOperands {
    Hpa block, authentication;
    bool with_author;
  };
  std::optional<Status> refuse_id_block(Call& call, GuestContext& guest, const IdOperands& id);
  void measure(const Update& update, ByteView contents);
  /// The guest of the context page in the buffer; else refused by "snp" or "guest".
  std::expected<GuestContext*, Status> context(Call& call, Hpa gctx, bool reserved);

  Platform& platform_;
  IoGuard& guard_;
};

}  // namespace teeio::sev
