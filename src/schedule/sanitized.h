#pragma once

/// TEEIO_SANITIZED, kSanitized: a sanitizer watches the heap and the stacks of this build.
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define TEEIO_SANITIZED 1
#endif
#endif
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TEEIO_SANITIZED 1
#endif
#ifndef TEEIO_SANITIZED
#define TEEIO_SANITIZED 0
#endif
// Files that it does not instrument are told (src/CMakeLists.txt).
#if defined(__SANITIZE_THREAD__)
#define TEEIO_THREAD_SANITIZED 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define TEEIO_THREAD_SANITIZED 1
#endif
#endif
#ifndef TEEIO_THREAD_SANITIZED
#define TEEIO_THREAD_SANITIZED 0
#endif

namespace teeio::schedule {
inline constexpr bool kSanitized = TEEIO_SANITIZED != 0;
/// ThreadSanitizer does: it has a thread and mappings of its own.
inline constexpr bool kThreadSanitized = TEEIO_THREAD_SANITIZED != 0;
}  // namespace teeio::schedule
