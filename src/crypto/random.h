#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace teeio::crypto {

/// Where nonces, ephemeral keys and signatures' randomness come from.
enum class RandomSource : std::uint8_t {
  kReproducible,  ///< schedule::fill_random: inside the machine; no secret to anybody
  kSystem,        ///< OpenSSL's generator, seeded by the kernel: what faces the outside
};

/// For the whole process, OpenSSL's own draws included. kReproducible until it
/// is set. Call before tasks run.
void set_random_source(RandomSource source);
[[nodiscard]] RandomSource random_source();

/// Fills from the source (or from this task's SeededRandom).
void fill_random(std::span<std::byte> out);

/// While one lives, this task's draws come from a sequence of its own: what is
/// made is a function of the seed, and takes nothing from the run's sequence,
/// so a thing made once a process does not make a second run differ. The
/// sequence is SHA-256 of the seed and a counter.
///
/// Lifetime: on the stack of one task; may nest.
class SeededRandom {
 public:
  explicit SeededRandom(std::uint64_t seed);
  SeededRandom(const SeededRandom&) = delete;
  SeededRandom& operator=(const SeededRandom&) = delete;
  ~SeededRandom();

  void fill(std::span<std::byte> out);

 private:
  const std::uint64_t seed_;
  std::uint64_t blocks_ = 0;  ///< drawn so far
  SeededRandom* const outer_;
};

namespace detail {
/// Makes OpenSSL draw through fill_random(). Everything in this room that makes
/// OpenSSL draw calls it first.
void direct_openssl_draws();
}  // namespace detail

}  // namespace teeio::crypto
