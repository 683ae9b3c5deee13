#include <algorithm>

#include "host/pci_tsm/tdx/connect_api.h"

// The older API: the host chooses ids, and carries each message of IDE_KM by a pair of leaves.

namespace teeio::tsm {
namespace {

using tdx::KmObject;
using tdx::KmParameters;

constexpr KmParameters::SubStream kSubStreams[] = {KmParameters::SubStream::kPosted,
                                                   KmParameters::SubStream::kNonPosted,
                                                   KmParameters::SubStream::kCompletion};
constexpr KmParameters::Direction kDirections[] = {KmParameters::Direction::kRx,
                                                   KmParameters::Direction::kTx};

/// The root port's slot for a key: each stream has its own, by key set and sub-stream.
std::uint64_t key_slot(const TdxCard& card, const KmParameters& which) {
  return tdx::kKeySlotsOfStream * card.ide->port.block + std::size(kSubStreams) * which.key_set +
         static_cast<std::uint64_t>(which.sub_stream);
}

class ConnectG2 final : public ConnectApi {
 public:
  explicit ConnectG2(kvm::TdxHost& host) : host_(host) {}

  Result<void> create_session(TdxCard& card) override;
  Result<void> connect_session(TdxCard& card) override;
  void disconnect_session(TdxCard& card) override;
  void delete_session(TdxCard& card) override;
  Result<void> create_stream(TdxCard& card) override;
  [[nodiscard]] bool default_stream() const override { return false; }
  Result<void> program_keys(TdxCard& card) override { return program_set(card, card.key_set); }
  Result<void> refresh_keys(TdxCard& card) override;
  void stop_keys(TdxCard& card) override;
  tdx::LeafResult block_stream(TdxCard& card) override;
  void delete_stream(TdxCard& card) override;
  Result<void> collect_evidence(TdxCard& card, const Nonce& nonce, std::uint64_t& code) override;
  Result<Bytes> read_evidence(TdxCard& card, std::uint32_t offset, std::size_t limit,
                              std::uint64_t& code) override;

 private:
  static std::uint32_t session(const TdxCard& card) {
    return static_cast<std::uint32_t>(card.session);
  }
  Result<void> carry_on(const TdxCard& card, std::size_t bytes) {
    return carry(host_, card, card.message, bytes, card.message);
  }
  Result<void> program_set(const TdxCard& card, std::uint8_t key_set);
  Result<void> exchange_key(const TdxCard& card, KmObject object, const KmParameters& which);

