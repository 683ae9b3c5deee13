#include "hw/ide_port.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "hw/find_capability.h"

namespace teeio::hw {
namespace {

// Offsets in the capability and in a selective stream's register block.
constexpr std::uint16_t kIdeCapabilities = 0x04;
constexpr std::uint16_t kFirstBlock = 0x0c;
constexpr std::uint16_t kStreamCapabilities = 0x00;
constexpr std::uint16_t kIdeControl = 0x04;
constexpr std::uint16_t kIdeStatus = 0x08;
constexpr std::uint16_t kRid1 = 0x0c;
constexpr std::uint16_t kRid2 = 0x10;
constexpr std::uint16_t kAddress = 0x14;
constexpr std::uint16_t kAddressBlockSize = 12;
constexpr std::uint16_t kBlockSize = kAddress + IdePort::kAddressBlocks * kAddressBlockSize;
constexpr std::uint16_t kLinkBlockSize = 8;  // control, status

constexpr std::uint32_t kLinkSupported = 0x01;
constexpr std::uint32_t kSelectiveSupported = 0x02;
constexpr std::uint32_t kIdeKmSupported = 0x40;
constexpr unsigned kLinkCount = 13;    // shift of the number of link streams less one
constexpr unsigned kStreamCount = 16;  // the same of selective ones

constexpr std::uint32_t kIdeEnable = 1;
constexpr unsigned kTrafficClass = 19;  // shift, bits 21:19
constexpr unsigned kStreamId = 24;
// Enable, algorithm, TC, stream id; a selective stream's also default.
constexpr std::uint32_t kLinkWritable = 0xff3f'c001;
constexpr std::uint32_t kSelectiveWritable = kLinkWritable | 1U << 22U;
constexpr std::uint32_t kAlgorithm = 0x1fU << 14U;  // 0: AES-GCM-256, 96-bit MAC
constexpr std::uint32_t kHeaderMode = 0xfU << 10U;
constexpr std::uint32_t kLastHeaderMode = 4U << 10U;  // Address[41:2]
// What says how TLPs are protected: aggregation, PCRC, header encryption, algorithm.
constexpr std::uint32_t kProtection = 0x1fcU | kHeaderMode | kAlgorithm;
constexpr std::uint32_t kSecure = 2;
constexpr std::uint32_t kFailMessage = 0x8000'0000;
constexpr std::uint32_t kRidWritable = 0x00ff'ff00;
constexpr std::uint32_t kRid2Writable = 0xffff'ff01;
constexpr std::uint32_t kValid = 1;

std::uint32_t capability_bits(std::size_t streams, const IdeOffer& offer) {
  std::uint32_t bits = kSelectiveSupported | kIdeKmSupported |
                       static_cast<std::uint32_t>(streams - 1) << kStreamCount;
  if (offer.links != 0) bits |= kLinkSupported | (offer.links - 1) << kLinkCount;
  for (const IdeFeature& row : kIdeFeatures)
    if ((offer.features & row.feature) != 0) bits |= row.capability;
  return bits;
}

/// The fields of a control register that features stand behind.
std::uint32_t offered_control(const IdeOffer& offer, bool of_link) {
  std::uint32_t bits = 0;
  for (const IdeFeature& row : kIdeFeatures)
    if ((offer.features & row.feature) != 0 && (row.of_links || !of_link)) bits |= row.control;
  return bits;
}

bool is_possible(std::uint32_t control) {
  return (control & kAlgorithm) == 0 && (control & kHeaderMode) <= kLastHeaderMode;
}

std::uint16_t rid_in(std::uint32_t association) {
  return static_cast<std::uint16_t>(association >> 8U);
}

std::size_t index(IdeKeySlot slot) {
  return std::to_underlying(slot.direction) * std::size_t{3} + std::to_underlying(slot.sub_stream);
}

// FNV-1a, 64 bits: tells equal keys from different ones and nothing more.
std::uint64_t digest(ByteView key) {
  std::uint64_t hash = 0xcbf2'9ce4'8422'2325;
  for (const std::byte b : key)
    hash = (hash ^ std::to_integer<std::uint64_t>(b)) * 0x0000'0100'0000'01b3;
  return hash;
}

}  // namespace

IdePort::IdePort(ConfigSpace& config, std::size_t streams, const IdeOffer& offer)
    : config_(config),
      links_(offer.links),
      offset_(config.add_extended_capability(
          kExtendedIde, 1,
          static_cast<std::uint16_t>(kFirstBlock + links_ * kLinkBlockSize +
                                     streams * kBlockSize))),
      slots_(streams + links_) {
  TEEIO_CHECK(streams >= 1 && streams <= kMaxStreams && links_ <= IdeOffer::kMaxLinks,
              "a port has too few or too many IDE streams");
  config_.set(static_cast<std::uint16_t>(offset_ + kIdeCapabilities), 4,
              capability_bits(streams, offer));
  for (std::size_t n = 0; n < blocks(); ++n) {
    const std::uint32_t bare = is_link(n) ? kLinkWritable : kSelectiveWritable;
    config_.set_writable(control_reg(n), 4, bare | offered_control(offer, is_link(n)));
    config_.set_write_one_clears(status_reg(n), 4, kFailMessage);
    if (!is_link(n)) add_association(n);
  }
}

void IdePort::add_association(std::size_t block) {
  config_.set(reg(block, kStreamCapabilities), 4, kAddressBlocks);
  config_.set_writable(reg(block, kRid1), 4, kRidWritable);
  config_.set_writable(reg(block, kRid2), 4, kRid2Writable);
  for (std::uint16_t a = 0; a < kAddressBlocks; ++a) {
    const auto at = static_cast<std::uint16_t>(kAddress + a * kAddressBlockSize);
    config_.set_writable(reg(block, at), 4, 0xffff'ff01);
    config_.set_writable(reg(block, at + 4), 4, 0xffff'ffff);
    config_.set_writable(reg(block, at + 8), 4, 0xffff'ffff);
  }
}

std::uint16_t IdePort::size_bytes() const {
  return static_cast<std::uint16_t>(kFirstBlock + links_ * kLinkBlockSize + streams() * kBlockSize);
}

/// Of a selective stream, whose blocks follow those of the link streams.
std::uint16_t IdePort::reg(std::size_t block, std::uint16_t offset) const {
  return static_cast<std::uint16_t>(offset_ + kFirstBlock + links_ * kLinkBlockSize +
                                    block * kBlockSize + offset);
}

std::uint16_t IdePort::control_reg(std::size_t block) const {
  if (!is_link(block)) return reg(block, kIdeControl);
  return static_cast<std::uint16_t>(offset_ + kFirstBlock + (block - streams()) * kLinkBlockSize);
}

std::uint32_t IdePort::control(std::size_t block) const {
  return config_.read(control_reg(block), 4);
}

void IdePort::set_control(std::size_t block, std::uint32_t value) {
  config_.set(control_reg(block), 4, value);
}

/// A link stream has everything that no selective one has: software has only to name it.
bool IdePort::has_association(std::size_t block) const {
  if (is_link(block)) return enable_bit(block) || stream_id(block) != 0;
  return (config_.read(reg(block, kRid2), 4) & kValid) != 0;
}

bool IdePort::enable_bit(std::size_t block) const { return (control(block) & kIdeEnable) != 0; }

bool IdePort::has_programmed_set(std::size_t block) const {
  return std::ranges::any_of(slots_[block].keys, [](const auto& set) {
    return std::ranges::all_of(set, &Key::programmed);
  });
}

bool IdePort::all_running(std::size_t block) const {
  const auto& [set_0, set_1] = slots_[block].keys;
  for (std::size_t i = 0; i < kKeysOfSet; ++i)
    if (!set_0.at(i).running && !set_1.at(i).running) return false;
  return true;
}

std::size_t IdePort::free_streams() const {
  std::size_t count = 0;
  for (std::size_t n = 0; n < streams(); ++n)
    if (state(n) == IdeStreamState::kFree) ++count;
  return count;
}

IdeStreamState IdePort::state(std::size_t block) const {
  if (slots_[block].blocked) return IdeStreamState::kBlocked;
  if (!has_association(block)) return IdeStreamState::kFree;
  const bool running = all_running(block);
  if (running && enable_bit(block) && is_possible(control(block))) return IdeStreamState::kEnabled;
  if (running || has_programmed_set(block)) return IdeStreamState::kKeys;
  return IdeStreamState::kConfigured;
}

void IdePort::update_status(std::size_t block) {
  const std::uint32_t before = config_.read(status_reg(block), 4);
  const std::uint32_t kept = before & kFailMessage;
  const std::uint32_t protection = control(block) & kProtection;
  const bool same = std::exchange(slots_[block].protection, protection) == protection;
  const bool secure = state(block) == IdeStreamState::kEnabled;
  // 6.33.4: a stream that leaves Secure forgets its keys, whatever made it leave.
  const bool leaves = (before & kSecure) != 0 && (!secure || !same);
  if (leaves) slots_[block].keys = {};
  config_.set(status_reg(block), 4, kept | (secure && !leaves ? kSecure : 0U));
  ++generation_;
}

void IdePort::registers_written() {
  for (std::size_t n = 0; n < blocks(); ++n) update_status(n);
}

std::uint8_t IdePort::stream_id(std::size_t block) const {
  return static_cast<std::uint8_t>(control(block) >> kStreamId);
}

std::uint8_t IdePort::traffic_class(std::size_t block) const {
  return static_cast<std::uint8_t>(control(block) >> kTrafficClass & 7U);
}

std::optional<std::size_t> IdePort::find(std::uint8_t id) const {
  for (std::size_t n = 0; n < blocks(); ++n)
    if (state(n) != IdeStreamState::kFree && stream_id(n) == id) return n;
  return std::nullopt;
}

std::optional<std::size_t> IdePort::find_requester(std::uint16_t rid) const {
  std::optional<std::size_t> found;
  for (std::size_t n = 0; n < streams(); ++n) {
    if (!has_association(n)) continue;
    if (rid < rid_in(config_.read(reg(n, kRid2), 4)) ||
        rid > rid_in(config_.read(reg(n, kRid1), 4)))
      continue;
    if (state(n) == IdeStreamState::kEnabled) return n;
    if (!found) found = n;
  }
  return found;
}

/// An association that is not valid is an empty range.
IdeAssociation::Range IdePort::range(std::size_t block, std::size_t number) const {
  const auto at = static_cast<std::uint16_t>(kAddress + number * kAddressBlockSize);
  const std::uint32_t low = config_.read(reg(block, at), 4);
  if ((low & kValid) == 0) return {.base = 1, .last = 0};
  constexpr std::uint64_t kGranule = 1U << 20U;
  const auto address = [&](std::uint16_t upper, unsigned shift) {
    return std::uint64_t{config_.read(reg(block, upper), 4)} << 32U |
           std::uint64_t{low >> shift & 0xfffU} << 20U;
  };
  return {.base = address(static_cast<std::uint16_t>(at + 8), 8),
          .last = address(static_cast<std::uint16_t>(at + 4), 20) + kGranule - 1};
}

bool IdePort::has_address(std::uint64_t address) const {
  for (std::size_t n = 0; n < streams(); ++n) {
    if (state(n) != IdeStreamState::kEnabled) continue;
    for (std::size_t a = 0; a < kAddressBlocks; ++a) {
      const IdeAssociation::Range found = range(n, a);
      if (address >= found.base && address <= found.last) return true;
    }
  }
  return false;
}

Result<void> IdePort::configure(std::size_t block, const IdeAssociation& association) {
  if (block >= streams()) return fail(Errno::kInval, "the port has no such IDE stream");
  if (association.rid_last < association.rid_first)
    return fail(Errno::kInval, "the stream's requester range is empty");
  if (association.memory.size() > kAddressBlocks)
    return fail(Errno::kInval, "the stream has too many memory ranges");
  for (const IdeAssociation::Range& range : association.memory)
    if (range.last < range.base) return fail(Errno::kInval, "the stream's memory range is empty");
  if (state(block) != IdeStreamState::kFree)
    return fail(Errno::kBusy, "the IDE stream is not free");
  if (find(association.stream_id)) return fail(Errno::kBusy, "the stream id is in use");
  write_association(block, association);
  update_status(block);
  return {};
}

void IdePort::write_association(std::size_t block, const IdeAssociation& association) {
  config_.set(reg(block, kRid1), 4, static_cast<std::uint32_t>(association.rid_last) << 8U);
  config_.set(reg(block, kRid2), 4,
              kValid | static_cast<std::uint32_t>(association.rid_first) << 8U |
                  static_cast<std::uint32_t>(association.segment) << 24U);
  for (std::size_t n = 0; n < association.memory.size(); ++n) {
    const auto at = static_cast<std::uint16_t>(kAddress + n * kAddressBlockSize);
    const auto [base, last] = association.memory[n];
    config_.set(reg(block, at), 4,
                static_cast<std::uint32_t>(kValid | (base >> 20U & 0xfffU) << 8U |
                                           (last >> 20U & 0xfffU) << 20U));
    config_.set(reg(block, at + 4), 4, static_cast<std::uint32_t>(last >> 32U));
    config_.set(reg(block, at + 8), 4, static_cast<std::uint32_t>(base >> 32U));
  }
  set_control(block, std::uint32_t{association.stream_id} << kStreamId);
}

Result<IdePort::Key*> IdePort::key(std::size_t block, IdeKeySlot slot) {
  if (block >= slots_.size()) return fail(Errno::kInval, "the port has no such IDE stream");
  if (slot.key_set > 1 || index(slot) >= kKeysOfSet)
    return fail(Errno::kInval, "there is no such IDE key");
  if (slots_[block].blocked) return fail(Errno::kIo, "the IDE stream is blocked");
  if (!has_association(block)) return fail(Errno::kNxio, "the IDE stream is not configured");
  return &slots_[block].keys[slot.key_set][index(slot)];
}

Result<std::uint64_t> IdePort::program_key(std::size_t block, IdeKeySlot slot, ByteView bytes) {
  if (bytes.size() != kKeyBytes) return fail(Errno::kInval, "an IDE key has 256 bits");
  TEEIO_ASSIGN(Key * target, key(block, slot));
  if (target->running) return fail(Errno::kBusy, "the IDE key is in use");
  target->programmed = true;
  update_status(block);
  return digest(bytes);
}

Result<void> IdePort::go(std::size_t block, IdeKeySlot slot) {
  TEEIO_ASSIGN(Key * target, key(block, slot));
  if (!target->programmed) return fail(Errno::kNxio, "the IDE key is not programmed");
  Key& other = slots_[block].keys[1U - slot.key_set][index(slot)];
  if (other.running) other = {};
  target->running = true;
  update_status(block);
  return {};
}

Result<void> IdePort::stop(std::size_t block, IdeKeySlot slot) {
  TEEIO_ASSIGN(Key * target, key(block, slot));
  if (!target->running) return fail(Errno::kNxio, "the IDE key is not in use");
  *target = {};  // a stopped key never starts again
  update_status(block);
  return {};
}

void IdePort::forget_keys(std::size_t block) {
  if (block >= slots_.size() || slots_[block].blocked) return;
  slots_[block].keys = {};
  update_status(block);
}

Result<void> IdePort::enable(std::size_t block) {
  TEEIO_TRY(key(block, {}));
  if (!all_running(block)) return fail(Errno::kNxio, "IDE keys are missing");
  set_control(block, control(block) | kIdeEnable);
  update_status(block);
  return {};
}

Result<void> IdePort::block(std::size_t block) {
  if (block >= slots_.size()) return fail(Errno::kInval, "the port has no such IDE stream");
  if (slots_[block].blocked) return fail(Errno::kAlready, "the IDE stream is blocked");
  if (!has_association(block)) return fail(Errno::kNxio, "the IDE stream is not configured");
  slots_[block] = {.keys = {}, .blocked = true};
  set_control(block, control(block) & ~kIdeEnable);
  update_status(block);
  return {};
}

Result<void> IdePort::release(std::size_t block) {
  if (block >= slots_.size()) return fail(Errno::kInval, "the port has no such IDE stream");
  slots_[block] = {};
  if (is_link(block))
    set_control(block, 0);
  else
    for (std::uint16_t at = kIdeControl; at < kBlockSize; at += 4)
      config_.set(reg(block, at), 4, 0);
  update_status(block);
  return {};
}

}  // namespace teeio::hw
