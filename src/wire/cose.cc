#include "wire/cose.h"

#include <optional>
#include <utility>

#include "wire/cbor.h"

namespace teeio::wire {
namespace {

constexpr std::uint64_t kSign1 = 18;
enum HeaderLabel : std::int64_t { kAlgorithm = 1, kCritical = 2 };
enum KeyLabel : std::int64_t { kType = 1, kCurve = -1, kX = -2, kY = -3 };
constexpr std::int64_t kEc2 = 2;
constexpr std::byte kUncompressed{4};

std::size_t coordinate_of(CoseEcKey::Curve curve) {
  switch (curve) {
    case CoseEcKey::Curve::kP256:
      return 32;
    case CoseEcKey::Curve::kP384:
      return 48;
    case CoseEcKey::Curve::kP521:
      break;
  }
  return 66;
}

/// The algorithm of a protected header.
Result<std::int64_t> algorithm_of(ByteView header) {
  CborReader in(header);
  std::optional<std::int64_t> algorithm;
  for (std::size_t left = in.map(); left > 0 && in.ok(); --left) {
    if (in.next() != CborMajor::kUnsigned && in.next() != CborMajor::kNegative) {
      in.skip();  // a label that is a text
      in.skip();
      continue;
    }
    const std::int64_t label = in.integer();
    if (label == kCritical) return fail(Errno::kInval, "a COSE header has critical parameters");
    if (label != kAlgorithm) {
      in.skip();
      continue;
    }
    if (algorithm) return fail(Errno::kInval, "a COSE header names its algorithm twice");
    algorithm = in.integer();
  }
  if (!in.ended()) return fail(Errno::kInval, "a COSE header is not CBOR");
  if (!algorithm) return fail(Errno::kInval, "a COSE header names no algorithm");
  return *algorithm;
}

Result<CoseEcKey> plain_point(ByteView bytes) {
  const std::size_t size = (bytes.size() - 1) / 2;
  for (const auto curve :
       {CoseEcKey::Curve::kP256, CoseEcKey::Curve::kP384, CoseEcKey::Curve::kP521})
    if (bytes.size() % 2 == 1 && coordinate_of(curve) == size)
      return CoseEcKey{curve, Bytes(bytes.begin() + 1, bytes.end())};
  return fail(Errno::kInval, "a key is a point of no curve that tokens have");
}

}  // namespace

CoseSign1 CoseSign1::of(Bytes payload, CoseAlgorithm algorithm) {
  const std::int64_t number = std::to_underlying(algorithm);
  return {.header = Cbor().map(1).integer(kAlgorithm).integer(number).take(),
          .algorithm = number,
          .payload = std::move(payload),
          .signature = {}};
}

Bytes CoseSign1::to_sign() const {
  return Cbor().array(4).text("Signature1").bytes(header).bytes({}).bytes(payload).take();
}

Bytes CoseSign1::encode() const {
  return Cbor().tag(kSign1).array(4).bytes(header).map(0).bytes(payload).bytes(signature).take();
}

Result<CoseSign1> CoseSign1::decode(ByteView bytes) {
  CborReader in(bytes);
  if (in.tag() != kSign1 || in.array() != 4)
    return fail(Errno::kInval, "it is no COSE_Sign1 with its tag");
  CoseSign1 out;
  out.header = in.owned_bytes();
  if (in.next() != CborMajor::kMap) return fail(Errno::kInval, "a COSE_Sign1 lacks a header");
  in.skip();  // unprotected: a key identifier at most
  if (in.ok() && in.next() != CborMajor::kBytes)
    return fail(Errno::kInval, "a COSE_Sign1 has its payload elsewhere");
  out.payload = in.owned_bytes();
  out.signature = in.owned_bytes();
  if (!in.ended()) return fail(Errno::kInval, "a COSE_Sign1 is cut short, or bytes follow it");
  TEEIO_ASSIGN(out.algorithm, algorithm_of(out.header));
  return out;
}

Bytes CoseEcKey::encode() const {
  const ByteView both(point);
  const std::size_t half = both.size() / 2;
  return Cbor()
      .map(4)
      .integer(kType)
      .integer(kEc2)
      .integer(kCurve)
      .integer(std::to_underlying(curve))
      .integer(kX)
      .bytes(both.first(half))
      .integer(kY)
      .bytes(both.last(half))
      .take();
}

Result<CoseEcKey> CoseEcKey::decode(ByteView bytes) {
  if (!bytes.empty() && bytes[0] == kUncompressed) return plain_point(bytes);
  CborReader in(bytes);
  std::int64_t type = 0;
  std::int64_t curve = 0;
  ByteView x;
  ByteView y;
  for (std::size_t left = in.map(); left > 0 && in.ok(); --left) switch (in.integer()) {
      case kType:
        type = in.integer();
        break;
      case kCurve:
        curve = in.integer();
        break;
      case kX:
        x = in.bytes();
        break;
      case kY:  // a compressed point has a truth value here: refused
        y = in.bytes();
        break;
      default:
        in.skip();
    }
  if (!in.ended()) return fail(Errno::kInval, "a COSE_Key cannot be read");
  constexpr auto kLast = std::to_underlying(Curve::kP521);
  if (type != kEc2 || curve < 1 || curve > kLast)
    return fail(Errno::kInval, "a COSE_Key is of another kind than tokens have");
  CoseEcKey key{static_cast<Curve>(curve), Bytes(x.begin(), x.end())};
  key.point.insert(key.point.end(), y.begin(), y.end());
  if (x.size() != coordinate_of(key.curve) || y.size() != x.size())
    return fail(Errno::kInval, "a COSE_Key's coordinates are not of its curve");
  return key;
}

}  // namespace teeio::wire
