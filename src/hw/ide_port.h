#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <vector>

#include "base/bytes.h"
#include "base/result.h"
#include "base/types.h"
#include "hw/config_space.h"
#include "hw/ide_offer.h"

namespace teeio::hw {

/// One of the keys of a stream. Source: PCIe Base Spec 6.33.3: a key for each
/// sub-stream and direction, in each of two key sets.
struct IdeKeySlot {
  enum class SubStream : std::uint8_t { kPosted = 0, kNonPosted = 1, kCompletion = 2 };
  enum class Direction : std::uint8_t { kReceive = 0, kTransmit = 1 };  ///< of this port
  std::uint8_t key_set = 0;                                             ///< 0 or 1
  Direction direction = Direction::kReceive;
  SubStream sub_stream = SubStream::kPosted;
};

enum class IdeStreamState : std::uint8_t {
  kFree,
  kConfigured,  ///< has an association (a link stream: an ID or its enable bit), not all keys
  kKeys,        ///< all six keys of a key set are programmed
  kEnabled,     ///< Secure: enabled, and each sub-stream and direction has a key in use
  kBlocked,     ///< carries nothing any more, until it is released
};

/// What a selective stream is for.
struct IdeAssociation {
  struct Range {
    std::uint64_t base = 0;  ///< bus address, 1 MiB granularity
    std::uint64_t last = 0;  ///< last byte, inclusive
  };
  std::uint8_t stream_id = 0;
  std::uint8_t segment = 0;
  std::uint16_t rid_first = 0;
  std::uint16_t rid_last = 0;  ///< inclusive
  std::vector<Range> memory;   ///< at most IdePort::kAddressBlocks
};

/// The IDE extended capability of a port and the streams behind it. Association and
/// enable bit live in the registers, where both configuration writes and configure()
/// put them; keys never do. A bit of a control register that the capability does not
/// offer stays zero. A stream whose control register names what no port does (another
/// algorithm than AES-GCM-256, a reserved mode of header encryption) does not get Secure,
/// and one whose protection is changed while it is Secure leaves it: software must not,
/// and what happens then is not said (a choice).
/// Source: PCIe Base Spec 6.33, 7.9.26; layout as Linux drivers/pci/ide.c uses
/// it (sel_ide_offset(), pci_ide_stream_to_regs()).
///
/// Register blocks are numbered from 0: the selective streams', then the link streams'.
///
/// Lifetime: within the function that owns `config`. Locking: the owner's.
class IdePort {
 public:
  static constexpr std::size_t kAddressBlocks = 2;
  static constexpr std::size_t kKeyBytes = 32;  ///< AES-GCM-256
  static constexpr std::size_t kMaxStreams = 32;

  /// Adds the capability. Precondition: 1 ≤ streams ≤ kMaxStreams, and at most
  /// IdeOffer::kMaxLinks.
  IdePort(ConfigSpace& config, std::size_t streams, const IdeOffer& offer = {});

  [[nodiscard]] std::uint16_t offset() const { return offset_; }
  /// Of the whole capability.
  [[nodiscard]] std::uint16_t size_bytes() const;
  /// Selective ones.
  [[nodiscard]] std::size_t streams() const { return slots_.size() - links_; }
  [[nodiscard]] std::size_t blocks() const { return slots_.size(); }
  [[nodiscard]] bool is_link(std::size_t block) const { return block >= streams(); }
  /// Of the selective ones.
  [[nodiscard]] std::size_t free_streams() const;

  /// To be called after a configuration write was applied: takes keys away from
  /// a stream whose enable bit was cleared, and updates the status registers.
  void registers_written();

  // All fail with EINVAL beyond the last block.

