#pragma once

#include <cstring>
#include <map>
#include <vector>

#include "base/bytes.h"
#include "host/mm/caller.h"
#include "object/file.h"

namespace teeio::kvm::test {

/// A program of one region of memory and a few descriptors.
class Program final : public mm::Caller, public mm::UserMemory {
 public:
  static constexpr std::uint64_t kBase = 0x7000'0000;
  static constexpr std::uint64_t kSize = 4U << 20U;

  Result<void> read(std::uint64_t address, std::span<std::byte> out) override {
    if (!inside(address, out.size())) return fail(Errno::kFault, "not the program's memory");
    std::memcpy(out.data(), bytes.data() + (address - kBase), out.size());
    return {};
  }
  Result<void> write(std::uint64_t address, ByteView in) override {
    if (!inside(address, in.size())) return fail(Errno::kFault, "not the program's memory");
    std::memcpy(bytes.data() + (address - kBase), in.data(), in.size());
    return {};
  }
  Result<object::Ref<mm::Pages>> pin(std::uint64_t address, std::uint64_t length,
                                     mm::Access) override {
    if (!inside(address, length)) return fail(Errno::kFault, "not the program's memory");
    return object::Ref<mm::Pages>(
        object::Ref<Plain>::adopt(new Plain(std::span(bytes).subspan(address - kBase, length))));
  }
  Result<std::vector<mm::PageId>> pages(std::uint64_t, std::uint64_t) override {
    return fail(Errno::kFault, "nobody asks which pages they are");
  }
  [[nodiscard]] std::int32_t pid() const override { return 1; }
  [[nodiscard]] std::int32_t tid() const override { return 1; }
  [[nodiscard]] std::uint64_t mm_id() const override { return 1; }
  mm::UserMemory& memory() override { return *this; }
  Result<object::Ref<object::File>> file(std::int32_t fd) override {
    const auto found = files.find(fd);
    if (found == files.end()) return fail(Errno::kBadF, "no such descriptor");
    return found->second;
  }
  Result<std::int32_t> install(object::Ref<object::File>, std::uint32_t) override {
    return fail(Errno::kMFile, "no more descriptors");
  }

  Bytes bytes = Bytes(kSize);
  std::map<std::int32_t, object::Ref<object::File>> files;
  std::uint64_t looks_without_signal = ~std::uint64_t{0};

 private:
  bool looks_for_signal(mm::SignalMask) override { return looks_without_signal-- == 0; }

  class Plain final : public mm::Pages {
   public:
    explicit Plain(std::span<std::byte> bytes) : bytes_(bytes) {}
    [[nodiscard]] std::uint64_t size_bytes() const override { return bytes_.size(); }
    Result<void> read(std::uint64_t offset, std::span<std::byte> out) override {
      std::memcpy(out.data(), bytes_.data() + offset, out.size());
      return {};
    }
    Result<void> write(std::uint64_t offset, ByteView in) override {
      std::memcpy(bytes_.data() + offset, in.data(), in.size());
      return {};
    }
    [[nodiscard]] std::span<std::byte> direct() override { return bytes_; }
    [[nodiscard]] mm::PageId page(std::uint64_t offset) override {
      return {.device = 1, .file = 1, .offset = offset};
    }

   private:
    std::span<std::byte> bytes_;
  };
  [[nodiscard]] static bool inside(std::uint64_t address, std::uint64_t length) {
    return address >= kBase && length <= kSize && address - kBase <= kSize - length;
  }
};

}  // namespace teeio::kvm::test
