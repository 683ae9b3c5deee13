#pragma once

// Clang's thread-safety analysis under short names; nothing elsewhere.
// Source: clang documentation, "Thread Safety Analysis".
#if defined(__clang__)
#define TEEIO_ATTRIBUTE(x) __attribute__((x))
#else
#define TEEIO_ATTRIBUTE(x)
#endif

#define TEEIO_CAPABILITY(x) TEEIO_ATTRIBUTE(capability(x))
#define TEEIO_SCOPED_CAPABILITY TEEIO_ATTRIBUTE(scoped_lockable)
#define TEEIO_GUARDED_BY(x) TEEIO_ATTRIBUTE(guarded_by(x))
#define TEEIO_PT_GUARDED_BY(x) TEEIO_ATTRIBUTE(pt_guarded_by(x))
#define TEEIO_REQUIRES(...) TEEIO_ATTRIBUTE(requires_capability(__VA_ARGS__))
#define TEEIO_REQUIRES_SHARED(...) TEEIO_ATTRIBUTE(requires_shared_capability(__VA_ARGS__))
#define TEEIO_ACQUIRE(...) TEEIO_ATTRIBUTE(acquire_capability(__VA_ARGS__))
#define TEEIO_ACQUIRE_SHARED(...) TEEIO_ATTRIBUTE(acquire_shared_capability(__VA_ARGS__))
#define TEEIO_RELEASE(...) TEEIO_ATTRIBUTE(release_capability(__VA_ARGS__))
#define TEEIO_RELEASE_SHARED(...) TEEIO_ATTRIBUTE(release_shared_capability(__VA_ARGS__))
#define TEEIO_RELEASE_GENERIC(...) TEEIO_ATTRIBUTE(release_generic_capability(__VA_ARGS__))
#define TEEIO_TRY_ACQUIRE(...) TEEIO_ATTRIBUTE(try_acquire_capability(__VA_ARGS__))
#define TEEIO_EXCLUDES(...) TEEIO_ATTRIBUTE(locks_excluded(__VA_ARGS__))
#define TEEIO_ASSERT_CAPABILITY(x) TEEIO_ATTRIBUTE(assert_capability(x))
#define TEEIO_ASSERT_SHARED_CAPABILITY(x) TEEIO_ATTRIBUTE(assert_shared_capability(x))
#define TEEIO_RETURN_CAPABILITY(x) TEEIO_ATTRIBUTE(lock_returned(x))
#define TEEIO_NO_THREAD_SAFETY_ANALYSIS TEEIO_ATTRIBUTE(no_thread_safety_analysis)
