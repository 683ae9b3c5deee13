#include "crypto/hashes_of_run.h"

#include <openssl/evp.h>

#include <map>

#include "base/check.h"
#include "schedule/run_heap.h"

namespace teeio::crypto::detail {
namespace {

/// The hashes that a run has begun before its checkpoint, each with what it was there.
class HashesOfRun final : public schedule::RolledBack {
 public:
  void add(EVP_MD_CTX* hash) {
    const schedule::OutsideRunHeap outside;
    then_.emplace(hash, nullptr);
  }
  /// Gives whether it is to be freed.
  bool end(EVP_MD_CTX* hash, bool checkpoint_is_past) {
    const auto at = then_.find(hash);
    if (at == then_.end()) return true;
    if (checkpoint_is_past) return false;  // it is there again in the next run
    then_.erase(at);
    return true;
  }

  void save() override {
    for (auto& [hash, then] : then_) {
      then = EVP_MD_CTX_new();
      TEEIO_CHECK(then != nullptr && EVP_MD_CTX_copy_ex(then, hash) == 1, kCannotKeep);
    }
  }
  void go_back() override {
    for (const auto& [hash, then] : then_)
      TEEIO_CHECK(EVP_MD_CTX_copy_ex(hash, then) == 1, kCannotKeep);
  }
  void forget() override {
    for (const auto& [hash, then] : then_) {
      EVP_MD_CTX_free(hash);
      EVP_MD_CTX_free(then);
    }
    then_.clear();
  }

 private:
  static constexpr std::string_view kCannotKeep = "OpenSSL cannot copy a hash";
  std::map<EVP_MD_CTX*, EVP_MD_CTX*> then_;
};

HashesOfRun& hashes_of_run() {
  static HashesOfRun hashes;
  return hashes;
}

}  // namespace

void hash_begun(evp_md_ctx_st* context) {
  schedule::RunHeap* const heap = schedule::RunHeap::current();
  if (heap == nullptr || heap->is_saved()) return;
  heap->add(hashes_of_run());
  hashes_of_run().add(context);
}

bool hash_is_over(evp_md_ctx_st* context) {
  const schedule::RunHeap* const heap = schedule::RunHeap::current();
  return heap == nullptr || hashes_of_run().end(context, heap->is_saved());
}

}  // namespace teeio::crypto::detail
