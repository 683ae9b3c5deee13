#include "crypto/kept_results.h"

#include <openssl/evp.h>

#include <algorithm>
#include <map>

#include "schedule/fiber_controller.h"
#include "schedule/run_heap.h"

namespace teeio::crypto::detail {
namespace {

struct Earlier {
  bool operator()(const Digest& a, const Digest& b) const {
    return std::ranges::lexicographical_compare(a.view(), b.view());
  }
};

template <typename Result>
using Kept = std::map<Digest, Result, Earlier>;

Kept<Bytes>& results() {
  static Kept<Bytes> kept;
  return kept;
}
Kept<Handle<EVP_PKEY>>& keys() {
  static Kept<Handle<EVP_PKEY>> kept;
  return kept;
}

}  // namespace

bool keeps_results() { return schedule::is_explored(); }

bool keeps_objects() { return keeps_results() && schedule::RunHeap::current() == nullptr; }

const Bytes* kept(const Digest& inputs) {
  const auto at = results().find(inputs);
  return at == results().end() ? nullptr : &at->second;
}

void keep(const Digest& inputs, ByteView result) {
  const schedule::OutsideRunHeap outside;
  if (results().size() == kMostKept) results().clear();
  results().insert_or_assign(inputs, Bytes(result.begin(), result.end()));
}

evp_pkey_st* kept_key(const Digest& inputs) {
  const auto at = keys().find(inputs);
  if (at == keys().end()) return nullptr;
  EVP_PKEY_up_ref(at->second.get());
  return at->second.get();
}

void keep_key(const Digest& inputs, evp_pkey_st* key) {
  if (keys().size() == kMostKept) keys().clear();
  EVP_PKEY_up_ref(key);
  keys().insert_or_assign(inputs, Handle<EVP_PKEY>(key));
}

}  // namespace teeio::crypto::detail
