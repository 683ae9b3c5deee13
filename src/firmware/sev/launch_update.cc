#include <algorithm>

#include "crypto/hash.h"
#include "firmware/sev/launch.h"

// SNP_LAUNCH_UPDATE: a page of the guest's first memory, and what it adds to the digest.

namespace teeio::sev {
namespace {

constexpr std::uint32_t kMaxCpuidFunctions = 64;
constexpr std::size_t kDigest = 48;

bool is_page_type(std::uint8_t type) {
  return type >= static_cast<std::uint8_t>(LaunchPage::kNormal) &&
         type <= static_cast<std::uint8_t>(LaunchPage::kCpuid);
}

/// Source: struct snp_secrets_page: version, flags, family and model, OS workarounds, keys.
Bytes secrets(const GuestContext& guest) {
  constexpr std::uint32_t kVersion = 3;
  Writer page;
  constexpr std::size_t kWorkaroundsAt = 0x10;
  page.le(kVersion).zeros(kWorkaroundsAt - sizeof(kVersion)).bytes(guest.workarounds);
  for (const auto& key : guest.message_keys) page.bytes(key);
  Bytes bytes = page.take();
  bytes.resize(kPageSize);
  return bytes;
}

/// Source: struct snp_cpuid_table: how many functions, and two reserved fields.
bool cpuid_head_is_sound(ByteView page) {
  Reader in(page);
  const auto count = in.le<std::uint32_t>();
  const auto reserved = in.le<std::uint32_t>();
  const auto reserved_too = in.le<std::uint64_t>();
  return count <= kMaxCpuidFunctions && reserved == 0 && reserved_too == 0;
}

/// Only these two are measured with their bytes.
bool has_measured_contents(LaunchPage type) {
  return type == LaunchPage::kNormal || type == LaunchPage::kVmsa;
}

}  // namespace

Status Launch::launch_update(Call& call) {
  Reader in = call.body();
  const Hpa gctx{in.le<std::uint64_t>()};
  const auto flags = in.le<std::uint32_t>();
  const auto reserved = in.le<std::uint32_t>();
  const Hpa page{in.le<std::uint64_t>()};
  const auto permissions = in.le<std::uint32_t>();
  const auto reserved_too = in.le<std::uint32_t>();
  constexpr std::uint32_t kKnownFlags = 0x1f;  // size 0, type 3:1, incoming image 4
  constexpr std::uint32_t kIncoming = 1U << 4U;
  const bool bad = (flags & ~kKnownFlags) != 0 || reserved != 0 || (permissions & 0xffU) != 0 ||
                   reserved_too != 0 || !is_page_aligned(raw(page));
  const auto found = context(call, gctx, bad);
  if (!found) return found.error();
  GuestContext& guest = **found;
  const auto size = (flags & 1U) != 0 ? RmpSize::k2M : RmpSize::k4K;
  const RmpEntry entry = platform_.rmp().entry(page);
  if (platform_.rmp().state(page) != PageState::kPreGuest) return call.refuse("state");
  if (entry.size != size || size != RmpSize::k4K) return call.refuse("size");
  const auto type = static_cast<std::uint8_t>(flags >> 1U & 7U);
  if (!is_page_type(type)) return call.refuse("type");
  if (guest.state != GuestContext::State::kLaunch) return call.refuse("launch");
  if (guest.asid == 0) return call.refuse("inactive");
  if (entry.asid != guest.asid) return call.refuse("owner");
  if ((flags & kIncoming) != 0) return call.refuse("incoming");
  if (platform_.memory().is_mmio(page)) return call.refuse("address");
  return fill(call, {.guest = &guest,
                     .page = page,
                     .type = static_cast<LaunchPage>(type),
                     .permissions = {static_cast<std::uint8_t>(permissions >> 8U),
                                     static_cast<std::uint8_t>(permissions >> 16U),
                                     static_cast<std::uint8_t>(permissions >> 24U)}});
}

Status Launch::fill(Call& call, const Update& update) {
  const hw::KeyId key{static_cast<std::uint16_t>(update.guest->asid)};
  Bytes contents(kPageSize);
  if (!platform_.memory().read(update.page, contents, key)) return call.refuse("address");
  switch (update.type) {
    case LaunchPage::kNormal:
    case LaunchPage::kVmsa:
    case LaunchPage::kUnmeasured:
      break;
    case LaunchPage::kZero:
      std::ranges::fill(contents, std::byte{0});
      break;
    case LaunchPage::kSecrets:
      contents = secrets(*update.guest);
      break;
    case LaunchPage::kCpuid:
      // The values themselves are not judged: the model has no CPUID table to compare with.
      if (!cpuid_head_is_sound(contents)) return call.refuse("cpuid");
      break;
  }
  if (!platform_.memory().write(update.page, contents, key)) return call.refuse("address");
  measure(update, contents);
  platform_.rmp().hand_to_guest(update.page, update.type == LaunchPage::kVmsa);
  return Status::kSuccess;
}

/// Source: 56860, 8.17.2, PAGE_INFO: the digest so far, that of the page, 0x70, the type, and
/// where it goes. The new digest is SHA-384 of it.
void Launch::measure(const Update& update, ByteView contents) {
  constexpr auto kSha384 = crypto::HashAlgorithm::kSha384;
  constexpr std::uint16_t kInfoBytes = 0x70;
  Writer info;
  info.bytes(update.guest->digest);
  if (has_measured_contents(update.type))
    info.bytes(crypto::hash(kSha384, contents));
  else
    info.zeros(kDigest);
  info.le(kInfoBytes).le(static_cast<std::uint8_t>(update.type)).le(std::uint8_t{0});
  for (const std::uint8_t permission : update.permissions) info.le(permission);
  info.le(std::uint8_t{0}).le(raw(platform_.rmp().entry(update.page).gpa));
  const crypto::Digest digest = crypto::hash(kSha384, info.take());
  std::ranges::copy(digest.view(), update.guest->digest.begin());
}

}  // namespace teeio::sev
