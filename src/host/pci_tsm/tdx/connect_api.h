#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>

#include "base/bytes.h"
#include "host/kvm/tdx/tdx_host.h"
#include "host/pci_tsm/ide_streams.h"
#include "hw/pci_function.h"
#include "hw/root_port.h"

namespace teeio::tsm {

/// Where a root port hangs: which IOMMU translates for it, and its number there.
struct TdxPort {
  hw::RootPort* port;
  std::uint32_t iommu;
  std::uint32_t index;
};

/// A card on its way to being connected, or connected.
struct TdxCard {
  hw::PciFunction* pf0;
  TdxPort port;
  std::uint32_t number = 0;     ///< among the IOMMU's cards, as the host counts
  std::uint64_t session = 0;    ///< the SPDM session's id
  std::uint8_t stream = 0;      ///< IDE stream id
  IdeStream* ide = nullptr;     ///< as the host allocated it
  Hpa message{0};               ///< a shared page for messages
  Hpa answer{0};                ///< G3: another, for their answers
  Bytes info{};                 ///< G3: device information, as the module gave it
  std::uint8_t key_set = 0;     ///< G2: that the stream's keys are in
  std::uint8_t steps = 0;       ///< how many of connect's steps are done
  bool stream_blocked = false;  ///< by an emergency exit
};

/// Takes the data object of `bytes` in the page `request` to the device, and puts its answer
/// into the page `answer`: all that the host sees of a session. Errors: EIO for what exceeds
/// a page; those of doe_exchange().
Result<void> carry(kvm::TdxHost& host, const TdxCard& card, Hpa request, std::size_t bytes,
                   Hpa answer);

/// What the module's API is asked for to connect a card: one class a generation, each method a
/// step. Errors are leaf_error()'s; what undoes a step leaks the pages of a refused leaf, as
/// Linux does.
///
/// Lifetime: the driver's. Locking: none; the driver's calls exclude each other by card.
class ConnectApi {
 public:
  using Nonce = std::array<std::byte, 32>;
  virtual ~ConnectApi() = default;

  virtual Result<void> create_session(TdxCard& card) = 0;
  virtual Result<void> connect_session(TdxCard& card) = 0;
  /// The device is told, if it listens; the module forgets the session in any case.
  virtual void disconnect_session(TdxCard& card) = 0;
  virtual void delete_session(TdxCard& card) = 0;

  /// The root port's registers have the stream; `stream` is its name. Precondition: `ide`.
  virtual Result<void> create_stream(TdxCard& card) = 0;
  /// Whether the end point's stream is its default one, for what no association covers.
  [[nodiscard]] virtual bool default_stream() const = 0;
  /// The root port's stream is enabled at the end.
  virtual Result<void> program_keys(TdxCard& card) = 0;
  /// New keys, in the set that is not in use: the stream changes over to them.
  virtual Result<void> refresh_keys(TdxCard& card) = 0;
  virtual void stop_keys(TdxCard& card) = 0;
  virtual tdx::LeafResult block_stream(TdxCard& card) = 0;
  virtual void delete_stream(TdxCard& card) = 0;

  /// The device measures itself with `nonce`. `code`: the last leaf's status.
  virtual Result<void> collect_evidence(TdxCard& card, const Nonce& nonce, std::uint64_t& code) = 0;
  /// At most `limit` bytes of the evidence from `offset` on. Errors: EIO beyond its end.
  virtual Result<Bytes> read_evidence(TdxCard& card, std::uint32_t offset, std::size_t limit,
                                      std::uint64_t& code) = 0;
};

[[nodiscard]] std::unique_ptr<ConnectApi> make_connect_g2(kvm::TdxHost& host);
[[nodiscard]] std::unique_ptr<ConnectApi> make_connect_g3(kvm::TdxHost& host);

}  // namespace teeio::tsm
