#include "wire/spdm_opaque.h"

#include "base/check.h"

namespace teeio::wire {
namespace {

constexpr std::uint32_t kSpecId = 0x444d5446;  ///< "DMTF"; format 0
constexpr std::uint8_t kOpaqueVersion = 1;     ///< format 0
constexpr std::uint8_t kSmDataVersion = 1;
constexpr std::uint8_t kVersionSelection = 0;  ///< SMDataID
constexpr std::uint8_t kSupportedVersions = 1;

constexpr std::size_t padding(std::size_t size) { return (4 - size % 4) % 4; }

/// The list's element count, after its header. Errors: EINVAL.
Result<std::size_t> read_list_header(Reader& r, SpdmOpaqueFormat format) {
  std::size_t count = 0;
  if (format == SpdmOpaqueFormat::k0) {
    const auto spec = r.le<std::uint32_t>();
    const auto version = r.le<std::uint8_t>();
    count = r.le<std::uint8_t>();
    r.skip(2);
    if (r.ok() && (spec != kSpecId || version != kOpaqueVersion))
      return fail(Errno::kInval, "opaque data is not of general format 0");
  } else {
    count = r.le<std::uint8_t>();
    r.skip(3);
  }
  if (!r.ok()) return fail(Errno::kInval, "opaque data is shorter than its header");
  return count;
}

/// The data of DMTF's element `id`, without version and ID; nullopt: not there.
Result<std::optional<ByteView>> find_secured_message_data(ByteView opaque, SpdmOpaqueFormat format,
                                                          std::uint8_t id) {
  if (opaque.empty()) return std::nullopt;
  TEEIO_ASSIGN(const SpdmOpaqueData list, SpdmOpaqueData::decode(opaque, format));
  for (const SpdmOpaqueElement& element : list.elements) {
    if (element.registry != 0 || !element.vendor_id.empty()) continue;
    Reader r(element.data);
    const auto version = r.le<std::uint8_t>();
    const auto data_id = r.le<std::uint8_t>();
    if (!r.ok()) return fail(Errno::kInval, "secured message element is short");
    if (version == kSmDataVersion && data_id == id) return r.rest();
  }
  return std::nullopt;
}

Bytes encode_one(ByteView data, SpdmOpaqueFormat format) {
  SpdmOpaqueData list;
  list.elements.push_back({.registry = 0, .vendor_id = {}, .data = data});
  return list.encode(format);
}

}  // namespace

Result<SpdmOpaqueData> SpdmOpaqueData::decode(ByteView in, SpdmOpaqueFormat format) {
  if (in.size() > kMaxSize) return fail(Errno::kTooBig, "opaque data is longer than 1024 bytes");
  Reader r(in);
  TEEIO_ASSIGN(const std::size_t count, read_list_header(r, format));
  SpdmOpaqueData list;
  for (std::size_t i = 0; i < count && r.ok(); ++i) {
    SpdmOpaqueElement element;
    const std::size_t before = r.rest().size();
    element.registry = r.le<std::uint8_t>();
    element.vendor_id = r.take(r.le<std::uint8_t>());
    element.data = r.take(r.le<std::uint16_t>());
    if (r.ok()) r.skip(padding(before - r.rest().size()));
    list.elements.push_back(element);
  }
  if (!r.ok()) return fail(Errno::kInval, "opaque element leaves its list");
  if (!r.rest().empty()) return fail(Errno::kInval, "opaque data is longer than its elements");
  return list;
}

Bytes SpdmOpaqueData::encode(SpdmOpaqueFormat format) const {
  TEEIO_CHECK(elements.size() <= 255, "opaque data has one byte for its count");
  const auto count = static_cast<std::uint8_t>(elements.size());
  Writer w;
  if (format == SpdmOpaqueFormat::k0)
    w.le(kSpecId).le(kOpaqueVersion).le(count).zeros(2);
  else
    w.le(count).zeros(3);
  for (const SpdmOpaqueElement& element : elements) {
    TEEIO_CHECK(element.vendor_id.size() <= 0xff && element.data.size() <= kMaxSize,
                "opaque element does not fit its lengths");
    w.le(element.registry).le(static_cast<std::uint8_t>(element.vendor_id.size()));
    w.bytes(element.vendor_id).le(static_cast<std::uint16_t>(element.data.size()));
    w.bytes(element.data);
    w.zeros(padding(w.size()));
  }
  TEEIO_CHECK(w.size() <= kMaxSize, "opaque data is longer than 1024 bytes");
  return w.take();
}

Bytes encode_secured_versions(const std::vector<std::uint8_t>& versions, SpdmOpaqueFormat format) {
  TEEIO_CHECK(versions.size() <= 255, "the version list has one byte for its count");
  Writer w;
  w.le(kSmDataVersion).le(kSupportedVersions).le(static_cast<std::uint8_t>(versions.size()));
  for (const std::uint8_t version : versions) w.le(static_cast<std::uint16_t>(version << 8U));
  return encode_one(w.take(), format);
}

Bytes encode_secured_version_choice(std::uint8_t version, SpdmOpaqueFormat format) {
  Writer w;
  w.le(kSmDataVersion).le(kVersionSelection).le(static_cast<std::uint16_t>(version << 8U));
  return encode_one(w.take(), format);
}

Result<std::vector<std::uint8_t>> decode_secured_versions(ByteView opaque,
                                                          SpdmOpaqueFormat format) {
  TEEIO_ASSIGN(const auto data, find_secured_message_data(opaque, format, kSupportedVersions));
  std::vector<std::uint8_t> versions;
  if (!data) return versions;
  Reader r(*data);
  const std::size_t count = r.le<std::uint8_t>();
  for (std::size_t i = 0; i < count && r.ok(); ++i)
    versions.push_back(static_cast<std::uint8_t>(r.le<std::uint16_t>() >> 8U));
  if (!r.ok()) return fail(Errno::kInval, "list of secured message versions is short");
  return versions;
}

Result<std::optional<std::uint8_t>> decode_secured_version_choice(ByteView opaque,
                                                                  SpdmOpaqueFormat format) {
  TEEIO_ASSIGN(const auto data, find_secured_message_data(opaque, format, kVersionSelection));
  if (!data) return std::nullopt;
  Reader r(*data);
  const auto version = r.le<std::uint16_t>();
  if (!r.ok()) return fail(Errno::kInval, "choice of a secured message version is short");
  return static_cast<std::uint8_t>(version >> 8U);
}

}  // namespace teeio::wire
