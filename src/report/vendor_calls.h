#pragma once

#include <cstdint>

#include "object/event.h"

namespace teeio::report {

// What calls to firmware are for, by the names that vendors have for them: nothing else in this
// room knows one.

/// What a guest asks its firmware for.
enum class GuestAct : std::uint8_t {
  kAttest,  ///< to trust the device
  kLook,    ///< what the firmware knows of it
  kAcceptMmio,
  kAcceptDma,
  kGiveUpDma,
  kStart,
};
/// Whether a call is for that. One may be for two things, by turns.
[[nodiscard]] bool is_act(const object::Event& call, GuestAct act);
/// Whether a guest's call is a part of its device's life, and not of many calls for one thing.
[[nodiscard]] bool is_life_of_guest(const object::Event& call);
/// Whether a guest makes the call again until it is done.
[[nodiscard]] bool is_tried_again(const object::Event& call);

/// What a host's call to its firmware is a part of.
enum class HostWork : std::uint8_t { kOther, kBuild, kMemory, kAccept, kMetadata, kTearDown };
[[nodiscard]] HostWork work_of(const object::Event& call);

}  // namespace teeio::report
