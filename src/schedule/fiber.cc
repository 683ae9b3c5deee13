#include "schedule/fiber.h"

#include <cxxabi.h>
#include <sys/mman.h>

#include <algorithm>
#include <boost/context/detail/fcontext.hpp>
#include <cstring>
#include <utility>

#include "base/check.h"
#include "schedule/races.h"

#if defined(__has_feature)
#define TEEIO_HAS_FEATURE(x) __has_feature(x)
#else
#define TEEIO_HAS_FEATURE(x) 0
#endif
#if defined(__SANITIZE_ADDRESS__) || TEEIO_HAS_FEATURE(address_sanitizer)
#define TEEIO_ASAN 1
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#include <sanitizer/lsan_interface.h>
#else
#define TEEIO_ASAN 0
#endif
#define TEEIO_TSAN TEEIO_THREAD_SANITIZED
#if TEEIO_TSAN
#include <sanitizer/tsan_interface.h>
#endif

namespace teeio::schedule {
namespace {

namespace context = boost::context::detail;
constexpr std::size_t kGuardBytes = 4096;

/// The fiber that runs now on this OS thread, for first_arrival() only.
thread_local Fiber* t_arriving = nullptr;

/// This OS thread's, which the runtime looks up anew each time; fibers stay on theirs.
void* exceptions_of_thread() {
  thread_local void* globals = nullptr;
  if (globals == nullptr) globals = abi::__cxa_get_globals();
  return globals;
}

}  // namespace

Fiber::Fiber() {
#if TEEIO_TSAN
  tsan_fiber_ = __tsan_get_current_fiber();
#endif
}

Fiber::Fiber(std::size_t stack_bytes) : mapping_bytes_(stack_bytes + kGuardBytes) {
  mapping_ = mmap(nullptr, mapping_bytes_, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_STACK, -1, 0);
  TEEIO_CHECK(mapping_ != MAP_FAILED, "no memory for a task's stack");
  TEEIO_CHECK(mprotect(mapping_, kGuardBytes, PROT_NONE) == 0, "no guard page below a stack");
  stack_bottom_ = static_cast<std::byte*>(mapping_) + kGuardBytes;
  stack_bytes_ = stack_bytes;
#if TEEIO_TSAN
  tsan_fiber_ = __tsan_create_fiber(0);
#endif
}

Fiber::~Fiber() {
  if (mapping_ == nullptr) return;
  forget_tsan_fiber();
  munmap(mapping_, mapping_bytes_);
}

void Fiber::prepare(Entry entry, void* argument) {
  entry_ = entry;
  argument_ = argument;
  exceptions_ = {};
  fake_stack_ = nullptr;
  // The last frames of the task before never returned.
#if TEEIO_ASAN
  __asan_unpoison_memory_region(stack_bottom_, stack_bytes_);
#endif
#if TEEIO_TSAN
  if (tsan_fiber_ == nullptr) tsan_fiber_ = __tsan_create_fiber(0);
  watch_tsan_fiber();
#endif
  void* top = static_cast<std::byte*>(mapping_) + mapping_bytes_;
  context_ = context::make_fcontext(
      top, stack_bytes_, [](context::transfer_t from) { first_arrival(from.data, from.fctx); });
}

void Fiber::first_arrival(void* from, void* from_context) {
  Fiber& self = *t_arriving;
  {
    const Unwatched unwatched;
    self.arrived(*static_cast<Fiber*>(from), from_context);
  }
  self.entry_(self.argument_);
}

void Fiber::arrived([[maybe_unused]] Fiber& from, void* from_context) {
  from.context_ = from_context;
  std::memcpy(exceptions_of_thread(), &exceptions_, sizeof(exceptions_));
#if TEEIO_ASAN
  const void* bottom = nullptr;
  std::size_t bytes = 0;
  __sanitizer_finish_switch_fiber(fake_stack_, &bottom, &bytes);
  if (from.mapping_ == nullptr) {  // how the OS thread's own bounds are learnt
    from.stack_bottom_ = bottom;
    from.stack_bytes_ = bytes;
  }
#endif
}

void Fiber::switch_from(Fiber& from, [[maybe_unused]] Last last) {
  std::memcpy(&from.exceptions_, exceptions_of_thread(), sizeof(exceptions_));
  t_arriving = this;
#if TEEIO_ASAN
  if (last == Last::kYes) from.fake_stack_ = nullptr;
  __sanitizer_start_switch_fiber(last == Last::kYes ? nullptr : &from.fake_stack_, stack_bottom_,
                                 stack_bytes_);
#endif
#if TEEIO_TSAN
  from.unwatching_ = std::exchange(detail::unwatching(), unwatching_);
  __tsan_switch_to_fiber(tsan_fiber_, __tsan_switch_to_fiber_no_sync);
#endif
  const context::transfer_t back = context::jump_fcontext(context_, &from);
  from.arrived(*static_cast<Fiber*>(back.data), back.fctx);
}

Fiber::Place Fiber::place() const {
  const std::byte* const top = static_cast<const std::byte*>(mapping_) + mapping_bytes_;
  return {context_, {static_cast<const std::byte*>(context_), top}};
}

void Fiber::go_back(const Place& place) {
  context_ = place.context;
  exceptions_ = {};
  std::ranges::copy(place.stack, static_cast<std::byte*>(context_));
}

#if TEEIO_ASAN
namespace {

/// With detect_stack_use_after_return, frames live on a fake stack that a leak
/// checker does not search; each is known by a pointer in the real frame.
__attribute__((no_sanitize("address"))) void keep_fake_frames(void* fake_stack, const void* stack,
                                                              std::size_t bytes) {
  void* const* const words = static_cast<void* const*>(stack);
  for (std::size_t i = 0; i < bytes / sizeof(void*); ++i) {
    void* frame = nullptr;
    void* frame_end = nullptr;
    if (__asan_addr_is_in_fake_stack(fake_stack, words[i], &frame, &frame_end) == nullptr) continue;
    const auto size = static_cast<std::byte*>(frame_end) - static_cast<std::byte*>(frame);
    __lsan_register_root_region(frame, static_cast<std::size_t>(size));
  }
}

}  // namespace
#endif

void Fiber::freeze() {
#if TEEIO_ASAN
  __lsan_register_root_region(stack_bottom_, stack_bytes_);
  if (fake_stack_ != nullptr) keep_fake_frames(fake_stack_, stack_bottom_, stack_bytes_);
#endif
  forget_tsan_fiber();
}

#if TEEIO_TSAN
/// What ran in it last may have left in the middle of what nobody watches.
void Fiber::watch_tsan_fiber() {
  if (unwatching_.accesses == 0) return;
  void* const running = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(tsan_fiber_, __tsan_switch_to_fiber_no_sync);
  detail::watch_at_last(unwatching_);
  __tsan_switch_to_fiber(running, __tsan_switch_to_fiber_no_sync);
}
#endif

void Fiber::forget_tsan_fiber() {
#if TEEIO_TSAN
  if (tsan_fiber_ == nullptr) return;
  watch_tsan_fiber();
  __tsan_destroy_fiber(std::exchange(tsan_fiber_, nullptr));
#endif
}

}  // namespace teeio::schedule
