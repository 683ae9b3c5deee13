#include "crypto/kept_results.h"

#include <openssl/evp.h>

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <utility>

#include "base/hex.h"
#include "schedule/fiber_controller.h"
#include "schedule/raw_lock.h"
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

struct Store {
  Kept<Bytes> results;
  Kept<Handle<EVP_PKEY>> keys;
  std::vector<std::string> new_ones;  ///< natively, for results_for_next_runs()
  // no Turn: what is kept nobody can tell from what is computed
  schedule::RawLock lock;
};

Store& store() {
  static Store all;
  return all;
}

// No scheduling point and no lock: set before tasks run, read by all.
bool g_natively = false;

constexpr char kResult = 'r', kPair = 'p';

/// Room for one more: natively pointers to the others are in use.
template <typename Result>
bool has_room(Kept<Result>& kept) {
  if (kept.size() < kMostKept) return true;
  if (!schedule::is_explored()) return false;
  kept.clear();
  return true;
}

Digest digest_of(ByteView bytes) {
  Digest digest(hash_size(HashAlgorithm::kSha256));
  std::ranges::copy(bytes, digest.writable().begin());
  return digest;
}

}  // namespace

bool keeps_results() { return g_natively || schedule::is_explored(); }

bool keeps_objects() { return keeps_results() && schedule::RunHeap::current() == nullptr; }

const Bytes* kept(const Digest& inputs) {
  Store& all = store();
  const schedule::RawLockGuard guard(all.lock);
  const auto at = all.results.find(inputs);
  return at == all.results.end() ? nullptr : &at->second;
}

void keep(const Digest& inputs, ByteView result) {
  const schedule::OutsideRunHeap outside;
  Store& all = store();
  const schedule::RawLockGuard guard(all.lock);
  if (!has_room(all.results)) return;
  if (schedule::is_explored()) {
    all.results.insert_or_assign(inputs, Bytes(result.begin(), result.end()));
    return;
  }
  if (!all.results.try_emplace(inputs, Bytes(result.begin(), result.end())).second) return;
  all.new_ones.push_back(kResult + to_hex(inputs.view()) + ' ' + to_hex(result));
}

evp_pkey_st* kept_key(const Digest& inputs) {
  Store& all = store();
  const schedule::RawLockGuard guard(all.lock);
  const auto at = all.keys.find(inputs);
  if (at == all.keys.end()) return nullptr;
  EVP_PKEY_up_ref(at->second.get());
  return at->second.get();
}

void keep_key(const Digest& inputs, evp_pkey_st* key) {
  Store& all = store();
  const schedule::RawLockGuard guard(all.lock);
  if (!has_room(all.keys)) return;
  EVP_PKEY_up_ref(key);
  all.keys.insert_or_assign(inputs, Handle<EVP_PKEY>(key));
}

void note_pair(std::uint8_t group, std::uint64_t seed) {
  if (schedule::is_explored()) return;
  Store& all = store();
  const schedule::RawLockGuard guard(all.lock);
  all.new_ones.push_back(kPair + std::to_string(group) + ' ' + std::to_string(seed));
}

}  // namespace teeio::crypto::detail

namespace teeio::crypto {
namespace {

template <class Number>
std::optional<Number> number_of(std::string_view text) {
  Number number{};
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return number;
}

}  // namespace

void keep_for_next_runs() { detail::g_natively = true; }

std::vector<std::string> results_for_next_runs() {
  detail::Store& all = detail::store();
  const schedule::RawLockGuard guard(all.lock);
  return std::exchange(all.new_ones, {});
}

void take_result(std::string_view line) {
  const std::size_t blank = line.find(' ');
  if (blank == std::string_view::npos) return;
  const std::string_view first = line.substr(1, blank - 1), second = line.substr(blank + 1);
  if (line.front() == detail::kResult) {
    const auto inputs = from_hex(first), result = from_hex(second);
    if (!inputs || !result || inputs->size() != hash_size(HashAlgorithm::kSha256)) return;
    detail::keep(detail::digest_of(*inputs), *result);
  } else if (line.front() == detail::kPair) {
    const auto group = number_of<std::uint8_t>(first);
    const auto seed = number_of<std::uint64_t>(second);
    if (group && seed) detail::make_noted_pair(*group, *seed);
  }
  (void)results_for_next_runs();  // the other process has them
}

}  // namespace teeio::crypto
