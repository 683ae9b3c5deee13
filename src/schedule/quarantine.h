#pragma once

#include <cstddef>
#include <new>

#include "schedule/controller.h"

namespace teeio::schedule {

/// Base of objects whose use after free must be a finding of an explored run.
/// Their memory is kept until the run has ended, and every lock, condition,
/// count and flag in it fails a check when it is used after its destructor.
/// Natively memory is freed at once, and finding late uses is ASan's job.
class Quarantined {
 public:
  // Not inlined, neither: g++ 12 warns where it sees through only one of them.
  [[gnu::noinline]] static void* operator new(std::size_t size) { return ::operator new(size); }
  [[gnu::noinline]] static void operator delete(void* memory) {
    if (Controller* c = controller(); c != nullptr) return c->quarantine(memory, free_memory);
    free_memory(memory);
  }

 protected:
  Quarantined() = default;
  ~Quarantined() = default;

 private:
  static void free_memory(void* memory) { ::operator delete(memory); }
};

}  // namespace teeio::schedule
