#include "evidence/object.h"

#include <algorithm>
#include <array>
#include <string_view>

namespace teeio::evidence {
namespace {

constexpr std::string_view kMagic = "TEEIOEV1";

/// The parts of a bundle; a type is its place here, from 1 on.
template <class B>
auto parts_of(B& bundle) {
  return std::array{&bundle.object, &bundle.report, &bundle.vca, &bundle.evidence_digest,
                    &bundle.report_digest};
}

bool has_magic(ByteView file) {
  const ByteView magic = std::as_bytes(std::span(kMagic));
  return file.size() >= magic.size() && std::ranges::equal(file.first(magic.size()), magic);
}

Bytes copy_of(ByteView bytes) { return {bytes.begin(), bytes.end()}; }

}  // namespace

Result<spdm::Evidence> decode_evidence(ByteView object) {
  Reader in(object);
  const auto chain = in.le<std::uint32_t>();
  const auto transcript = in.le<std::uint32_t>();
  const auto signature = in.le<std::uint32_t>();
  const auto reserved = in.le<std::uint32_t>();
  spdm::Evidence out;
  const ByteView nonce = in.take(out.nonce.size());
  if (!in.ok()) return fail(Errno::kInval, "the evidence is shorter than its header");
  if (reserved != 0) return fail(Errno::kInval, "a reserved word of the evidence is not zero");
  std::ranges::copy(nonce, out.nonce.begin());
  out.chain = copy_of(in.take(chain));
  out.transcript = copy_of(in.take(transcript));
  out.signature = copy_of(in.take(signature));
  if (!in.ok()) return fail(Errno::kInval, "the evidence is shorter than its sizes say");
  if (!in.rest().empty()) return fail(Errno::kInval, "the evidence is longer than its sizes say");
  return out;
}

Bytes Bundle::encode() const {
  Writer out;
  out.bytes(std::as_bytes(std::span(kMagic)));
  std::uint32_t type = 0;
  for (const Bytes* part : parts_of(*this)) {
    ++type;
    if (part->empty()) continue;
    out.le(type).le(static_cast<std::uint32_t>(part->size())).bytes(*part);
  }
  return out.take();
}

Result<Bundle> Bundle::decode(ByteView file) {
  if (file.size() > kMaxFile) return fail(Errno::kTooBig, "the evidence has more than 16 MiB");
  Bundle bundle;
  if (!has_magic(file)) {
    TEEIO_TRY(decode_evidence(file));
    bundle.object = copy_of(file);
    return bundle;
  }
  const auto parts = parts_of(bundle);
  for (Reader in(file.subspan(kMagic.size())); !in.rest().empty();) {
    const auto type = in.le<std::uint32_t>();
    const ByteView bytes = in.take(in.le<std::uint32_t>());
    if (!in.ok()) return fail(Errno::kInval, "the bundle ends inside of a part");
    if (type == 0 || type > parts.size())
      return fail(Errno::kInval, "the bundle has a part of an unknown type");
    Bytes& part = *parts.at(type - 1);
    if (!part.empty()) return fail(Errno::kInval, "the bundle has a part twice");
    if (bytes.empty()) return fail(Errno::kInval, "the bundle has an empty part");
    part = copy_of(bytes);
  }
  if (bundle.object.empty()) return fail(Errno::kInval, "the bundle has no evidence");
  TEEIO_TRY(decode_evidence(bundle.object));
  return bundle;
}

}  // namespace teeio::evidence
