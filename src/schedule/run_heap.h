#pragma once

#include <cstddef>
#include <memory>
#include <utility>
#include <vector>

#include "schedule/sanitized.h"

namespace teeio::schedule {

namespace detail {
/// Whether operator new of this OS thread takes from the run heap.
extern constinit thread_local bool t_in_run_heap;
}  // namespace detail

/// What an explored run changes beside its heap, and what goes back with it.
class RolledBack {
 public:
  virtual ~RolledBack() = default;
  /// Keeps what it has now.
  virtual void save() = 0;
  /// Has that again. Before the heap goes back: its own members are the later ones.
  virtual void go_back() = 0;
  /// Nobody goes back any more, and its destructor does not run: gives back what is not
  /// of the heap.
  virtual void forget() = 0;
};

/// The memory of an explored run's own code, which can be taken back, all of it, to what it
/// was: a machine is made once, and not once a schedule. operator new (not of over-aligned
/// types) takes from it where t_in_run_heap says so; operator delete knows what is of it.
///
/// What outlives a run is allocated under OutsideRunHeap: what the controller, strategies and
/// reports keep, caches, and (by the linker's --wrap) all function-local statics.
///
/// Lifetime: one at a time in a process. Locking: for one OS thread.
class RunHeap {
 public:
  /// Null: there is one, a sanitizer watches the heap, or the program has another operator new.
  [[nodiscard]] static std::unique_ptr<RunHeap> take();
  ~RunHeap();
  RunHeap(const RunHeap&) = delete;
  RunHeap& operator=(const RunHeap&) = delete;

  /// Keeps all that is allocated, as it is now. Once.
  void save();
  [[nodiscard]] bool is_saved() const { return saved_ != nullptr; }
  /// Has what save() kept. Precondition: is_saved().
  void go_back();

  /// The heap that the running code allocates from; null: it does not.
  [[nodiscard]] static RunHeap* current();
  /// Adds `part`, if it is not there yet. Precondition of remove(): it was, and since save().
  void add(RolledBack& part);
  void remove(RolledBack& part);

 private:
  /// Up to `end`: with bytes, or all zero, which takes no memory.
  struct SavedPart {
    std::size_t end;
    bool has_bytes;
  };

  RunHeap() = default;
  std::byte* saved_ = nullptr;
  std::size_t saved_bytes_ = 0;
  std::vector<SavedPart> saved_parts_of_heap_;
  std::vector<RolledBack*> parts_;
  std::size_t saved_parts_ = 0;  ///< the first of them
};

/// While it lives, this task allocates as if there were no run heap.
class OutsideRunHeap {
 public:
  OutsideRunHeap() : was_(!kSanitized && std::exchange(detail::t_in_run_heap, false)) {}
  ~OutsideRunHeap() {
    if constexpr (!kSanitized) detail::t_in_run_heap = was_;
  }
  OutsideRunHeap(const OutsideRunHeap&) = delete;
  OutsideRunHeap& operator=(const OutsideRunHeap&) = delete;

 private:
  const bool was_;
};

/// The tasks of this OS thread are frozen for good: a static that one of them was making is
/// begun anew by who comes to it next, and is no run's as all are.
void give_up_statics();

/// Bytes that `memory`, from operator new, has room for.
[[nodiscard]] std::size_t usable_bytes(void* memory);

/// calloc() and free(), of the run heap where operator new is: large zeroed buffers.
[[nodiscard]] std::byte* allocate_zeroed(std::size_t bytes);
void free_zeroed(std::byte* memory);

}  // namespace teeio::schedule
