#include "wire/spdm_certificates.h"

#include <algorithm>
#include <bit>

#include "base/check.h"
#include "wire/spdm_codec.h"

namespace teeio::wire {
namespace {

constexpr unsigned kSlotMask = 0x0f;
constexpr unsigned kLarge = 0x80;              ///< param1, 1.4
constexpr unsigned kSlotSizeRequested = 0x01;  ///< param2 of GET_CERTIFICATE, 1.3
constexpr unsigned kModelMask = 0x07;

std::uint8_t slot_of(const SpdmReader& r) { return r.param1() & kSlotMask; }

bool is_large(const SpdmReader& r) { return r.since(kSpdmVersion14) && (r.param1() & kLarge) != 0; }

unsigned slot_param(std::uint8_t slot, bool large) {
  return (slot & kSlotMask) | (large ? kLarge : 0U);
}

/// Two lengths that both messages have: 16 bits each, or zeros and 32 bits each.
void write_lengths(Writer& w, bool large, std::size_t first, std::size_t second) {
  if (large) {
    TEEIO_CHECK(first <= 0xffffffff && second <= 0xffffffff, "length does not fit 32 bits");
    w.zeros(4).le(static_cast<std::uint32_t>(first)).le(static_cast<std::uint32_t>(second));
  } else {
    TEEIO_CHECK(first <= 0xffff && second <= 0xffff, "length needs the large form");
    w.le(static_cast<std::uint16_t>(first)).le(static_cast<std::uint16_t>(second));
  }
}

}  // namespace

std::size_t SpdmDigests::count() const {
  return static_cast<std::size_t>(std::popcount(provisioned));
}

Result<SpdmDigests> SpdmDigests::decode(ByteView in, const SpdmSizes& sizes) {
  SpdmReader r(in, kCode);
  SpdmDigests m;
  m.version = r.version();
  if (r.since(kSpdmVersion13)) m.supported = r.param1();
  m.provisioned = r.param2();
  m.digests = r.take(sizes.hash * m.count());
  if (r.since(kSpdmVersion13) && sizes.multi_key) {
    m.key_pairs = r.take(m.count());
    m.cert_models = r.take(m.count());
    m.key_usages = r.take(2 * m.count());
  }
  return r.finish(m);
}

Bytes SpdmDigests::encode() const {
  Writer w = begin_spdm(version, kCode, version >= kSpdmVersion13 ? supported : 0U, provisioned);
  w.bytes(digests);
  if (version < kSpdmVersion13 || key_pairs.empty()) return w.take();
  TEEIO_CHECK(key_pairs.size() == count() && cert_models.size() == count() &&
                  key_usages.size() == 2 * count(),
              "DIGESTS describes each provisioned slot once");
  return w.bytes(key_pairs).bytes(cert_models).bytes(key_usages).take();
}

Result<SpdmGetCertificate> SpdmGetCertificate::decode(ByteView in) {
  SpdmReader r(in, kCode);
  SpdmGetCertificate m;
  m.version = r.version();
  m.slot = slot_of(r);
  m.large = is_large(r);
  m.slot_size_requested = r.since(kSpdmVersion13) && (r.param2() & kSlotSizeRequested) != 0;
  m.offset = r.u16();
  m.length = r.u16();
  if (m.large) {
    m.offset = r.u32();
    m.length = r.u32();
  }
  return r.finish(m);
}

Bytes SpdmGetCertificate::encode() const {
  const bool wide = large && version >= kSpdmVersion14;
  const bool size_only = slot_size_requested && version >= kSpdmVersion13;
  Writer w =
      begin_spdm(version, kCode, slot_param(slot, wide), size_only ? kSlotSizeRequested : 0U);
  write_lengths(w, wide, offset, length);
  return w.take();
}

Result<SpdmCertificate> SpdmCertificate::decode(ByteView in) {
  SpdmReader r(in, kCode);
  SpdmCertificate m;
  m.version = r.version();
  m.slot = slot_of(r);
  m.large = is_large(r);
  if (r.since(kSpdmVersion13)) m.cert_model = r.param2() & kModelMask;
  std::size_t portion = r.u16();
  m.remainder = r.u16();
  if (m.large) {
    portion = r.u32();
    m.remainder = r.u32();
  }
  m.portion = r.take(portion);
  return r.finish(m);
}

Bytes SpdmCertificate::encode() const {
  const bool wide = large && version >= kSpdmVersion14;
  Writer w = begin_spdm(version, kCode, slot_param(slot, wide),
                        version >= kSpdmVersion13 ? cert_model & kModelMask : 0U);
  write_lengths(w, wide, portion.size(), remainder);
  return w.bytes(portion).take();
}

Result<SpdmCertificateChain> SpdmCertificateChain::decode(ByteView in, std::size_t hash_size,
                                                          std::uint8_t version) {
  Reader r(in);
  std::size_t length = r.le<std::uint32_t>();
  if (version < kSpdmVersion14) length &= 0xffffU;
  if (!r.ok() || length != in.size())
    return fail(Errno::kInval, "certificate chain is not as long as it says");
  SpdmCertificateChain chain;
  chain.root_hash = r.take(hash_size);
  if (!r.ok()) return fail(Errno::kInval, "certificate chain is shorter than its root hash");
  chain.certificates = r.rest();
  return chain;
}

Bytes SpdmCertificateChain::encode() const {
  const std::size_t length = 4 + root_hash.size() + certificates.size();
  TEEIO_CHECK(length <= 0xffffffff, "certificate chain does not fit its length");
  Writer w;
  w.le(static_cast<std::uint32_t>(length)).bytes(root_hash).bytes(certificates);
  return w.take();
}

namespace {
constexpr unsigned kTagShift = 3;  ///< CSRTrackingTag in GET_CSR's param2
constexpr unsigned kOverwrite = 0x80;
constexpr unsigned kModelShift = 4;  ///< SetCertModel in SET_CERTIFICATE's param1
constexpr unsigned kErase = 0x80;
}  // namespace

Result<SpdmGetCsr> SpdmGetCsr::decode(ByteView in) {
  SpdmReader r(in, kCode);
  SpdmGetCsr m;
  m.version = r.version();
  if (r.since(kSpdmVersion13)) {
    m.key_pair = r.param1();
    m.cert_model = r.param2() & kModelMask;
    m.tracking_tag = r.param2() >> kTagShift & 7U;
    m.overwrite = (r.param2() & kOverwrite) != 0;
  }
  const std::size_t info = r.u16();
  const std::size_t opaque = r.u16();
  m.requester_info = r.take(info);
  m.opaque = r.take(opaque);
  return r.finish(m);
}

Bytes SpdmGetCsr::encode() const {
  TEEIO_CHECK(requester_info.size() <= 0xffff && opaque.size() <= 0xffff,
              "GET_CSR has two bytes for its lengths");
  const unsigned attributes =
      (cert_model & kModelMask) | (tracking_tag & 7U) << kTagShift | (overwrite ? kOverwrite : 0U);
  const bool has_attributes = version >= kSpdmVersion13;
  Writer w =
      begin_spdm(version, kCode, has_attributes ? key_pair : 0U, has_attributes ? attributes : 0U);
  w.le(static_cast<std::uint16_t>(requester_info.size()));
  w.le(static_cast<std::uint16_t>(opaque.size()));
  return w.bytes(requester_info).bytes(opaque).take();
}

Result<SpdmCsr> SpdmCsr::decode(ByteView in) {
  SpdmReader r(in, kCode);
  SpdmCsr m;
  m.version = r.version();
  const std::size_t size = r.u16();
  r.skip(2);
  m.csr = r.take(size);
  return r.finish(m);
}

Bytes SpdmCsr::encode() const {
  TEEIO_CHECK(csr.size() <= 0xffff, "CSR has two bytes for its length");
  Writer w = begin_spdm(version, kCode);
  return w.le(static_cast<std::uint16_t>(csr.size())).zeros(2).bytes(csr).take();
}

Result<SpdmSetCertificate> SpdmSetCertificate::decode(ByteView in) {
  SpdmReader r(in, kCode);
  SpdmSetCertificate m;
  m.version = r.version();
  m.slot = slot_of(r);
  if (r.since(kSpdmVersion13)) {
    m.cert_model = r.param1() >> kModelShift & kModelMask;
    m.erase = (r.param1() & kErase) != 0;
    m.key_pair = r.param2();
  }
  if (m.erase) return r.finish(m);
  // The chain begins with its own length: 16 bits before 1.4, as in CERTIFICATE.
  Reader length(in.subspan(std::min(in.size(), SpdmHeader::kSize)));
  std::size_t size = length.le<std::uint32_t>();
  if (!r.since(kSpdmVersion14)) size &= 0xffffU;
  r.require(length.ok() && size >= 4, "SET_CERTIFICATE's chain has no length");
  m.chain = r.take(size);
  return r.finish(m);
}

Bytes SpdmSetCertificate::encode() const {
  const bool has_attributes = version >= kSpdmVersion13;
  const unsigned attributes = (cert_model & kModelMask) << kModelShift | (erase ? kErase : 0U);
  Writer w = begin_spdm(version, kCode, (slot & kSlotMask) | (has_attributes ? attributes : 0U),
                        has_attributes ? key_pair : 0U);
  return w.bytes(chain).take();
}

Result<SpdmSetCertificateRsp> SpdmSetCertificateRsp::decode(ByteView in) {
  const SpdmReader r(in, kCode);
  return r.finish(SpdmSetCertificateRsp{.version = r.version(), .slot = slot_of(r)});
}

Bytes SpdmSetCertificateRsp::encode() const {
  return begin_spdm(version, kCode, slot & kSlotMask).take();
}

}  // namespace teeio::wire
