#include <algorithm>
#include <optional>

#include "firmware/tdx/g3_session.h"
#include "firmware/tdx/ide_keys.h"
#include "firmware/tdx/ide_stream.h"
#include "firmware/tdx/messages.h"
#include "hw/root_port.h"

// IDE streams as the newer API has them.

namespace teeio::tdx {
namespace {

constexpr std::uint32_t kKeysOfSet = 6;

/// The root port of a device and function number; as many as there are: none.
std::uint32_t root_port_at(const IommuState& iommu, std::uint8_t devfn) {
  const auto at = std::ranges::find(iommu.root_ports, devfn, [](const hw::RootPort* port) {
    return static_cast<std::uint8_t>(port->bdf().rid());
  });
  return static_cast<std::uint32_t>(at - iommu.root_ports.begin());
}

/// The first registers of a root port that are free; as many as there are: none.
std::uint8_t free_block(const hw::RootPort& port) {
  std::size_t block = 0;
  while (block < port.streams() && port.stream_state(block) != hw::IdeStreamState::kFree) ++block;
  return static_cast<std::uint8_t>(block);
}

/// The module chooses; which it takes is a guess. 0 is left to streams that nobody names, 255
/// to Linux, which gives it to those that are idle. One id for all IOMMUs: their root ports
/// share a host bridge, where Linux wants a name to be one stream's.
std::optional<std::uint8_t> free_stream_id(const State& state) {
  constexpr std::uint8_t kReserved = 255;
  const auto taken = [&](std::uint8_t id) {
    return std::ranges::any_of(state.iommus,
                               [&](const IommuState& iommu) { return iommu.streams.contains(id); });
  };
  std::uint8_t id = 1;
  while (id < kReserved && taken(id)) ++id;
  return id < kReserved ? std::optional(id) : std::nullopt;
}

/// A stream of that session's own: another session's is nobody's here.
Checked<IdeStream*> own_stream(Leaf& leaf, const G3Session& session, std::uint8_t id) {
  TDX_ASSIGN(IdeStream* const found, stream_at(leaf, *session.iommu, id));
  if (found->spdm != session.index) return leaf.refuse("stream");
  return found;
}
Checked<IdeStream*> own_usable_stream(Leaf& leaf, const G3Session& session, std::uint8_t id) {
  TDX_ASSIGN(IdeStream* const found, own_stream(leaf, session, id));
  if (found->blocked) return leaf.refuse("stream_blocked");
  return found;
}

/// Source: PCIe Base Spec 7.9.26.4 to 7.9.26.6.
Checked<IdeStreamConfig> decode(Leaf& leaf, const G3Leaves::StreamRegisters& registers) {
  constexpr std::uint32_t kValid = 1;
  if (registers.control != 0) return leaf.refuse("control");
  if ((registers.rid_2 & kValid) == 0) return leaf.refuse("rid_valid");
  if ((registers.address_1 & kValid) == 0) return leaf.refuse("address_valid");
  constexpr std::uint64_t kMiB = 1U << 20U;
  const std::uint64_t base = std::uint64_t{registers.address_3} << 32U |
                             std::uint64_t{registers.address_1 >> 8U & 0xfffU} << 20U;
  const std::uint64_t limit =
      std::uint64_t{registers.address_2} << 32U | std::uint64_t{registers.address_1 >> 20U} << 20U;
  return IdeStreamConfig{.rid_base = static_cast<std::uint16_t>(registers.rid_2 >> 8U),
                         .rid_limit = static_cast<std::uint16_t>(registers.rid_1 >> 8U),
                         .address_base = Hpa{base},
                         .address_limit = Hpa{limit | (kMiB - 1)}};
}

/// Which key a message of an operation is about: each key is programmed, then each goes.
KmParameters key_number(std::uint32_t number, std::uint8_t key_set) {
  const std::uint32_t key = number % kKeysOfSet;
  return {.sub_stream = KmParameters::SubStream{static_cast<std::uint8_t>(key / 2)},
          .direction = KmParameters::Direction{static_cast<std::uint8_t>(key % 2)},
          .key_set = key_set};
}
std::uint32_t messages_of(KmOperation operation) {
  return operation == KmOperation::kStop ? kKeysOfSet : 2 * kKeysOfSet;
}
KmObject object_of(const IdeStream::Km& km) {
  if (km.operation == KmOperation::kStop) return KmObject::kSetStop;
  return km.done < kKeysOfSet ? KmObject::kKeyProg : KmObject::kSetGo;
}

/// What KM is to do can be done with this stream.
Checked<void> may_key(Leaf& leaf, const IdeStream& stream, KmOperation operation) {
  if (operation > KmOperation::kStop) return leaf.refuse("operation");
  if (stream.km && stream.km->operation != operation) return leaf.refuse("under_way");
  if (operation == KmOperation::kStop && stream.devif_ref_cnt != 0) return leaf.refuse("devifs");
  if (operation == KmOperation::kSetup && stream.enabled && !stream.km)
    return leaf.refuse("enabled");
  if (operation == KmOperation::kRefresh && !stream.enabled) return leaf.refuse("not_enabled");
  return {};
}

/// The session's keys serve for so long only. When is not public: the explorer says.
Checked<void> fresh(Leaf& leaf, SpdmSession& spdm) {
  const bool has_keys = spdm.channel->evidence() != nullptr;
  const bool can = (spdm.configuration.capabilities & SpdmConfiguration::kKeyUpdate) != 0;
  if (has_keys && can && leaf.lags("the SPDM session's keys are worn")) spdm.worn = true;
  if (spdm.worn) return leaf.refuse("worn");
  return {};
}

}  // namespace

LeafResult G3Leaves::tdh_ide_stream_create(StreamInfo info, std::uint64_t spdm, HpaArray pages,
                                           const StreamRegisters& registers) {
  Leaf leaf(s_, row::kG3IdeStreamCreate);
  TDX_TRY(leaf.may_fail());
  TDX_ASSIGN(const G3Session session, g3_session(leaf, spdm, Operand::kRdx));
  if (!session.spdm->bound) return leaf.refuse("spdm_state");
  if (!info.selective) return leaf.refuse("link");
  TDX_ASSIGN(IdeStreamConfig config, decode(leaf, registers));
  config.root_port = root_port_at(*session.iommu, info.root_port);
  if (config.root_port < session.iommu->root_ports.size())
    config.register_block = free_block(*session.iommu->root_ports[config.root_port]);
  const auto id = free_stream_id(s_);
  if (!id) return leaf.refuse("block");
  config.stream_id = *id;
  TDX_TRY(check_stream(leaf, *session.iommu, config));
  TDX_ASSIGN(const std::vector<Hpa>& donated, leaf.free_array(pages, kStreamPages, Operand::kR8));
  leaf.give_way();
  TDX_TRY(make_stream(leaf, session.iommu_id, session.index, config, donated));
  return {.status = {}, .rcx = config.stream_id, .rdx = config.register_block};
}

LeafResult G3Leaves::tdh_ide_stream_block(std::uint64_t spdm, std::uint8_t stream) {
  Leaf leaf(s_, row::kG3IdeStreamBlock);
  TDX_TRY(leaf.may_fail());
  TDX_ASSIGN(const G3Session session, g3_session(leaf, spdm, Operand::kRcx));
  TDX_ASSIGN(IdeStream* const found, own_usable_stream(leaf, session, stream));
  leaf.give_way();
  block_stream(s_, session.iommu_id, stream, *found);
  return {};
}

LeafResult G3Leaves::tdh_ide_stream_delete(std::uint64_t spdm, std::uint8_t stream) {
  Leaf leaf(s_, row::kG3IdeStreamDelete);
  TDX_TRY(leaf.may_fail());
  TDX_ASSIGN(const G3Session session, g3_session(leaf, spdm, Operand::kRcx));
  TDX_ASSIGN(const IdeStream* const found, own_stream(leaf, session, stream));
  if (!found->blocked) return leaf.refuse("not_blocked");
  const Hpa page = found->pages.front();
  TDX_TRY(leaf.take_page_of(page, "busy", Operand::kRdx));
  if (!session.spdm->bound) return leaf.refuse("spdm_state");
  if (found->devif_ref_cnt != 0) return leaf.refuse("devifs");
  leaf.give_way();
  forget_stream(s_, session.iommu_id, stream);
  return {.status = {}, .rcx = HpaArray(page, kStreamPages).raw()};
}

LeafResult G3Leaves::tdh_ide_stream_km(std::uint64_t spdm, std::uint8_t stream,
                                       KmOperation operation, Messages messages) {
  Leaf leaf(s_, row::kG3IdeStreamKm);
  TDX_TRY(leaf.may_fail());
  TDX_ASSIGN(const G3Session session, g3_session(leaf, spdm, Operand::kRcx));
  TDX_ASSIGN(IdeStream* const found, own_usable_stream(leaf, session, stream));
  if (!session.spdm->bound) return leaf.refuse("spdm_state");
  TDX_TRY(may_key(leaf, *found, operation));
  TDX_TRY(g3_messages(leaf, messages, Operand::kR9, Operand::kR10));
  hw::RootPort& port = port_of(*session.iommu, *found);
  if (found->outstanding) {
    TDX_ASSIGN(const Bytes& object, read_object(leaf, messages.answer, Operand::kR9));
    TDX_TRY(km_answer(leaf, *found, *session.spdm, object));
  } else if (!found->km) {
    TDX_TRY(fresh(leaf, *session.spdm));
  }
  leaf.give_way();
  if (found->outstanding) {
    TDX_TRY(km_answered(leaf, port, *found));
    ++found->km->done;
  } else if (!found->km) {
    found->km = {.operation = operation, .done = 0};
  }
  const bool refreshes = operation == KmOperation::kRefresh;
  const auto key_set = static_cast<std::uint8_t>(refreshes ? 1U - found->key_set : found->key_set);
  if (found->km->done < messages_of(operation)) {
    const KmParameters key = key_number(found->km->done, key_set);
    const KmObject object = object_of(*found->km);
    if (object == KmObject::kSetGo) count_go(*found, key);
    TDX_ASSIGN(const Bytes& request, km_request(leaf, port, *found, *session.spdm, object, key));
    write_object(leaf, messages.request, request);
    return {.status = Code::kSpdmRequest, .rcx = request.size()};
  }
  found->km.reset();
  found->key_set = key_set;
  return {};
}

}  // namespace teeio::tdx
