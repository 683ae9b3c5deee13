#include "hw/window_exchange.h"

#include <utility>

#include "base/bytes.h"
#include "schedule/memory_word.h"

namespace teeio::hw {

Result<bool> exchange_word(WindowTarget& window, std::uint64_t offset, std::uint64_t& expected,
                           std::uint64_t desired) {
  const std::span<std::byte> plain = window.direct();
  if (plain.size() >= offset + sizeof(desired)) {
    std::byte* const at = plain.data() + offset;
    if (reinterpret_cast<std::uintptr_t>(at) % sizeof(desired) != 0)
      return fail(Errno::kFault, "a word is not aligned in its memory");
    return schedule::MemoryWord(*reinterpret_cast<std::uint64_t*>(at))
        .compare_exchange(expected, desired);
  }
  std::uint64_t present = 0;
  TEEIO_TRY(window.read(offset, writable_bytes_of(present)));
  if (std::exchange(expected, present) != present) return false;
  TEEIO_TRY(window.write(offset, bytes_of(desired)));
  return true;
}

}  // namespace teeio::hw
