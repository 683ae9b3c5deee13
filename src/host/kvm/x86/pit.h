#pragma once

#include <array>
#include <cstdint>

namespace teeio::kvm::x86 {

/// struct kvm_pit_channel_state, as values and in its order.
struct PitChannel {
  std::uint32_t count = 0;
  std::uint16_t latched_count = 0;
  std::uint8_t count_latched = 0, status_latched = 0, status = 0, read_state = 0;
  std::uint8_t write_state = 0, write_latch = 0, rw_mode = 0, mode = 0xff, bcd = 0, gate = 0;
  std::int64_t count_load_time = 0;
};

/// struct kvm_pit_state2 without its reserved words.
struct PitState {
  std::array<PitChannel, 3> channels{};
  std::uint32_t flags = 0;
};

/// The 8254's registers. Its counters stand still: no time passes here, and channel 0 never
/// raises its line. Source: Linux arch/x86/kvm/i8254.c.
/// Locking: Interrupts' lock.
class Pit {
 public:
  Pit() {
    for (unsigned i = 0; i < 3; ++i) {
      state_.channels.at(i).gate = i != 2 ? 1 : 0;
      load(state_.channels.at(i));
    }
  }
  [[nodiscard]] const PitState& state() const { return state_; }
  void set_state(const PitState& state) {
    state_ = state;
    for (PitChannel& channel : state_.channels) load(channel);
  }

 private:
  /// pit_load_count(): zero stands for the largest count.
  static void load(PitChannel& channel) {
    constexpr std::uint32_t kLargest = 0x1'0000;
    if (channel.count == 0) channel.count = kLargest;
  }

  PitState state_;
};

}  // namespace teeio::kvm::x86
