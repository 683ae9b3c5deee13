#include <algorithm>

#include "firmware/sev/platform.h"

// What the platform's own commands do: rows_platform.cc says what each is for.

namespace teeio::sev {
namespace {

constexpr std::uint8_t kMajor = kAbiVersion >> 8U;
constexpr std::uint8_t kMinor = kAbiVersion & 0xffU;

bool all_zero(ByteView bytes) {
  return std::ranges::all_of(bytes, [](std::byte b) { return b == std::byte{0}; });
}

}  // namespace

void Platform::add_commands() {
  const auto add_row = [this](const Row& row, Status (Platform::*run)(Call&)) {
    add(row, [this, run](Call& call) { return (this->*run)(call); });
  };
  add_row(row::kPlatformStatus, &Platform::platform_status);
  add_row(row::kGetId, &Platform::get_id);
  add_row(row::kSnpPlatformStatus, &Platform::snp_platform_status);
  add_row(row::kSnpDfFlush, &Platform::df_flush);
  add_row(row::kSnpInitEx, &Platform::snp_init);
  add_row(row::kSnpShutdownEx, &Platform::snp_shutdown);
  add_row(row::kSnpPageReclaim, &Platform::page_reclaim);
  add_row(row::kSnpConfig, &Platform::config);
  add_row(row::kSnpVlekLoad, &Platform::vlek_load);
  add_row(row::kSnpFeatureInfo, &Platform::feature_info);
  add(row::kSnpCommit, [this](Call& call) {
    if (call.body().le<std::uint32_t>() != row::kSnpCommit.length) return call.refuse("says");
    chip_.committed = Chip::kCurrent;
    return Status::kSuccess;
  });
}

std::optional<Status> Platform::refuse_answer_page(Call& call, Hpa page, std::size_t size_bytes) {
  if (crosses(page, size_bytes) || !rmp_.covers(page_of(page))) return call.refuse("address");
  const PageState state = rmp_.state(page_of(page));
  const bool early = !snp_ && state == PageState::kHypervisor;
  if (state != PageState::kFirmware && !early) return call.refuse("page");
  if (rmp_.entry(page_of(page)).size != RmpSize::k4K) return call.refuse("size");
  return std::nullopt;
}

/// A command whose buffer takes the answer.
std::optional<Status> Platform::refuse_own_buffer(Call& call) {
  const PageState state = rmp_.state(page_of(call.buffer()));
  if (state == PageState::kFirmware || (!snp_ && state == PageState::kHypervisor))
    return std::nullopt;
  return call.refuse("buffer");
}

/// SEV and SEV-ES are never initialised here: SEV_STATE_UNINIT.
Status Platform::platform_status(Call& call) {
  if (const auto refused = refuse_own_buffer(call)) return *refused;
  (void)write_page(call.buffer(), Writer().le(kMajor).le(kMinor).zeros(10).take());
  return Status::kSuccess;
}

/// Of a machine with one socket.
Status Platform::get_id(Call& call) {
  constexpr std::size_t kLengthAt = 8;
  Reader in = call.body();
  const Hpa out{in.le<std::uint64_t>()};
  const auto room = in.le<std::uint32_t>();
  if (const auto refused = refuse_own_buffer(call)) return *refused;
  const Bytes length = Writer().le(static_cast<std::uint32_t>(Chip::kIdSize)).take();
  if (raw(out) == 0 || room < Chip::kIdSize) {
    (void)write_page(call.buffer() + kLengthAt, length);
    return call.refuse("length");
  }
  if (const auto refused = refuse_answer_page(call, out, Chip::kIdSize)) return *refused;
  (void)write_page(out, chip_.id());
  (void)write_page(call.buffer() + kLengthAt, length);
  return Status::kSuccess;
}

/// struct sev_user_data_snp_status.
Status Platform::snp_platform_status(Call& call) {
  constexpr std::uint8_t kRmpInitialised = 1U << 0U;
  constexpr std::uint32_t kHasFeatureInfo = 1U << 3U;
  const Hpa out{call.body().le<std::uint64_t>()};
  Writer status;
  status.le(kMajor).le(kMinor);
  status.le(static_cast<std::uint8_t>(snp_ ? 1 : 0)).le(kRmpInitialised);
  status.le(std::uint32_t{0});  // build
  status.le(static_cast<std::uint32_t>(chip_.mask_id ? 1 : 0) |
            static_cast<std::uint32_t>(chip_.mask_key ? 2 : 0) | kHasFeatureInfo);
  status.le(static_cast<std::uint32_t>(std::ranges::count_if(
      guests_, [](const auto& at) { return at.second.state != GuestContext::State::kInit; })));
  status.le(Chip::kCurrent.encode()).le(chip_.reported.encode());
  const Bytes answer = status.take();
  if (crosses(out, answer.size())) return call.refuse("crosses");
  if (const auto refused = refuse_answer_page(call, out, answer.size())) return *refused;
  (void)write_page(out, answer);
  if (rmp_.state(page_of(out)) == PageState::kFirmware) rmp_.let_go(page_of(out));
  return Status::kSuccess;
}

/// Whether SNP is initialised or not.
Status Platform::df_flush(Call&) {
  dirty_.clear();
  return Status::kSuccess;
}

Status Platform::snp_init(Call& call) {
  constexpr std::uint32_t kKnown = kInitRmp | kInitList | kInitTioEnable;
  constexpr std::size_t kReservedWord = 4, kListAddress = 8;
  Reader in = call.body();
  const auto flags = in.le<std::uint32_t>();
  const bool reserved = !all_zero(in.take(kReservedWord));
  in.skip(kListAddress);
  if ((flags & ~kKnown) != 0 || reserved || !all_zero(in.rest())) return call.refuse("reserved");
  if (snp_) return call.refuse("again");
  const bool new_rmp = (flags & kInitRmp) != 0;
  if (!new_rmp && rmp_.assigned() == 0) return call.refuse("rmp");
  if (!new_rmp && (flags & kInitList) != 0) return call.refuse("list");
  if ((flags & kInitTioEnable) != 0 && !options_.tio) return call.refuse("tio");
  snp_ = true;
  tio_ = (flags & kInitTioEnable) != 0;
  return Status::kSuccess;
}

/// An ASID that a guest has keeps SNP alive; a guest without one is forgotten.
Status Platform::snp_shutdown(Call& call) {
  constexpr std::uint32_t kIommu = 1U << 0U;  // iommu_snp_shutdown
  constexpr std::uint32_t kX86 = 1U << 1U;    // x86_snp_shutdown
  if (!snp_) return Status::kSuccess;
  const bool active =
      std::ranges::any_of(guests_, [](const auto& at) { return at.second.asid != 0; });
  if (active || !dirty_.empty()) return call.refuse("flush");
  Reader in = call.body();
  if (in.le<std::uint32_t>() != row::kSnpShutdownEx.length) return call.refuse("says");
  const auto flags = in.le<std::uint32_t>();
  if ((flags & ~(kIommu | kX86)) != 0) return call.refuse("reserved");
  if ((flags & kX86) != 0 && (flags & kIommu) == 0) return call.refuse("x86");
  while (!guests_.empty()) remove_guest(guests_.begin()->second.page);
  snp_ = tio_ = false;
  if (shutdown_) shutdown_();
  return Status::kSuccess;
}

Status Platform::page_reclaim(Call& call) {
  const auto operand = call.body().le<std::uint64_t>();
  const auto size = (operand & 1U) != 0 ? RmpSize::k2M : RmpSize::k4K;
  const Hpa page{operand & ~std::uint64_t{1}};
  if (!is_page_aligned(raw(page))) return call.refuse("reserved");
  if (!snp_) return call.refuse("snp");
  if (!rmp_.covers(page)) return call.refuse("address");
  const RmpEntry entry = rmp_.entry(page);
  if (entry.size != size) return call.refuse("size");
  if (raw(page) % bytes_of_size(size) != 0) return call.refuse("aligned");
  if (!entry.immutable) return Status::kSuccess;
  if (rmp_.state(page) == PageState::kContext) return call.refuse("state");
  rmp_.reclaim(page);
  return Status::kSuccess;
}

/// A version of 0 is the committed one: virtee/sev's Firmware::snp_reset_config() sends zeros.
Status Platform::config(Call& call) {
  Reader in = call.body();
  const auto word = in.le<std::uint64_t>();
  const auto mask = in.le<std::uint32_t>();
  if ((word & kTcbReserved) != 0 || (mask & ~3U) != 0 || !all_zero(in.rest()))
    return call.refuse("reserved");
  const TcbVersion wanted = word == 0 ? chip_.committed : TcbVersion::decode(word);
  if (!wanted.at_most(chip_.committed)) return call.refuse("tcb");
  chip_.reported = wanted;
  chip_.mask_id = (mask & 1U) != 0;
  chip_.mask_key = (mask & 2U) != 0;
  return Status::kSuccess;
}

/// Nobody but AMD wraps hashsticks: none is ever authentic.
Status Platform::vlek_load(Call& call) {
  constexpr std::size_t kHashstick = 432;  // struct sev_user_data_snp_wrapped_vlek_hashstick
  constexpr std::size_t kTcbAt = 0x190;
  Reader in = call.body();
  const auto length = in.le<std::uint32_t>();
  const auto version = in.le<std::uint8_t>();
  const bool reserved = !all_zero(in.take(3));
  const Hpa stick{in.le<std::uint64_t>()};
  if (length != row::kSnpVlekLoad.length) return call.refuse("says");
  if (version != 0) return call.refuse("version");
  if (reserved) return call.refuse("reserved");
  const auto wrapped = read_page(stick, kHashstick);
  if (!wrapped) return call.refuse("address");
  const auto tcb = Reader(ByteView(*wrapped).subspan(kTcbAt)).le<std::uint64_t>();
  return call.refuse(tcb == chip_.reported.encode() ? "authentic" : "tcb");
}

Status Platform::feature_info(Call& call) {
  Reader in = call.body();
  const auto length = in.le<std::uint32_t>();
  const auto function = in.le<std::uint32_t>();
  const Hpa out{in.le<std::uint64_t>()};
  const Bytes info = Writer().le(0U).le(feature_ebx()).le(0U).le(0U).take();
  if (length != row::kSnpFeatureInfo.length) return call.refuse("says");
  if (raw(out) % sizeof(std::uint32_t) != 0) return call.refuse("address");
  if (const auto refused = refuse_answer_page(call, out, info.size())) return *refused;
  if (function != 0) return call.refuse("function");
  (void)write_page(out, info);
  return Status::kSuccess;
}

}  // namespace teeio::sev
