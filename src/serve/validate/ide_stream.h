#pragma once

#include <cstdint>
#include <optional>

#include "serve/validate/config_file.h"

namespace teeio::serve::validate {

/// What a host's software does in a function's IDE capability before IDE_KM and TDISP make
/// sense: a selective stream's block has the stream ID, the requester IDs of the function's
/// bus, and its enable bit. Put back as it was at the end.
///
/// Source: PCIe Base Spec 7.9.26; layout as Linux drivers/pci/ide.c, sel_ide_offset().
///
/// Lifetime: `config` outlives it. Locking: none.
class IdeStream {
 public:
  /// A stream with that ID that is enabled already, selective or link, is left alone; else the
  /// first block that is not enabled is taken. Without IDE, or such a block, nothing is done.
  IdeStream(const ConfigFile& config, std::uint8_t stream_id);
  ~IdeStream();
  IdeStream(const IdeStream&) = delete;
  IdeStream& operator=(const IdeStream&) = delete;

  /// Where the block is that was taken.
  [[nodiscard]] std::optional<std::uint32_t> block() const { return block_; }
  /// IDE Capability; 0 without a block.
  [[nodiscard]] std::uint32_t capability() const { return capability_; }
  [[nodiscard]] std::uint8_t stream_id() const { return stream_id_; }
  /// The block's control register gets these bits beside ID and enable, the stream off in
  /// between; what it says then. Precondition: block().
  [[nodiscard]] std::uint32_t configure(std::uint32_t bits) const;
  /// Its status register. Precondition: block().
  [[nodiscard]] std::uint32_t status() const;

 private:
  const ConfigFile& config_;
  const std::uint8_t stream_id_;
  std::optional<std::uint32_t> block_;
  std::uint32_t capability_ = 0;
  std::uint32_t control_ = 0, rid1_ = 0, rid2_ = 0;  ///< as they were
};

/// For a link stream beside that one.
[[nodiscard]] constexpr std::uint8_t other_stream(std::uint8_t stream_id) {
  return static_cast<std::uint8_t>(stream_id ^ 0x80U);
}

/// The same of a link stream: the first link block that is not enabled, if the function has any
/// and no stream with that ID is enabled. Its registers are written by configure() only.
class IdeLinkStream {
 public:
  IdeLinkStream(const ConfigFile& config, std::uint8_t stream_id);
  ~IdeLinkStream();
  IdeLinkStream(const IdeLinkStream&) = delete;
  IdeLinkStream& operator=(const IdeLinkStream&) = delete;

  // As IdeStream's.
  [[nodiscard]] std::optional<std::uint32_t> block() const { return block_; }
  [[nodiscard]] std::uint32_t capability() const { return capability_; }
  [[nodiscard]] std::uint8_t stream_id() const { return stream_id_; }
  [[nodiscard]] std::uint32_t configure(std::uint32_t bits) const;
  [[nodiscard]] std::uint32_t status() const;
  /// A stream that is enabled has the ID, so that there is no block().
  [[nodiscard]] bool id_is_taken() const { return id_is_taken_; }
  /// The block's control register as it was.
  void put_back() const;

 private:
  const ConfigFile& config_;
  const std::uint8_t stream_id_;
  std::optional<std::uint32_t> block_;
  bool id_is_taken_ = false;
  std::uint32_t capability_ = 0;
  std::uint32_t control_ = 0;
};

}  // namespace teeio::serve::validate
