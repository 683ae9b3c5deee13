// RAND_METHOD is the one way to reach OpenSSL's own draws (ECDSA's nonce, key
// generation, blinding), which EVP has no argument for; it is deprecated in 3.0
// without a successor that a process can switch at run time.
#define OPENSSL_SUPPRESS_DEPRECATED
#include "crypto/random.h"

#include <openssl/rand.h>

#include <algorithm>
#include <cstring>

#include "base/check.h"
#include "crypto/hash.h"
#include "schedule/task.h"

namespace teeio::crypto {
namespace {

// No scheduling point and no lock: set before tasks run, read by all.
RandomSource g_source = RandomSource::kReproducible;

// NOLINTNEXTLINE(bugprone-dynamic-static-initializers): a slot number, as task.h wants it
schedule::TaskLocal<SeededRandom*> g_seeded;

int draw_bytes(unsigned char* out, int count) {
  fill_random(std::as_writable_bytes(std::span(out, static_cast<std::size_t>(count))));
  return 1;
}
int draw_status() { return 1; }

}  // namespace

void set_random_source(RandomSource source) { g_source = source; }
RandomSource random_source() { return g_source; }

void fill_random(std::span<std::byte> out) {
  if (SeededRandom* const seeded = g_seeded.get(); seeded != nullptr) return seeded->fill(out);
  switch (g_source) {
    case RandomSource::kReproducible:
      return schedule::fill_random(out);
    case RandomSource::kSystem: {
      const int drawn = RAND_OpenSSL()->bytes(reinterpret_cast<unsigned char*>(out.data()),
                                              static_cast<int>(out.size()));
      TEEIO_CHECK(drawn == 1, "the system's random generator fails");
      return;
    }
  }
}

SeededRandom::SeededRandom(std::uint64_t seed) : seed_(seed), outer_(g_seeded.get()) {
  g_seeded.set(this);
}

SeededRandom::~SeededRandom() { g_seeded.set(outer_); }

void SeededRandom::fill(std::span<std::byte> out) {
  while (!out.empty()) {
    const Digest block =
        hash(HashAlgorithm::kSha256, {bytes_of(seed_), bytes_of(blocks_)});  // little endian hosts
    ++blocks_;
    const std::size_t count = std::min(out.size(), block.size());
    std::memcpy(out.data(), block.view().data(), count);
    out = out.subspan(count);
  }
}

namespace detail {

void direct_openssl_draws() {
  static const bool directed = [] {
    static const RAND_METHOD method = {.seed = nullptr,
                                       .bytes = draw_bytes,
                                       .cleanup = nullptr,
                                       .add = nullptr,
                                       .pseudorand = draw_bytes,
                                       .status = draw_status};
    return RAND_set_rand_method(&method) == 1;
  }();
  TEEIO_CHECK(directed, "OpenSSL takes no random method");
}

}  // namespace detail
}  // namespace teeio::crypto
