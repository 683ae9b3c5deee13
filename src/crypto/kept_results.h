#pragma once

#include <initializer_list>
#include <string_view>

#include "base/bytes.h"
#include "crypto/handles.h"
#include "crypto/hash.h"
#include "crypto/random.h"

namespace teeio::crypto::detail {

/// Public-key operations that this process has done before, where runs are explored: the
/// schedules of an exploration open the same session hundreds of times, with the same keys
/// and draws. Each operation is a function of its inputs and of the seed of its draws, so
/// that a schedule cannot tell a kept result from a new one. Natively nothing is kept.
///
/// Lifetime: beyond runs, outside of their heap; at most kMostKept results, then all anew.
/// Locking: none; an explored run is of one OS thread, and a process explores on one.
inline constexpr std::size_t kMostKept = 4096;

/// Whether this OS thread executes an explored run.
[[nodiscard]] bool keeps_results();
/// The same of what counts its references, which a run's memory that is taken back would
/// count wrongly (schedule/run_heap.h).
[[nodiscard]] bool keeps_objects();
/// Null: there is none. Until the next keep().
[[nodiscard]] const Bytes* kept(const Digest& inputs);
void keep(const Digest& inputs, ByteView result);
/// A reference more to a key. Null: there is none. Precondition of both: keeps_objects().
[[nodiscard]] evp_pkey_st* kept_key(const Digest& inputs);
void keep_key(const Digest& inputs, evp_pkey_st* key);

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
