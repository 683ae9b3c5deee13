#pragma once

#include <array>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>

#include "firmware/rmm/types.h"
#include "hw/root_port.h"
#include "spdm/channel_setup.h"
#include "wire/tdisp_messages.h"

namespace teeio::rmm {

/// A request for a device, and what its answer does.
struct Exchange {
  wire::Protocol protocol;
  Bytes request;
  std::function<Result<void>(ByteView answer)> take;
};

/// What a command leaves to be driven by the host's COMMUNICATE calls.
struct Comm {
  enum class State : std::uint8_t { kIdle, kPending, kActive, kError } state = State::kIdle;
  /// What the channel itself has to do before the script: connect, take
  /// measurements with `nonce`, or say good-bye.
  enum class Channel : std::uint8_t { kNothing, kConnect, kMeasure, kDisconnect };
  Channel channel = Channel::kNothing;
  std::array<std::byte, 32> nonce{};
  std::deque<Exchange> script;
  std::function<void(bool good)> finish;

  void due(std::deque<Exchange> exchanges, std::function<void(bool)> then) {
    state = State::kPending;
    script = std::move(exchanges);
    finish = std::move(then);
  }
};

/// A physical device with its only IDE stream.
struct Pdev {
  PdevParams params;
  PdevState state = PdevState::kNew;
  Comm comm{};
  std::unique_ptr<spdm::RequesterChannel> channel{};
  std::uint32_t vdevs = 0;
  struct Stream {
    hw::RootPort* port;
    std::size_t block;
    std::uint8_t id;
    bool connected = false;
  };
  std::optional<Stream> stream{};
};

/// A function of a PDEV that is assigned to a realm.
struct Vdev {
  VdevParams params;
  Hpa rd, pdev;
  VdevState state = VdevState::kNew;
  Comm comm{};
  bool dma = false;  ///< STE valid
  wire::TdispNonce nonce{};
  Bytes report{};
};

struct Realm {
  std::uint32_t vm;  ///< its number in traces
  RealmState state = RealmState::kNew;
  std::uint32_t vdevs = 0;
  struct Entry {
    Hpa address;
    Bdf tdi;
    bool validated = false;  ///< RIPAS DEV
  };
  std::map<std::uint64_t, Entry> rtt{};  ///< assigned_dev entries, by IPA
};

}  // namespace teeio::rmm
