#pragma once

#include <optional>

#include "base/bytes.h"
#include "crypto/hash.h"

namespace teeio::spdm {

/// A transcript that may never be signed (M1/M2: most connections end without a
/// CHALLENGE): its bytes are kept and hashed when the digest is wanted. Behind
/// kMaxKept they are hashed as they come, so that a peer cannot make it grow.
///
/// `base` is what comes before: the same hash in every call, until clear().
class DeferredHash {
 public:
  static constexpr std::size_t kMaxKept = 0x10000;  ///< bytes; a chain and its requests

  DeferredHash& update(const crypto::RunningHash& base, ByteView data) {
    kept_.insert(kept_.end(), data.begin(), data.end());
    if (kept_.size() > kMaxKept) fold(base);
    return *this;
  }
  [[nodiscard]] crypto::Digest digest(const crypto::RunningHash& base) {
    fold(base);
    return hashed_->digest();
  }
  void clear() {
    kept_.clear();
    hashed_.reset();
  }

 private:
  void fold(const crypto::RunningHash& base) {
    if (!hashed_) hashed_ = base;
    hashed_->update(kept_);
    kept_.clear();
  }

  Bytes kept_;
  std::optional<crypto::RunningHash> hashed_;
};

}  // namespace teeio::spdm
