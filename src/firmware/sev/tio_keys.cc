#include "crypto/secret.h"
#include "firmware/sev/tio.h"
#include "schedule/task.h"
#include "wire/ide_km.h"

// IDE keys of a device's stream, at both ends: the host has set up the associations.

namespace teeio::sev {
namespace {

/// A request about one key; `applied` does the same at the root port.
Exchange ide_km(const wire::IdeKmMessage& request, std::function<Result<void>()> applied) {
  return {wire::Protocol::kIdeKm, wire::encode_ide_km(request),
          [applied = std::move(applied)](ByteView answer) -> Result<void> {
            TEEIO_ASSIGN(const wire::IdeKmMessage message, wire::decode_ide_km(answer));
            const auto* ack = std::get_if<wire::IdeKmKpAck>(&message);
            if (ack != nullptr ? ack->status != 0
                               : !std::holds_alternative<wire::IdeKmKGoStopAck>(message))
              return fail(Errno::kIo, "the device acknowledges no key");
            return applied();
          }};
}

/// Calls `make(selector, the root port's slot of that key)` for the six keys of a set.
template <class Make>
void each_key(std::uint8_t key_set, Make make) {
  using Direction = hw::IdeKeySlot::Direction;
  for (const auto sub : {wire::IdeSubStream::kPosted, wire::IdeSubStream::kNonPosted,
                         wire::IdeSubStream::kCompletion})
    for (const auto direction : {wire::IdeDirection::kRx, wire::IdeDirection::kTx})
      make(wire::IdeKeySelector::make(key_set, direction, sub),
           hw::IdeKeySlot{.key_set = key_set,
                          .direction = direction == wire::IdeDirection::kTx ? Direction::kReceive
                                                                            : Direction::kTransmit,
                          .sub_stream = static_cast<hw::IdeKeySlot::SubStream>(sub)});
}

}  // namespace

/// A whole new set of keys, then each of them goes: PCIe Base Spec 6.33.3.
std::deque<Exchange> Tio::key_script(DeviceContext& device, std::uint8_t key_set) {
  std::deque<Exchange> script;
  hw::RootPort& port = *device.port.port;
  const std::uint8_t stream = device.stream_ids[0];
  const auto block = [&port, stream] { return port.find_stream(stream).value_or(port.streams()); };
  each_key(key_set, [&](wire::IdeKeySelector selector, hw::IdeKeySlot slot) {
    wire::IdeKey key;
    schedule::fill_random(key.key);
    const auto kept = std::make_shared<const crypto::Secret>(ByteView(key.key));
    script.push_back(ide_km(
        wire::IdeKmKeyProg{stream, selector, 0, key},
        [&port, block, slot, kept] { return port.program_key(block(), slot, kept->view()); }));
    crypto::wipe(key.key);
  });
  each_key(key_set, [&](wire::IdeKeySelector selector, hw::IdeKeySlot slot) {
    script.push_back(ide_km(wire::IdeKmKSetGo{stream, selector, 0},
                            [&port, block, slot] { return port.key_go(block(), slot); }));
  });
  return script;
}

/// The device's keys go; the root port's go with its stream, which is the host's.
std::deque<Exchange> Tio::stop_script(DeviceContext& device) {
  std::deque<Exchange> script;
  each_key(device.key_set, [&](wire::IdeKeySelector selector, hw::IdeKeySlot) {
    script.push_back(ide_km(wire::IdeKmKSetStop{device.stream_ids[0], selector, 0},
                            [] { return Result<void>{}; }));
  });
  return script;
}

/// Keys that were programmed and never used with an enabled stream would be in the way of
/// the next ones.
void Tio::stop_port_keys(DeviceContext& device) {
  hw::RootPort& port = *device.port.port;
  const auto block = port.find_stream(device.stream_ids[0]);
  if (!block) return;
  for (const std::uint8_t set : {std::uint8_t{0}, std::uint8_t{1}})
    each_key(set,
             [&](wire::IdeKeySelector, hw::IdeKeySlot slot) { (void)port.key_stop(*block, slot); });
}

}  // namespace teeio::sev
