#include "device/plain_memory.h"

#include <algorithm>

#include "base/check.h"

namespace teeio::device {

std::span<std::byte> PlainMemory::bytes() {
  if (!elsewhere_.empty()) return elsewhere_;
  if (!storage_) {
    // As calloc: pages that nobody touches stay the kernel's zero page.
    storage_.reset(schedule::allocate_zeroed(size_));
  }
  return {storage_.get(), size_};
}

void PlainMemory::relocate(std::span<std::byte> to) {
  TEEIO_CHECK(to.empty() || to.size() == size_, "a BAR's bytes move as a whole");
  const schedule::Section section(mutex_);
  const std::span<std::byte> from = bytes();
  elsewhere_ = {};
  const std::span<std::byte> target = to.empty() ? bytes() : to;
  if (target.data() != from.data()) std::ranges::copy(from, target.begin());
  elsewhere_ = to;
  dirty_ = true;
}

void PlainMemory::read(std::uint64_t offset, std::span<std::byte> out) {
  TEEIO_CHECK(contains(offset, out.size()), "a read lies outside of the BAR");
  const schedule::Section section(mutex_);
  std::ranges::copy(bytes().subspan(offset, out.size()), out.begin());
}

void PlainMemory::write(std::uint64_t offset, ByteView in) {
  TEEIO_CHECK(contains(offset, in.size()), "a write lies outside of the BAR");
  const schedule::Section section(mutex_);
  dirty_ = true;
  std::ranges::copy(in, bytes().subspan(offset).begin());
}

void PlainMemory::zero() {
  const schedule::Section section(mutex_);
  if (!dirty_) return;
  std::ranges::fill(bytes(), std::byte{0});
  dirty_ = !elsewhere_.empty();  // a program's mapping may write behind our back
}

}  // namespace teeio::device
