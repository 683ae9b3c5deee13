#include "hw/physical_memory.h"

#include <algorithm>
#include <map>
#include <optional>

#include "base/check.h"
#include "hw/memory_transfer.h"
#include "hw/ram.h"
#include "hw/window_exchange.h"
#include "hw/window_table.h"
#include "schedule/condition.h"
#include "schedule/memory_word.h"
#include "schedule/monitor.h"
#include "schedule/mutex.h"
#include "schedule/raw_lock.h"

namespace teeio::hw {
namespace {

struct Mmio {
  std::uint64_t size;
  MmioTarget* target;
  MmioTarget* trusted;  ///< may be null
  std::uint32_t users = 0;
  bool leaving = false;
};

/// Largest piece that one MmioTarget call gets.
constexpr std::uint64_t kMmioPiece = kPageSize;

std::uint64_t to_page_end(Hpa address) { return kPageSize - offset_in_page(address); }

}  // namespace

// The tables are book-keeping under a RawLock: were an access to memory a scheduling point, no
// two would commute. Only unmap_window() and release_mmio(), which wait for some, use the mutex.
struct PhysicalMemory::Impl {
  explicit Impl(std::uint64_t ram_bytes) : ram(kRamBase, ram_bytes) {}

  /// A window or MMIO range found for an access; counted as its user.
  struct Found {
    WindowTarget* window = nullptr;
    MmioTarget* mmio = nullptr;
    MmioTarget* trusted_mmio = nullptr;
    Hpa base{0};
    std::uint64_t offset = 0;
    std::uint64_t rest = 0;  ///< bytes from `offset` to the end
  };

  std::optional<std::map<Hpa, Mmio>::iterator> find_mmio(Hpa address) {
    auto at = mmio.upper_bound(address);
    if (at == mmio.begin()) return std::nullopt;
    --at;
    if (address - at->first >= at->second.size) return std::nullopt;
    return at;
  }

  /// Precondition: tables is held.
  std::optional<Found> enter(Hpa address) {
    if (const auto place = windows.find(address)) {
      if (place->window->leaving) return std::nullopt;
      ++place->window->users;
      return Found{.window = place->window->target,
                   .base = Hpa{raw(address) - place->offset},
                   .offset = place->offset,
                   .rest = place->window->size - place->offset};
    }
    const auto at = find_mmio(address);
    if (!at || (*at)->second.leaving) return std::nullopt;
    ++(*at)->second.users;
    const std::uint64_t offset = address - (*at)->first;
    return Found{.mmio = (*at)->second.target,
                 .trusted_mmio = (*at)->second.trusted,
                 .base = (*at)->first,
                 .offset = offset,
                 .rest = (*at)->second.size - offset};
  }

  void leave(const Found& found) {
    bool last = false;
    {
      const schedule::RawLockGuard guard(tables);
      std::uint32_t* users = nullptr;
      bool leaving = false;
      if (found.window != nullptr) {
        WindowTable::Window* window = windows.find(found.base)->window;
        users = &window->users;
        leaving = window->leaving;
      } else {
        Mmio& range = mmio.at(found.base);
        users = &range.users;
        leaving = range.leaving;
      }
      last = --*users == 0 && leaving;
    }
    if (!last) return;
    const schedule::Lock lock(waiting);
    drained.notify_all();
  }

  /// Waits until nobody uses what `users` reads; `users` is asked under tables.
  template <class Users>
  void drain(Users users) {
    const auto idle = [&] {
      const schedule::RawLockGuard guard(tables);
      return users() == 0;
    };
    if (idle()) return;
    const schedule::Lock lock(waiting);
    while (!idle()) drained.wait(waiting);
  }

  schedule::RawLock tables;
  const schedule::Turn table_entries{"tables"};
  Ram ram;
  WindowTable windows;
  std::map<Hpa, Mmio> mmio;

  schedule::Mutex waiting{schedule::Rank::kPhysicalMemory};
  schedule::Condition drained;

