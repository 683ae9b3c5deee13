#pragma once

#include <cstdint>
#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

#include "base/bytes.h"
#include "crypto/handles.h"
#include "crypto/hash.h"
#include "crypto/random.h"

namespace teeio::crypto {

/// From now on public-key operations are kept natively as well (see below), as those of
/// explored runs are: for runs that begin alike, each in a process of its own. Once; before
/// tasks run.
void keep_for_next_runs();
/// What this process has computed since, and was not given, a line of text each.
[[nodiscard]] std::vector<std::string> results_for_next_runs();
/// Takes in such a line of another process. Nothing, if it is none. Precondition:
/// keep_for_next_runs().
void take_result(std::string_view line);

}  // namespace teeio::crypto

namespace teeio::crypto::detail {

/// Public-key operations that this process has done before, where runs are explored: the
/// schedules of an exploration open the same session hundreds of times, with the same keys
/// and draws. Each operation is a function of its inputs and of the seed of its draws, so
/// that a schedule cannot tell a kept result from a new one. Natively nothing is kept, unless
/// keep_for_next_runs() says so.
///
/// Lifetime: beyond runs, outside of their heap; at most kMostKept results, then all anew, or
/// natively no more.
/// Locking: none where a run is explored, which is of one OS thread, as a process explores on
/// one; natively its own.
inline constexpr std::size_t kMostKept = 4096;

/// Whether this OS thread executes an explored run, or keep_for_next_runs() was called.
[[nodiscard]] bool keeps_results();
/// The same of what counts its references, which a run's memory that is taken back would
/// count wrongly (schedule/run_heap.h).
[[nodiscard]] bool keeps_objects();
/// Null: there is none. Until the next keep(); natively for good.
[[nodiscard]] const Bytes* kept(const Digest& inputs);
void keep(const Digest& inputs, ByteView result);
/// A reference more to a key. Null: there is none. Precondition of both: keeps_objects().
[[nodiscard]] evp_pkey_st* kept_key(const Digest& inputs);
void keep_key(const Digest& inputs, evp_pkey_st* key);
/// A pair that another process can make anew by itself.
void note_pair(std::uint8_t group, std::uint64_t seed);
/// Makes it, and keeps it.
void make_noted_pair(std::uint8_t group, std::uint64_t seed);

/// Its name, as the first of its inputs.
inline ByteView operation(std::string_view name) { return std::as_bytes(std::span(name)); }

/// Of what an operation draws that does not show in its result, such as OpenSSL's blinding:
/// nothing of the run's sequence, which goes on as if the result had been kept.
inline constexpr std::uint64_t kHiddenDraws = 0;

/// compute()'s Bytes. `inputs`: all that they depend on, operation() first; it and the sizes
/// before it fix each one's size.
template <typename Compute>
[[nodiscard]] Bytes kept_or(std::initializer_list<ByteView> inputs, const Compute& compute) {
  if (!keeps_results()) return compute();
  const Digest digest = hash(HashAlgorithm::kSha256, inputs);
  if (const Bytes* const found = kept(digest)) return *found;
  const SeededRandom hidden(kHiddenDraws);
  Bytes result = compute();
  keep(digest, result);
  return result;
}

}  // namespace teeio::crypto::detail
