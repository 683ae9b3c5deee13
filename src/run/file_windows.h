#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <utility>

#include "run/dma_mappings.h"
#include "run/fd.h"

namespace teeio::run {

/// A part of a file that is mapped for DMA. Small parts of a file share mappings, for a program
/// may pin each page of its memory alone, and the kernel counts mappings.
///
/// Lifetime: the mapping goes with its last part. Locking: its own, a leaf.
class FilePart {
 public:
  /// Errors (errno): as DmaMapping::map().
  static std::optional<FilePart> map(const Fd& file, std::uint64_t start, std::uint64_t length,
                                     int prot);
  [[nodiscard]] std::span<std::byte> bytes() const { return bytes_; }

  /// What small parts share, aligned to its size.
  static constexpr std::uint64_t kWindow = std::uint64_t{2} << 20U;

 private:
  FilePart(std::shared_ptr<const DmaMapping> mapping, std::uint64_t offset, std::uint64_t length)
      : mapping_(std::move(mapping)), bytes_(mapping_->address() + offset, length) {}

  std::shared_ptr<const DmaMapping> mapping_;
  std::span<std::byte> bytes_;
};

}  // namespace teeio::run
