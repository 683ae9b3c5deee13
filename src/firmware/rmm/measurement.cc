#include "firmware/rmm/measurement.h"

#include <cstring>

namespace teeio::rmm {
namespace {

// struct measurement_desc_data and measurement_desc_rec, each of 256 bytes.
constexpr std::uint64_t kDescriptor = 0x100;
constexpr std::uint8_t kOfData = 0, kOfRec = 1;

}  // namespace

crypto::Digest Measurements::zeros() const {
  return crypto::Digest(crypto::hash_size(crypto_hash(algorithm_)));
}

void Measurements::realm(const RealmFeatures& features) {
  values_[0] = crypto::hash(crypto_hash(algorithm_), features.encode());
}

/// The initial measurement becomes the hash of a descriptor that has the old one and `rest`.
void Measurements::describe(std::uint8_t type, Bytes rest) {
  Writer descriptor;
  const ByteView old = values_[0].view();
  descriptor.le(std::uint64_t{type}).le(kDescriptor).bytes(old).zeros(kMaxBytes - old.size());
  rest.resize(kDescriptor - descriptor.size());
  descriptor.bytes(rest);
  values_[0] = crypto::hash(crypto_hash(algorithm_), descriptor.take());
}

void Measurements::data(Gpa ipa, std::uint64_t flags, ByteView contents) {
  Writer rest;
  rest.le(raw(ipa)).le(flags);
  if ((flags & kMeasureContent) != 0) rest.bytes(crypto::hash(crypto_hash(algorithm_), contents));
  describe(kOfData, rest.take());
}

void Measurements::rec(const RecParams& params) {
  RecParams measured = params;
  measured.mpidr = 0;
  const auto digest = crypto::hash(crypto_hash(algorithm_), measured.encode());
  describe(kOfRec, Bytes(digest.view().begin(), digest.view().end()));
}

void Measurements::extend(std::size_t slot, ByteView value) {
  crypto::Digest& old = values_.at(slot);
  old = crypto::hash(crypto_hash(algorithm_), {old.view(), value});
}

std::array<std::uint64_t, 8> Measurements::words(std::size_t slot) const {
  std::array<std::uint64_t, 8> words{};
  const ByteView bytes = value(slot).view();
  std::memcpy(words.data(), bytes.data(), bytes.size());
  return words;
}

}  // namespace teeio::rmm
