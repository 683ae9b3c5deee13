#pragma once

struct evp_md_ctx_st;

namespace teeio::crypto::detail {

/// A hash was begun. One that an explored run has at its checkpoint is again what it was
/// there when the run's memory goes back (schedule/run_heap.h): OpenSSL keeps its state on
/// its own heap.
void hash_begun(evp_md_ctx_st* context);
/// Its owner has no more use for it: whether it is to be freed now.
[[nodiscard]] bool hash_is_over(evp_md_ctx_st* context);

}  // namespace teeio::crypto::detail
