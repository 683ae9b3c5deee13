#include <algorithm>

#include "firmware/rmm/command.h"
#include "firmware/rmm/device_key.h"

// Physical devices: TF-RMM runtime/rmi/pdev.c.

namespace teeio::rmm {
namespace {

constexpr std::uint64_t kKnownFlags = 0b111;
constexpr std::uint32_t kMaxVdevs = 1023;  // PDEV_MAX_VDEVS(MAX_VDEVS_ORDER)
constexpr std::uint64_t kMaxRoutingId = 0xffff;

/// Granules of an end point's application, of its streams, and of its VDEVs' ranges.
/// The application's number is a build's; sizeof(pdev_vdev_range_slot) is 144 bytes.
std::uint64_t aux_granules(const PdevParams& params) {
  constexpr std::uint64_t kApplication = 4;
  constexpr std::uint64_t kStreams = 1;
  constexpr std::uint64_t kSlots = kPageSize / 144;
  return kApplication + kStreams + (params.rid_top - params.rid_base + kSlots - 1) / kSlots;
}

/// validate_rmi_pdev_params(), as far as no machine is asked; empty: nothing is wrong.
std::string_view fault(const PdevParams& params) {
  const bool port = params.category() == PdevCategory::kRootPort;
  if (!port && (params.rid_base >= params.rid_top || params.rid_top - params.rid_base > kMaxVdevs))
    return "rids";
  if (!port && params.hash > static_cast<std::uint8_t>(HashAlgorithm::kSha384)) return "hash";
  if ((params.flags & ~kKnownFlags) != 0) return "flags";
  if (params.category() == PdevCategory::kOffChip && !params.spdm()) return "spdm";
  if (!port && params.category() != PdevCategory::kOffChip) return "category";
  return params.routing_id > kMaxRoutingId ? "routing" : "";
}

}  // namespace

RmiResult Rmm::pdev_create(Hpa at, Hpa params_at) {
  Command c(*this, row::kPdevCreate);
  if (!c.begin({at, params_at})) return c.result();
  const Bytes page = c.page(params_at, "params");
  if (page.empty()) return c.result();
  const PdevParams params = PdevParams::decode(page);
  if (const std::string_view wrong = fault(params); !wrong.empty()) return c.refuse(wrong);
  RMM_REFUSE_IF(params.bridge != settings_.bridge, "bridge");
  const auto rid = static_cast<std::uint16_t>(params.id);
  const bool is_port = params.category() == PdevCategory::kRootPort;
  const auto port = std::ranges::find_if(ports_, [&](const hw::RootPort* candidate) {
    return is_port ? candidate->bdf().rid() == rid
                   : rid >> 8U >= candidate->secondary_bus() &&
                         rid >> 8U <= candidate->subordinate_bus();
  });
  RMM_REFUSE_IF(params.id > kMaxRoutingId || port == ports_.end(), "function");
  if (!c.granule(at, GranuleState::kDelegated, "granule")) return c.result();
  if (is_port) {
    set(at, GranuleState::kPdev);
    Pdev& pdev = pdevs_[raw(at)];
    pdev.params = params;
    pdev.at = at;
    pdev.port = *port;
    return {};
  }
  RMM_FIND(operation, reserve(c, raw(at)));
  operation->pdev = params;
  operation->object = at;
  operation->kind = GranuleState::kPdevAux;
  operation->wanted = {aux_granules(params)};
  set(at, GranuleState::kPartial);
  return ask_for(*operation);
}

/// pdev_create_continue_ep().
Code Rmm::pdev_created(Operation& operation) {
  const Hpa at = operation.object;
  set(at, GranuleState::kPdev);
  Pdev& pdev = pdevs_[raw(at)];
  pdev.params = operation.pdev;
  pdev.at = at;
  pdev.aux = std::exchange(operation.memory, {});
  pdev.app.emplace(
      spdm::make_requester(channels_, &watcher_), crypto_hash(HashAlgorithm(pdev.params.hash)),
      memory_, defective() ? Application::Handshake::kInTheClear : Application::Handshake::kAny);
  return Code::kSuccess;
}

RmiResult Rmm::pdev_communicate(Hpa at, Hpa data) {
  Command c(*this, row::kPdevCommunicate, at);
  if (!c.begin({at, data})) return c.result();
  RMM_FIND(pdev, c.pdev(at));
  RMM_REFUSE_IF(!is_hosts(data), "data");
  const auto entered = enter(c, pdev->comm, pdev->comm, data);
  return entered ? drive_pdev(c, *pdev, *entered, data) : c.result();
}

RmiResult Rmm::pdev_get_state(Hpa at) {
  Command c(*this, row::kPdevGetState, at);
  if (!c.begin({at})) return c.result();
  RMM_FIND(pdev, c.pdev(at));
  return {.x1 = static_cast<std::uint64_t>(pdev->state)};
}

RmiResult Rmm::pdev_set_pubkey(Hpa at, Hpa params_at) {
  Command c(*this, row::kPdevSetPubkey, at);
  if (!c.begin({at, params_at})) return c.result();
  const Bytes page = c.page(params_at, "params");
  if (page.empty()) return c.result();
  const PublicKeyParams params = PublicKeyParams::decode(page);
  RMM_REFUSE_IF(params.key_length > PublicKeyParams::kMaxBytes ||
                    params.metadata_length > PublicKeyParams::kMaxBytes,
                "length");
  const std::size_t wanted = device_key_bytes(params.algorithm);
  RMM_REFUSE_IF(wanted == 0, "algorithm");
  RMM_REFUSE_IF(params.key_length != wanted, "size");
  RMM_FIND(pdev, c.pdev(at));
  RMM_REFUSE_IF(pdev->state != PdevState::kNeedsKey, "state");
  RMM_REFUSE_IF(!pdev->app->set_key(params), "key");
  pdev->state = PdevState::kHasKey;
  pdev->comm = CommState::kPending;
  return {};
}

RmiResult Rmm::pdev_stop(Hpa at) {
  Command c(*this, row::kPdevStop, at);
  if (!c.begin({at})) return c.result();
  RMM_FIND(pdev, c.pdev(at));
  RMM_REFUSE_IF(pdev->comm != CommState::kIdle, "comm");
  RMM_REFUSE_IF(pdev->streams != 0, "streams");
  RMM_REFUSE_IF(pdev->vdevs != 0, "vdevs");
  pdev->op = PdevOp::kStop;
  pdev->comm = CommState::kPending;
  return {};
}

/// An application that is woken where it does not look at the status goes on, which the
/// source's dev_assign_abort_app_operation() asserts that it does not. That the mark of
/// a yielded application stays is pdev.c's.
RmiResult Rmm::pdev_abort(Hpa at) {
  Command c(*this, row::kPdevAbort, at);
  if (!c.begin({at})) return c.result();
  RMM_FIND(pdev, c.pdev(at));
  RMM_REFUSE_IF(pdev->comm == CommState::kIdle, "comm");
  if (pdev->app && pdev->app->yielded() && !pdev->app->abort() &&
      panic("dev_assign_abort_app_operation(): the application goes on", pdev->params.function()))
    return {.code = Code::kSmcNotSupported};
  pdev->comm = CommState::kIdle;
  if (defective()) return {};
  pdev->app_marked = false;
  if (pdev->op == PdevOp::kConnect || pdev->op == PdevOp::kDisconnect ||
      pdev->op == PdevOp::kKeyRefresh)
    abandon_stream(*pdev);
  return {};
}

RmiResult Rmm::pdev_destroy(Hpa at) {
  Command c(*this, row::kPdevDestroy, at);
  if (!c.begin({at})) return c.result();
  RMM_FIND(pdev, c.pdev(at));
  RMM_REFUSE_IF(pdev->state != PdevState::kStopped, "state");
  if (pdev->is_root_port()) {
    pdevs_.erase(raw(at));
    set(at, GranuleState::kDelegated);
    return {};
  }
  RMM_FIND(operation, reserve(c, raw(at)));
  operation->object = at;
  operation->kind = GranuleState::kPdevAux;
  operation->memory = std::move(pdev->aux);
  pdevs_.erase(raw(at));
  set(at, GranuleState::kPartial);
  return give_back(*operation, Code::kSuccess);
}

}  // namespace teeio::rmm