  /// Of a selective stream. Errors: EBUSY when the block is not free or another one has the
  /// stream id; EINVAL when the ranges are empty, wrong or too many.
  Result<void> configure(std::size_t block, const IdeAssociation& association);
  /// Gives the digest of the key, 64 bits that do not tell the key.
  /// Errors: EINVAL for a key of another size; ENXIO for a block that is free;
  /// EBUSY when the slot's key is in use, EIO when the stream is blocked.
  Result<std::uint64_t> program_key(std::size_t block, IdeKeySlot slot, ByteView key);
  /// K_SET_GO and K_SET_STOP of one key. A key that goes takes over from the other
  /// set's key of the same sub-stream and direction, which is forgotten: key refresh
  /// needs no K_SET_STOP (tee-io-validator, ide_key_switch_to(), has none).
  /// Errors: ENXIO when it is not programmed (go) or not in use (stop); EIO when the
  /// stream is blocked.
  Result<void> go(std::size_t block, IdeKeySlot slot);
  Result<void> stop(std::size_t block, IdeKeySlot slot);
  /// Forgets all keys of both sets: the stream is no longer Secure, its association
  /// stays. Nothing happens to a block that is free or blocked.
  void forget_keys(std::size_t block);
  /// Sets the enable bit. Errors: ENXIO unless each sub-stream and direction has a
  /// key in use; EIO when the stream is blocked.
  Result<void> enable(std::size_t block);
  /// The emergency exit: keys are gone and the stream carries nothing from here
  /// on. One way until release(). Errors: ENXIO when the block is free, EALREADY.
  Result<void> block(std::size_t block);
  /// Makes the block free: registers zero, keys gone.
  Result<void> release(std::size_t block);

  [[nodiscard]] IdeStreamState state(std::size_t block) const;
  /// The block that has `stream_id`, selective ones first.
  [[nodiscard]] std::optional<std::size_t> find(std::uint8_t stream_id) const;
  [[nodiscard]] std::uint8_t stream_id(std::size_t block) const;
  /// The TC that the stream's registers are set to.
  [[nodiscard]] std::uint8_t traffic_class(std::size_t block) const;
  /// The block whose RID range has `rid`, enabled ones first.
  [[nodiscard]] std::optional<std::size_t> find_requester(std::uint16_t rid) const;
  /// Whether an enabled stream has the address: where a trusted memory request downstream goes.
  /// Source: PCIe Base Spec 6.33.4, 7.9.26.5.5.
  [[nodiscard]] bool has_address(std::uint64_t address) const;
  /// Grows with everything that may change an answer above.
  [[nodiscard]] std::uint64_t generation() const { return generation_; }

 private:
  static constexpr std::size_t kKeysOfSet = 6;
  struct Key {
    bool programmed = false;
    bool running = false;
  };
  struct Slot {
    std::array<std::array<Key, kKeysOfSet>, 2> keys;
    bool blocked = false;
    std::uint32_t protection = 0;  ///< as the control register was when it got Secure
  };

  [[nodiscard]] std::uint16_t reg(std::size_t block, std::uint16_t offset) const;
  [[nodiscard]] std::uint32_t control(std::size_t block) const;
  void set_control(std::size_t block, std::uint32_t value);
  [[nodiscard]] std::uint16_t control_reg(std::size_t block) const;
  [[nodiscard]] std::uint16_t status_reg(std::size_t block) const {
    return static_cast<std::uint16_t>(control_reg(block) + 4);
  }
  void add_association(std::size_t block);
  [[nodiscard]] bool has_association(std::size_t block) const;
  [[nodiscard]] bool enable_bit(std::size_t block) const;
  /// A key set is programmed whole.
  [[nodiscard]] bool has_programmed_set(std::size_t block) const;
  /// Each sub-stream and direction has a key in use, of either set.
  [[nodiscard]] bool all_running(std::size_t block) const;
  [[nodiscard]] Result<Key*> key(std::size_t block, IdeKeySlot slot);
  [[nodiscard]] IdeAssociation::Range range(std::size_t block, std::size_t number) const;
  void write_association(std::size_t block, const IdeAssociation& association);
  void update_status(std::size_t block);

  ConfigSpace& config_;
  const std::size_t links_;
  const std::uint16_t offset_;
  std::vector<Slot> slots_;
  std::uint64_t generation_ = 0;
};

}  // namespace teeio::hw