  kvm::TdxHost& host_;
};

Result<void> ConnectG2::create_session(TdxCard& card) {
  card.session = card.number;
  TEEIO_ASSIGN(const Hpa page, host_.memory().alloc_page());
  const auto created = host_.once(
      [&] { return host_.module().tdh_spdm_create(card.port.iommu, session(card), page); });
  if (created.ok()) return {};
  host_.memory().free_page(page);
  return std::unexpected(kvm::leaf_error(created, "TDH.SPDM.CREATE failed"));
}

Result<void> ConnectG2::connect_session(TdxCard& card) {
  for (;;) {
    const auto step = host_.extension_once([&] {
      return host_.module().tdh_spdm_connect(card.port.iommu, session(card), card.message);
    });
    if (!step.ok()) return std::unexpected(kvm::leaf_error(step, "TDH.SPDM.CONNECT failed"));
    if (step.message_bytes() == 0) return {};
    TEEIO_TRY(carry_on(card, step.message_bytes()));
  }
}

void ConnectG2::disconnect_session(TdxCard& card) {
  tdx::Module& module = host_.module();
  for (;;) {
    const auto step = host_.extension(
        [&] { return module.tdh_spdm_disconnect(card.port.iommu, session(card), card.message); });
    if (!step.ok()) break;
    if (step.message_bytes() == 0) return;
    if (!carry_on(card, step.message_bytes())) break;
  }
  (void)host_.extension([&] { return module.tdh_spdm_disconnect(card.port.iommu, session(card)); });
}

void ConnectG2::delete_session(TdxCard& card) {
  const auto deleted =
      host_.call([&] { return host_.module().tdh_spdm_delete(card.port.iommu, session(card)); });
  if (deleted.ok()) host_.memory().free_page(Hpa{deleted.rcx});
}

/// One address association, of the root port's prefetchable window where there is one. The
/// host names the stream: one name a host bridge, since the link has it.
Result<void> ConnectG2::create_stream(TdxCard& card) {
  const StreamEnd& end = card.ide->port;
  card.stream = static_cast<std::uint8_t>(card.ide->bridge_index + 1);
  tdx::IdeStreamConfig config{.root_port = card.port.index,
                              .register_block = static_cast<std::uint8_t>(end.block),
                              .key_id = static_cast<std::uint8_t>(end.block),
                              .stream_id = card.stream,
                              .rid_base = end.requesters.first,
                              .rid_limit = end.requesters.last};
  if (!end.addresses.empty()) {
    config.address_base = Hpa{end.addresses.back().base};
    config.address_limit = Hpa{end.addresses.back().last};
  }
  TEEIO_ASSIGN(const Hpa page, host_.memory().alloc_page());
  const auto created = host_.once([&] {
    return host_.module().tdh_ide_stream_create(card.port.iommu, session(card), config, page);
  });
  if (created.ok()) return {};
  host_.memory().free_page(page);
  return std::unexpected(kvm::leaf_error(created, "TDH.IDE.STREAM.CREATE failed"));
}

Result<void> ConnectG2::program_set(const TdxCard& card, std::uint8_t key_set) {
  for (const KmObject object : {KmObject::kKeyProg, KmObject::kSetGo})
    for (const auto sub_stream : kSubStreams)
      for (const auto direction : kDirections)
        TEEIO_TRY(exchange_key(
            card, object, {.sub_stream = sub_stream, .direction = direction, .key_set = key_set}));
  return {};
}

Result<void> ConnectG2::refresh_keys(TdxCard& card) {
  const auto other = static_cast<std::uint8_t>(1U - card.key_set);
  TEEIO_TRY(program_set(card, other));
  card.key_set = other;
  return {};
}

void ConnectG2::stop_keys(TdxCard& card) {
  for (const auto sub_stream : kSubStreams)
    for (const auto direction : kDirections)
      (void)exchange_key(
          card, KmObject::kSetStop,
          {.sub_stream = sub_stream, .direction = direction, .key_set = card.key_set});
}

Result<void> ConnectG2::exchange_key(const TdxCard& card, KmObject object,
                                     const KmParameters& which) {
  const std::uint64_t slot = object == KmObject::kKeyProg ? key_slot(card, which) : 0;
  const auto request = host_.once([&] {
    return host_.module().tdh_ide_km_request(card.port.iommu, card.stream, object, which, slot,
                                             card.message);
  });
  if (!request.ok())
    return std::unexpected(kvm::leaf_error(request, "TDH.IDE.STREAM.IDEKMREQ failed"));
  TEEIO_TRY(carry_on(card, request.message_bytes()));
  // Also for set-up: a request that stays pending would block the undoing.
  const auto response = host_.call([&] {
    return host_.module().tdh_ide_km_response(card.port.iommu, card.stream, card.message);
  });
  if (!response.ok())
    return std::unexpected(kvm::leaf_error(response, "TDH.IDE.STREAM.IDEKMRSP failed"));
  return {};
}

tdx::LeafResult ConnectG2::block_stream(TdxCard& card) {
  return host_.call(
      [&] { return host_.module().tdh_ide_stream_block(card.port.iommu, card.stream); });
}

void ConnectG2::delete_stream(TdxCard& card) {
  const auto deleted = host_.call(
      [&] { return host_.module().tdh_ide_stream_delete(card.port.iommu, card.stream); });
  if (deleted.ok()) host_.memory().free_page(Hpa{deleted.rcx});
}

Result<void> ConnectG2::collect_evidence(TdxCard& card, const Nonce& nonce, std::uint64_t& code) {
  for (;;) {
    const auto step = host_.extension([&] {
      return host_.module().tdh_spdm_recollect(card.port.iommu, session(card), nonce, card.message);
    });
    code = step.status.rax();
    if (!step.ok()) return std::unexpected(kvm::leaf_error(step, "TDH.SPDM.MNG failed"));
    if (step.message_bytes() == 0) return {};
    TEEIO_TRY(carry_on(card, step.message_bytes()));
  }
}

Result<Bytes> ConnectG2::read_evidence(TdxCard& card, std::uint32_t offset, std::size_t limit,
                                       std::uint64_t& code) {
  const auto read = host_.extension([&] {
    return host_.module().tdh_spdm_info(card.port.iommu, session(card), offset, card.message);
  });
  code = read.status.rax();
  if (!read.ok()) return std::unexpected(kvm::leaf_error(read, "TDH.SPDM.MNG failed"));
  Bytes portion(std::min<std::size_t>(read.message_bytes(), limit));
  TEEIO_TRY(host_.memory().read(card.message, portion));
  return portion;
}

}  // namespace

std::unique_ptr<ConnectApi> make_connect_g2(kvm::TdxHost& host) {
  return std::make_unique<ConnectG2>(host);
}

}  // namespace teeio::tsm
