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
  std::uint32_t recs = 0;
  /// What the realm thinks of an IPA. Only the realm takes it out of kDestroyed.
  enum class Ripas : std::uint8_t { kEmpty, kDestroyed, kDev };
  struct Entry {
    Ripas ripas = Ripas::kEmpty;
    std::optional<Hpa> address{};  ///< assigned_dev
    Bdf tdi{};                     ///< whose memory that is
  };
  /// By IPA; those that are not here are unassigned and empty.
  std::map<std::uint64_t, Entry> rtt{};
};

/// A realm's vCPU, as far as its requests about devices go.
/// Source: TF-RMM runtime/include/rec.h.
struct Rec {
  Hpa rd;
  /// RSI_VDEV_VALIDATE_MAPPING, on its way through the host.
  struct Request {
    std::uint64_t vdev_id;
    Gpa base, top;
    Hpa pa;
    std::optional<Hpa> vdev{};  ///< VDEV_COMPLETE came
  };
  std::optional<Request> request{};
  /// Up to where the realm accepts device memory, and which.
  struct DevMem {
    Gpa base, top, addr;
    Hpa pa;
  };
  std::optional<DevMem> dev_mem{};
  RsiResult result{};
};

}  // namespace teeio::rmm