  template <class Span>
  Result<void> access(Hpa address, Span data, KeyId key);
  template <class Span>
  Result<void> peer_access(Hpa address, Span data);
  template <class Span>
  static Result<void> transfer(const Found& found, Span data, KeyId key);
  /// A word of a RAM frame; null where there is none. Precondition: tables is held, aligned.
  Result<std::uint64_t*> ram_word(Hpa address, KeyId key);
};

template <class Span>
Result<void> PhysicalMemory::Impl::transfer(const Found& found, Span data, KeyId key) {
  if (found.mmio != nullptr) {
    MmioTarget* const target = key == KeyId::kShared ? found.mmio : found.trusted_mmio;
    for (std::uint64_t done = 0; done < data.size(); done += kMmioPiece)
      detail::transfer_mmio(
          target, found.offset + done,
          data.subspan(done, std::min<std::uint64_t>(kMmioPiece, data.size() - done)));
    return {};
  }
  const std::span<std::byte> plain = found.window->direct();
  if (plain.size() < found.offset + data.size())
    return detail::transfer_window(*found.window, found.offset, data);
  detail::copy(plain.subspan(found.offset, data.size()), data);
  return {};
}

template <class Span>
Result<void> PhysicalMemory::Impl::access(Hpa address, Span data, KeyId key) {
  while (!data.empty()) {
    std::uint64_t size = std::min<std::uint64_t>(data.size(), to_page_end(address));
    std::optional<Found> found;
    {
      const schedule::RawLockGuard guard(tables);
      if (ram.has(address)) {
        if (ram.key_of(address) != key) return fail(Errno::kFault, "key does not fit the page");
        detail::copy(ram.bytes(address), data.first(size));
      } else {
        found = enter(address);
        if (!found) return fail(Errno::kFault, "nothing answers at this address");
      }
    }
    if (found) {
      size = std::min<std::uint64_t>(data.size(), found->rest);
      const bool keyed_window = found->window != nullptr && key != KeyId::kShared;
      const Result<void> done = keyed_window
                                    ? fail(Errno::kFault, "program memory is shared memory")
                                    : transfer(*found, data.first(size), key);
      leave(*found);
      TEEIO_TRY(done);
    }
    data = data.subspan(size);
    address = address + size;
  }
  return {};
}

// Table entries are words that walkers, drivers and scans of whole tables share.
Result<std::uint64_t*> PhysicalMemory::Impl::ram_word(Hpa address, KeyId key) {
  if (!ram.has(address)) return nullptr;
  if (ram.key_of(address) != key) return fail(Errno::kFault, "key does not fit the page");
  return reinterpret_cast<std::uint64_t*>(ram.bytes(address).data());
}

template <class Span>
Result<void> PhysicalMemory::Impl::peer_access(Hpa address, Span data) {
  std::optional<Found> found;
  {
    const schedule::RawLockGuard guard(tables);
    if (!ram.has(address)) found = enter(address);
  }
  bool answered = false;
  if (found) {
    answered = found->mmio != nullptr && data.size() <= found->rest &&
               detail::peer_transfer(*found->mmio, found->offset, data);
    leave(*found);
  }
  if (!answered) return fail(Errno::kFault, "no card's plain memory answers at this address");
  return {};
}

PhysicalMemory::PhysicalMemory(std::uint64_t ram_bytes)
    : impl_(std::make_unique<Impl>(ram_bytes)) {}
PhysicalMemory::~PhysicalMemory() = default;

// What a translation that is gone would still reach: frames and windows that come and go count
// as table entries do.

Result<Hpa> PhysicalMemory::alloc_page() {
  touch_tables(Tables::kShared, schedule::Touch::How::kUpdate);
  const schedule::RawLockGuard guard(impl_->tables);
  if (const auto page = impl_->ram.alloc()) return *page;
  return fail(Errno::kNoMem, "no RAM frame is free");
}

void PhysicalMemory::free_page(Hpa page) {
  touch_tables(Tables::kShared, schedule::Touch::How::kUpdate);
  touch_tables(Tables::kTrusted, schedule::Touch::How::kUpdate);
  const schedule::RawLockGuard guard(impl_->tables);
  impl_->ram.free(page);
}

std::uint64_t PhysicalMemory::pages_in_use() const {
  touch_tables(Tables::kShared, schedule::Touch::How::kRead);
  const schedule::RawLockGuard guard(impl_->tables);
  return impl_->ram.in_use();
}

void PhysicalMemory::give_page(Hpa page, KeyId owner, Content content) {
  if (is_mmio(page) || key_of(page) == owner) return;
  touch_tables(Tables::kShared, schedule::Touch::How::kUpdate);
  touch_tables(Tables::kTrusted, schedule::Touch::How::kUpdate);
  const schedule::RawLockGuard guard(impl_->tables);
  impl_->ram.give(page, owner, content);
}

KeyId PhysicalMemory::key_of(Hpa page) const {
  if (page >= WindowTable::kFirst) return KeyId::kShared;
  const schedule::RawLockGuard guard(impl_->tables);
  return impl_->ram.has(page) ? impl_->ram.key_of(page) : KeyId::kShared;
}

Result<Hpa> PhysicalMemory::map_window(WindowTarget& target, std::uint64_t size) {
  touch_tables(Tables::kShared, schedule::Touch::How::kUpdate);
  const schedule::RawLockGuard guard(impl_->tables);
  const auto base = impl_->windows.add(target, size);
  if (!base) return fail(Errno::kNoMem, "no room for a window of this size");
  return *base;
}

void PhysicalMemory::unmap_window(Hpa base) {
  touch_tables(Tables::kShared, schedule::Touch::How::kUpdate);
  {
    const schedule::RawLockGuard guard(impl_->tables);
    const auto place = impl_->windows.find(base);
    TEEIO_CHECK(place && place->offset == 0 && !place->window->leaving,
                "a window is unmapped that is not mapped");
    place->window->leaving = true;
  }
  impl_->drain([&] { return impl_->windows.find(base)->window->users; });
  const schedule::RawLockGuard guard(impl_->tables);
  impl_->windows.remove(base);
}

Result<void> PhysicalMemory::claim_mmio(Hpa base, std::uint64_t size, MmioTarget& target,
                                        MmioTarget* trusted) {
  TEEIO_CHECK(size != 0 && raw(base) + size > raw(base), "an MMIO range is empty or wraps");
  const schedule::RawLockGuard guard(impl_->tables);
  if (impl_->ram.overlaps(base, size)) return fail(Errno::kBusy, "MMIO range overlaps RAM");
  if (raw(base) < raw(WindowTable::kEnd) && raw(WindowTable::kFirst) < raw(base) + size)
    return fail(Errno::kBusy, "MMIO range overlaps the windows");
  const auto next = impl_->mmio.lower_bound(base);
  if ((next != impl_->mmio.end() && next->first - base < size) || impl_->find_mmio(base))
    return fail(Errno::kBusy, "MMIO range overlaps another one");
  impl_->mmio.emplace(base, Mmio{.size = size, .target = &target, .trusted = trusted});
  return {};
}

void PhysicalMemory::release_mmio(Hpa base) {
  {
    const schedule::RawLockGuard guard(impl_->tables);
    const auto at = impl_->mmio.find(base);
    TEEIO_CHECK(at != impl_->mmio.end() && !at->second.leaving,
                "an MMIO range is released that is not claimed");
    at->second.leaving = true;
  }
  impl_->drain([&] { return impl_->mmio.at(base).users; });
  const schedule::RawLockGuard guard(impl_->tables);
  impl_->mmio.erase(base);
}

bool PhysicalMemory::is_mmio(Hpa address) const {
  if (address >= WindowTable::kFirst && address < WindowTable::kEnd) return false;
  const schedule::RawLockGuard guard(impl_->tables);
  return impl_->find_mmio(address).has_value();
}

Result<void> PhysicalMemory::read(Hpa address, std::span<std::byte> out, KeyId key) {
  return impl_->access(address, out, key);
}

Result<void> PhysicalMemory::write(Hpa address, ByteView in, KeyId key) {
  return impl_->access(address, in, key);
}

Result<void> PhysicalMemory::peer_read(Hpa address, std::span<std::byte> out) {
  return impl_->peer_access(address, out);
}

Result<void> PhysicalMemory::peer_write(Hpa address, ByteView in) {
  return impl_->peer_access(address, in);
}

std::span<std::byte> PhysicalMemory::direct(Hpa address) {
  std::optional<Impl::Found> found;
  {
    const schedule::RawLockGuard guard(impl_->tables);
    if (impl_->ram.has(address)) return impl_->ram.bytes(address);
    found = impl_->enter(address);
  }
  if (!found) return {};
  const std::span<std::byte> plain =
      found->window != nullptr ? found->window->direct() : std::span<std::byte>{};
  impl_->leave(*found);
  if (plain.size() <= found->offset) return {};
  return plain.subspan(found->offset, std::min(plain.size() - found->offset, found->rest));
}

Result<std::uint64_t> PhysicalMemory::read_u64(Hpa address, KeyId key) {
  if (raw(address) % sizeof(std::uint64_t) == 0) {
    const schedule::RawLockGuard guard(impl_->tables);
    TEEIO_ASSIGN(std::uint64_t* const word, impl_->ram_word(address, key));
    if (word != nullptr) return schedule::MemoryWord(*word).load();
  }
  std::uint64_t value = 0;
  TEEIO_TRY(read(address, writable_bytes_of(value), key));
  return value;
}

void PhysicalMemory::touch_tables(Tables tables, schedule::Touch::How how) const {
  impl_->table_entries.touch(schedule::part(static_cast<std::uint8_t>(tables)), how);
}

Result<void> PhysicalMemory::write_u64(Hpa address, std::uint64_t value, KeyId key) {
  touch_tables(key == KeyId::kShared ? Tables::kShared : Tables::kTrusted,
               schedule::Touch::How::kUpdate);
  if (raw(address) % sizeof(std::uint64_t) == 0) {
    const schedule::RawLockGuard guard(impl_->tables);
    TEEIO_ASSIGN(std::uint64_t* const word, impl_->ram_word(address, key));
    if (word != nullptr) {
      schedule::MemoryWord(*word).store(value);
      return {};
    }
  }
  return write(address, bytes_of(value), key);
}

Result<bool> PhysicalMemory::compare_exchange_u64(Hpa address, std::uint64_t& expected,
                                                  std::uint64_t desired, KeyId key) {
  TEEIO_CHECK(raw(address) % sizeof(desired) == 0, "a word is exchanged that is not aligned");
  std::optional<Impl::Found> found;
  {
    const schedule::RawLockGuard guard(impl_->tables);
    TEEIO_ASSIGN(std::uint64_t* const word, impl_->ram_word(address, key));
    if (word != nullptr) return schedule::MemoryWord(*word).compare_exchange(expected, desired);
    found = impl_->enter(address);
  }
  if (!found) return fail(Errno::kFault, "nothing answers at this address");
  const bool reached =
      found->window != nullptr && key == KeyId::kShared && found->rest >= sizeof(desired);
  const Result<bool> done = reached
                                ? exchange_word(*found->window, found->offset, expected, desired)
                                : fail(Errno::kFault, "no memory of this key answers");
  impl_->leave(*found);
  return done;
}

}  // namespace teeio::hw
