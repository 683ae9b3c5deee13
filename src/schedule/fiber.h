#pragma once

#include <cstddef>
#include <vector>

#include "schedule/races.h"

namespace teeio::schedule {

/// One stack and the place where it stopped: a thin layer over Boost.Context's
/// jump that keeps three things per fiber which the C++ run-time and the
/// sanitizers keep per thread (exceptions in flight, ASan's fake stack, TSan's
/// shadow stack). A switch therefore is safe even inside a catch block.
///
/// Lifetime: a fiber is made once and used for many tasks in turn; its stack
/// is freed with it. A Fiber made by the default constructor is the OS thread.
class Fiber {
 public:
  /// Never returns: its last act is switch_to(..., Last::kYes).
  using Entry = void (*)(void* argument);
  enum class Last : bool { kNo, kYes };

  Fiber();
  explicit Fiber(std::size_t stack_bytes);
  ~Fiber();
  Fiber(const Fiber&) = delete;
  Fiber& operator=(const Fiber&) = delete;

  /// The next switch to this fiber calls entry(argument) on an empty stack.
  /// Precondition: the fiber has never run, or left with Last::kYes.
  void prepare(Entry entry, void* argument);

  /// Leaves `from`, which runs now, and goes on in this fiber. Returns when
  /// somebody switches back to `from`; never if it left for the last time.
  void switch_from(Fiber& from, Last last = Last::kNo);

  /// A place where a fiber stopped, with all that was on its stack.
  struct Place {
    void* context = nullptr;
    std::vector<std::byte> stack;  ///< from there to its top
  };
  /// Where it stopped now; and that it stops there again, whatever it did since, if the
  /// memory that its stack speaks of is as it was too. Not with sanitizers, not in the
  /// middle of an exception.
  [[nodiscard]] Place place() const;
  void go_back(const Place& place);

  /// Nobody switches to this fiber again, and its stack stays as it is: tells a
  /// leak checker that what it points to is in use.
  void freeze();

 private:
  /// As the Itanium C++ ABI lays out __cxa_eh_globals (section 2.2.2).
  struct Exceptions {
    void* caught = nullptr;
    unsigned int uncaught = 0;
  };
  static void first_arrival(void* from, void* from_context);
  void arrived(Fiber& from, void* from_context);
  void watch_tsan_fiber();
  void forget_tsan_fiber();

  void* mapping_ = nullptr;  // guard page, then the stack; null for the OS thread
  std::size_t mapping_bytes_ = 0;
  const void* stack_bottom_ = nullptr;  // lowest address
  std::size_t stack_bytes_ = 0;
  void* context_ = nullptr;
  Entry entry_ = nullptr;
  void* argument_ = nullptr;
  Exceptions exceptions_;
  void* fake_stack_ = nullptr;                      // ASan
  [[maybe_unused]] void* tsan_fiber_ = nullptr;     // TSan
  [[maybe_unused]] detail::Unwatching unwatching_;  // TSan, while another fiber runs
};

}  // namespace teeio::schedule
