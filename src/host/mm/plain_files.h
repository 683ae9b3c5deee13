#pragma once

#include <cstdint>
#include <map>
#include <optional>

#include "host/mm/caller.h"
#include "host/mm/mapped_file.h"
#include "host/mm/plain_memory.h"

namespace teeio::mm {

/// An eventfd of an in-process caller.
class PlainEventFd final : public ForeignFile {
 public:
  PlainEventFd();
  /// read(2): the count since the last call, 0 instead of blocking.
  [[nodiscard]] std::uint64_t take();
  Result<object::Ref<EventFd>> eventfd() override;
  Result<object::Ref<Pages>> memfd_pages(std::uint64_t start, std::uint64_t length,
                                         Access access) override;

 private:
  class Counter;
  void release() override {}
  ~PlainEventFd() override;
  const object::Ref<Counter> counter_;
};

/// A memfd of an in-process caller.
class PlainMemfd final : public ForeignFile {
 public:
  /// Precondition: `size_bytes` is a positive multiple of the page size.
  explicit PlainMemfd(std::uint64_t size_bytes, Access access = Access::kReadWrite);
  [[nodiscard]] std::span<std::byte> bytes() { return pages_->direct(); }
  Result<object::Ref<EventFd>> eventfd() override;
  Result<object::Ref<Pages>> memfd_pages(std::uint64_t start, std::uint64_t length,
                                         Access access) override;

 private:
  void release() override {}
  ~PlainMemfd() override = default;
  const object::Ref<PlainPages> pages_;
  const Access access_;
};

/// A file that is neither, such as a pipe.
class PlainOtherFile final : public ForeignFile {
 public:
  Result<object::Ref<EventFd>> eventfd() override;
  Result<object::Ref<Pages>> memfd_pages(std::uint64_t start, std::uint64_t length,
                                         Access access) override;

 private:
  void release() override {}
  ~PlainOtherFile() override = default;
};

/// A MappedFile whose windows are buffers of this process.
/// Locking: as MappedFile says, the owner serialises; touch() is for the
/// in-process caller, which is serialised by its own test or schedule.
class PlainMappedFile final : public MappedFile {
 public:
  Result<std::span<std::byte>> expose(std::uint64_t offset, std::uint64_t size) override;
  void revoke() override;
  void punch_hole(std::uint64_t offset, std::uint64_t size) override;
  /// Nobody: an in-process caller holds no mapping, it touches.
  [[nodiscard]] bool mapped(std::uint64_t, std::uint64_t) override { return false; }
  /// What a load or store at `offset` of a program's mapping reaches: the bytes
  /// from there to the end of the window; nullopt is SIGBUS.
  [[nodiscard]] std::optional<std::span<std::byte>> touch(std::uint64_t offset);

 private:
  struct Window {
    object::Ref<PlainPages> pages;
    bool exposed;
  };
  std::map<std::uint64_t, Window> windows_;
};

}  // namespace teeio::mm
