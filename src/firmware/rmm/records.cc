#include "firmware/rmm/records.h"

#include <algorithm>

namespace teeio::rmm {
namespace {

/// A page, or a record, that is filled at offsets.
class Page {
 public:
  explicit Page(std::size_t size = kPageSize) : bytes_(size) {}
  template <std::unsigned_integral T>
  Page& at(std::size_t offset, T value) {
    for (std::size_t i = 0; i < sizeof(T); ++i)
      bytes_[offset + i] = static_cast<std::byte>(static_cast<std::uint64_t>(value) >> (8 * i));
    return *this;
  }
  Page& bytes(std::size_t offset, ByteView in, std::size_t limit) {
    std::ranges::copy(in.first(std::min(in.size(), limit)),
                      bytes_.begin() + static_cast<std::ptrdiff_t>(offset));
    return *this;
  }
  [[nodiscard]] Bytes take() { return std::move(bytes_); }

 private:
  Bytes bytes_;
};

template <std::unsigned_integral T>
T get(ByteView page, std::size_t offset) {
  Reader in(page.subspan(std::min(offset, page.size())));
  return in.le<T>();
}

}  // namespace

crypto::HashAlgorithm crypto_hash(HashAlgorithm algorithm) {
  switch (algorithm) {
    case HashAlgorithm::kSha512:
      return crypto::HashAlgorithm::kSha512;
    case HashAlgorithm::kSha384:
      return crypto::HashAlgorithm::kSha384;
    case HashAlgorithm::kSha256:
      break;
  }
  return crypto::HashAlgorithm::kSha256;
}

Bytes RealmFeatures::encode() const {
  return Page()
      .at(0x00, flags)
      .at(0x08, address_bits)
      .at(0x18, breakpoints)
      .at(0x20, watchpoints)
      .at(0x30, hash)
      .take();
}

Bytes RecParams::encode() const {
  return Page()
      .at(0x000, flags)
      .at(0x100, mpidr)
      .at(0x200, pc)
      .bytes(0x300, bytes_of(gprs), sizeof gprs)
      .take();
}

RecParams RecParams::decode(ByteView page) {
  RecParams params{.flags = get<std::uint64_t>(page, 0x000),
                   .mpidr = get<std::uint64_t>(page, 0x100),
                   .pc = get<std::uint64_t>(page, 0x200)};
  for (std::size_t n = 0; n < params.gprs.size(); ++n)
    params.gprs[n] = get<std::uint64_t>(page, 0x300 + 8 * n);
  return params;
}

Bytes PdevParams::encode() const {
  return Page()
      .at(0x00, flags)
      .at(0x08, bridge)
      .at(0x10, id)
      .at(0x18, routing_id)
      .at(0x20, slot)
      .at(0x28, rid_base)
      .at(0x30, rid_top)
      .at(0x38, hash)
      .take();
}

PdevParams PdevParams::decode(ByteView page) {
  return {.flags = get<std::uint64_t>(page, 0x00),
          .bridge = get<std::uint64_t>(page, 0x08),
          .id = get<std::uint64_t>(page, 0x10),
          .routing_id = get<std::uint64_t>(page, 0x18),
          .slot = get<std::uint64_t>(page, 0x20),
          .rid_base = get<std::uint32_t>(page, 0x28),
          .rid_top = get<std::uint32_t>(page, 0x30),
          .hash = get<std::uint8_t>(page, 0x38)};
}

Bytes PublicKeyParams::encode() const {
  return Page()
      .bytes(0, key, kMaxBytes)
      .at(0x800, key_length)
      .at(0x808, metadata_length)
      .at(0x810, algorithm)
      .take();
}

PublicKeyParams PublicKeyParams::decode(ByteView page) {
  PublicKeyParams params{.key = {},
                         .key_length = get<std::uint64_t>(page, 0x800),
                         .metadata_length = get<std::uint64_t>(page, 0x808),
                         .algorithm = get<std::uint8_t>(page, 0x810)};
  const ByteView key =
      page.first(std::min<std::size_t>({page.size(), kMaxBytes, params.key_length}));
  params.key.assign(key.begin(), key.end());
  return params;
}

Bytes StreamParams::encode() const {
  return Page()
      .at(0x08, type)
      .at(0x10, raw(pdev_1))
      .at(0x18, raw(pdev_2))
      .at(0x20, stream_id)
      .at(0x28, range_count)
      .take();
}

StreamParams StreamParams::decode(ByteView page) {
  return {.type = get<std::uint8_t>(page, 0x08),
          .pdev_1 = Hpa{get<std::uint64_t>(page, 0x10)},
          .pdev_2 = Hpa{get<std::uint64_t>(page, 0x18)},
          .stream_id = get<std::uint64_t>(page, 0x20),
          .range_count = get<std::uint64_t>(page, 0x28)};
}

Bytes VdevParams::encode() const {
  Page page;
  page.at(0x00, flags).at(0x08, id).at(0x10, tdi).at(0x30, range_count);
  for (std::size_t i = 0; i < std::min(ranges.size(), kMaxRanges); ++i)
    page.at(0x200 + 16 * i, raw(ranges[i].base)).at(0x208 + 16 * i, raw(ranges[i].top));
  return page.take();
}

VdevParams VdevParams::decode(ByteView page) {
  VdevParams params{.flags = get<std::uint64_t>(page, 0x00),
                    .id = get<std::uint64_t>(page, 0x08),
                    .tdi = get<std::uint64_t>(page, 0x10),
                    .range_count = get<std::uint64_t>(page, 0x30)};
  for (std::size_t i = 0; i < std::min<std::uint64_t>(params.range_count, kMaxRanges); ++i)
    params.ranges.push_back({.base = Hpa{get<std::uint64_t>(page, 0x200 + 16 * i)},
                             .top = Hpa{get<std::uint64_t>(page, 0x208 + 16 * i)}});
  return params;
}

Bytes MeasureParams::encode() const {
  return Page().at(0, flags).bytes(0x100, nonce, nonce.size()).take();
}

MeasureParams MeasureParams::decode(ByteView page) {
  MeasureParams params{.flags = get<std::uint64_t>(page, 0)};
  if (page.size() >= 0x100 + params.nonce.size())
    std::ranges::copy(page.subspan(0x100, params.nonce.size()), params.nonce.begin());
  return params;
}

Bytes PsmmuParams::encode() const { return Page().at(0, flags).take(); }
PsmmuParams PsmmuParams::decode(ByteView page) { return {.flags = get<std::uint64_t>(page, 0)}; }

Bytes CommEnter::encode() const {
  return Page(kSize)
      .at(0x00, status)
      .at(0x08, raw(request))
      .at(0x10, raw(response))
      .at(0x18, response_length)
      .take();
}

CommEnter CommEnter::decode(ByteView in) {
  return {.status = get<std::uint8_t>(in, 0x00),
          .request = Hpa{get<std::uint64_t>(in, 0x08)},
          .response = Hpa{get<std::uint64_t>(in, 0x10)},
          .response_length = get<std::uint64_t>(in, 0x18)};
}

Bytes CommExit::encode() const {
  return Page(kSize)
      .at(0x00, flags)
      .at(0x08, cache_request_offset)
      .at(0x10, cache_request_length)
      .at(0x18, cache_response_offset)
      .at(0x20, cache_response_length)
      .at(0x28, static_cast<std::uint8_t>(object))
      .at(0x30, static_cast<std::uint8_t>(protocol))
      .at(0x40, request_length)
      .at(0x48, timeout)
      .take();
}

CommExit CommExit::decode(ByteView in) {
  return {.flags = get<std::uint64_t>(in, 0x00),
          .cache_request_offset = get<std::uint64_t>(in, 0x08),
          .cache_request_length = get<std::uint64_t>(in, 0x10),
          .cache_response_offset = get<std::uint64_t>(in, 0x18),
          .cache_response_length = get<std::uint64_t>(in, 0x20),
          .object = Object(get<std::uint8_t>(in, 0x28) & 3U),
          .protocol = Protocol(get<std::uint8_t>(in, 0x30) & 1U),
          .request_length = get<std::uint64_t>(in, 0x40),
          .timeout = get<std::uint64_t>(in, 0x48)};
}

std::uint64_t AddressDescriptor::encode() const {
  return static_cast<std::uint64_t>(3U - level) | (count & 0x3ffU) << 2U |
         (raw(base) & 0x000f'ffff'ffff'f000U) | static_cast<std::uint64_t>(undelegated) << 63U;
}

AddressDescriptor AddressDescriptor::decode(std::uint64_t word) {
  return {.base = Hpa{word & 0x000f'ffff'ffff'f000U},
          .count = word >> 2U & 0x3ffU,
          .level = static_cast<std::uint8_t>(3U - (word & 3U)),
          .undelegated = word >> 63U != 0};
}

Bytes VdevInfo::encode() const {
  constexpr std::size_t kBytes = 0x200;
  constexpr std::size_t kDigest = 64;
  constexpr std::uint8_t kTdisp = 1;
  constexpr std::uint64_t kVersion1_0 = 1U << 16U;
  return Page(kBytes)
      .at(0x08, slot)
      .at(0x10, hash)
      .at(0x18, lock_nonce)
      .at(0x20, measurements_nonce)
      .at(0x28, report_nonce)
      .at(0x30, kTdisp)
      .at(0x38, kVersion1_0)
      .at(0x40, state)
      .bytes(0x80, vca, kDigest)
      .bytes(0xc0, certificate, kDigest)
      .bytes(0x140, measurements, kDigest)
      .bytes(0x180, report, kDigest)
      .take();
}

Bytes RecEnter::encode() const {
  return Page().at(0x0, flags).bytes(0x200, bytes_of(gprs), sizeof gprs).take();
}

RecEnter RecEnter::decode(ByteView page) {
  RecEnter enter{.flags = get<std::uint64_t>(page, 0x0)};
  for (std::size_t n = 0; n < enter.gprs.size(); ++n)
    enter.gprs[n] = get<std::uint64_t>(page, 0x200 + 8 * n);
  return enter;
}

Bytes RecExitRecord::encode() const {
  Page page(kPageSize - kOffset);
  page.at(0x0, static_cast<std::uint64_t>(reason))
      .at(0x100, esr)
      .at(0x108, far)
      .at(0x110, hpfar)
      .bytes(0x200, bytes_of(gprs), sizeof gprs)
      .at(0x600, imm);
  if (reason == RecExit::kRipasChange) page.at(0x500, base).at(0x508, top).at(0x510, ripas);
  page.at(0x530, vdev_id);
  if (reason == RecExit::kDevMemMap) page.at(0x540, base).at(0x548, top).at(0x550, pa);
  return page.take();
}

RecExitRecord RecExitRecord::decode(ByteView in) {
  RecExitRecord record{.reason = static_cast<RecExit>(get<std::uint64_t>(in, 0x0)),
                       .esr = get<std::uint64_t>(in, 0x100),
                       .far = get<std::uint64_t>(in, 0x108),
                       .hpfar = get<std::uint64_t>(in, 0x110),
                       .ripas = get<std::uint8_t>(in, 0x510),
                       .vdev_id = get<std::uint64_t>(in, 0x530),
                       .pa = get<std::uint64_t>(in, 0x550),
                       .imm = get<std::uint32_t>(in, 0x600)};
  const bool ripas_change = record.reason == RecExit::kRipasChange;
  record.base = get<std::uint64_t>(in, ripas_change ? 0x500 : 0x540);
  record.top = get<std::uint64_t>(in, ripas_change ? 0x508 : 0x548);
  for (std::size_t n = 0; n < record.gprs.size(); ++n)
    record.gprs[n] = get<std::uint64_t>(in, 0x200 + 8 * n);
  return record;
}

}  // namespace teeio::rmm
