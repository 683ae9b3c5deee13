// GET_KEY_PAIR_INFO and SET_KEY_PAIR_INFO. Nothing is asked for that would take a key away from a
// slot, should the device do it.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <map>
#include <utility>

#include "serve/validate/provisioning.h"
#include "wire/spdm_capabilities.h"
#include "wire/spdm_certificates.h"
#include "wire/spdm_key_pairs.h"

namespace teeio::serve::validate {
namespace {

using Operation = wire::SpdmKeyPairOperation;
using wire::SpdmErrorCode;

Reply ask_pair(Ready& ready, std::uint8_t pair) {
  wire::SpdmGetKeyPairInfo request;
  request.version = ready.agreed.version;
  request.key_pair = pair;
  return ready.link.raw(request.encode());
}

/// A pair as the device tells of it, without its public key; `pqc`: CurrentPqcAsymAlgo.
std::expected<wire::SpdmKeyPairInfo, Verdict> told(Ready& ready, std::uint8_t pair,
                                                   Bytes* pqc = nullptr) {
  const Reply reply = ask_pair(ready, pair);
  if (!reply.answered())
    return std::unexpected(failed(fmt::format("pair {}: {} came", pair, reply.str())));
  auto info = wire::SpdmKeyPairInfo::decode(reply.bytes);
  if (!info) return std::unexpected(failed(fmt::format("pair {}: {}", pair, info.error().why)));
  if (pqc != nullptr) pqc->assign(info->current_pqc.begin(), info->current_pqc.end());
  info->wire = info->public_key_info = info->pqc_capabilities = info->current_pqc = {};
  return *info;
}

using Algorithm = std::pair<std::uint32_t, Bytes>;  ///< classical, post-quantum

Algorithm algorithm_of(const wire::SpdmKeyPairInfo& info) {
  return {info.current_asym, Bytes(info.current_pqc.begin(), info.current_pqc.end())};
}

/// SPDM 1.3 has no field for a post-quantum pair's.
bool is_told(const Algorithm& algorithm) {
  return algorithm.first != 0 ||
         std::ranges::any_of(algorithm.second, [](std::byte one) { return one != std::byte{0}; });
}

/// Precondition: the peer also has GET_KEY_PAIR_INFO.
std::expected<Ready, Verdict> able_to_set(Bench& bench) {
  auto ready = ready_for(bench, wire::kSpdmCapSetKeyPairInfo, "SET_KEY_PAIR_INFO_CAP");
  if (ready && (ready->agreed.peer_flags & wire::kSpdmCapGetKeyPairInfo) == 0)
    return std::unexpected(skipped("GET_KEY_PAIR_INFO_CAP is not set"));
  return ready;
}

Reply set_pair(Ready& ready, wire::SpdmSetKeyPairInfo wish) {
  wish.version = ready.agreed.version;
  return ready.link.raw(wish.encode());
}

}  // namespace

Verdict key_pairs(Bench& bench) {
  TEEIO_CASE_ASSIGN(Ready ready,
                    ready_for(bench, wire::kSpdmCapGetKeyPairInfo, "GET_KEY_PAIR_INFO_CAP"));
  unsigned total = 1;
  unsigned slots = 0;
  // A slot has a chain for each algorithm that may be negotiated, and so a key pair for each.
  // Source: libspdm os_stub/spdm_device_secret_lib_sample/key_pair.c (DMTF's device has all its
  // RSA and ECDSA pairs in slots 0 and 1).
  std::map<Algorithm, unsigned> slots_of;
  for (unsigned pair = 1; pair <= total; ++pair) {
    const Reply reply = ask_pair(ready, static_cast<std::uint8_t>(pair));
    TEEIO_CASE(reply.answered(), "pair {}: {} came", pair, reply.str());
    const auto info = wire::SpdmKeyPairInfo::decode(reply.bytes);
    TEEIO_CASE(info.has_value(), "pair {}: {}", pair, info.error().why);
    TEEIO_CASE(info->key_pair == pair, "pair {} came for {}", info->key_pair, pair);
    TEEIO_CASE(info->total >= pair && (pair == 1 || info->total == total),
               "pair {}: there are {} in all, before there were {}", pair, info->total, total);
    total = info->total;
    TEEIO_CASE((info->current_usage & ~unsigned{info->usage_capabilities}) == 0 &&
                   (info->current_asym & ~info->asym_capabilities) == 0,
               "pair {}: it is used for what it cannot be used for", pair);
    if (const Algorithm algorithm = algorithm_of(*info); is_told(algorithm)) {
      unsigned& taken = slots_of[algorithm];
      TEEIO_CASE((taken & info->slot_mask) == 0,
                 "pair {}: a slot of its has another pair of the same algorithm", pair);
      taken |= info->slot_mask;
    }
    slots |= info->slot_mask;
  }
  TEEIO_CASE((slots & ready.link.requester().slot_mask()) == ready.link.requester().slot_mask(),
             "DIGESTS has slots that no key pair has");
  for (const unsigned none : {0U, total + 1}) {
    if (none > 0xff) continue;
    const Reply reply = ask_pair(ready, static_cast<std::uint8_t>(none));
    TEEIO_CASE(reply.refused(), "pair {} of {}: {} came", none, total, reply.str());
  }
  return passed();
}

Verdict key_pair_usage(Bench& bench) {
  TEEIO_CASE_ASSIGN(Ready ready, able_to_set(bench));
  TEEIO_CASE_ASSIGN(const auto first, told(ready, 1));
  TEEIO_CASE_ASSIGN(const auto before, told(ready, first.total));
  if ((before.capabilities & wire::kSpdmKeyPairKeyUsage) == 0)
    return skipped("the pair's KeyUsageCap is not set");
  if (std::popcount(before.current_usage) < 2) return skipped("the pair has one use");
  const auto one = static_cast<std::uint16_t>(1U << std::countr_zero(before.current_usage));
  for (const std::uint16_t usage : {one, before.current_usage}) {
    const Reply reply = set_pair(
        ready, {.key_pair = before.key_pair, .usage = usage, .slot_mask = before.slot_mask});
    if (reply.is_error(SpdmErrorCode::kResetRequired)) return skipped("it wants a reset first");
    TEEIO_CASE(reply.answered() && wire::SpdmSetKeyPairInfoAck::decode(reply.bytes),
               "use {:#x}: {} came", usage, reply.str());
    TEEIO_CASE_ASSIGN(const auto now, told(ready, before.key_pair));
    TEEIO_CASE(now.current_usage == usage && now.slot_mask == before.slot_mask,
               "use {:#x}, slots {:#x} were wished for; there are {:#x}, {:#x}", usage,
               before.slot_mask, now.current_usage, now.slot_mask);
  }
  return passed();
}

Verdict spare_key_pair(Bench& bench) {
  TEEIO_CASE_ASSIGN(Ready ready, able_to_set(bench));
  Bytes pqc;
  TEEIO_CASE_ASSIGN(wire::SpdmKeyPairInfo spare, told(ready, 1, &pqc));
  for (unsigned pair = 2; spare.slot_mask != 0 && pair <= spare.total; ++pair) {
    TEEIO_CASE_ASSIGN(spare, told(ready, static_cast<std::uint8_t>(pair), &pqc));
  }
  if (spare.slot_mask != 0) return skipped("every key pair has a slot");
  constexpr unsigned kBoth = wire::kSpdmKeyPairErasable | wire::kSpdmKeyPairGenerate;
  if ((spare.capabilities & kBoth) != kBoth) return skipped("the spare pair stays as it is");
  // Erasing may take use and algorithm along, and what has no algorithm cannot be made: that gets
  // OperationFailed. Source: libspdm libspdm_rsp_set_key_pair_info_ack.c.
  wire::SpdmSetKeyPairInfo wishes[] = {
      {.operation = std::to_underlying(Operation::kErase), .key_pair = spare.key_pair},
      {.operation = std::to_underlying(Operation::kGenerate), .key_pair = spare.key_pair}};
  if ((spare.capabilities & wire::kSpdmKeyPairKeyUsage) != 0) wishes[1].usage = spare.current_usage;
  if ((spare.capabilities & wire::kSpdmKeyPairAsymAlgorithm) != 0) {
    wishes[1].asym = spare.current_asym;
    wishes[1].pqc = pqc;
  }
  for (const auto& wish : wishes) {
    const Reply reply = set_pair(ready, wish);
    if (reply.is_error(SpdmErrorCode::kResetRequired)) return skipped("it wants a reset first");
    if (reply.is_error(SpdmErrorCode::kOperationFailed) && !is_told({spare.current_asym, pqc}))
      return skipped("no algorithm is selected for the spare pair");
    TEEIO_CASE(reply.answered(), "operation {}: {} came", wish.operation, reply.str());
  }
  TEEIO_CASE_ASSIGN(const auto made, told(ready, spare.key_pair));
  TEEIO_CASE(made.slot_mask == 0, "the new key pair has slots {:#x}", made.slot_mask);
  return passed();
}

Verdict set_key_pair_nonsense(Bench& bench) {
  TEEIO_CASE_ASSIGN(Ready ready, able_to_set(bench));
  TEEIO_CASE_ASSIGN(const auto before, told(ready, 1));
  constexpr std::uint16_t kNoUse = 1U << 8U;
  const std::uint8_t slots = before.slot_mask;
  const wire::SpdmSetKeyPairInfo wishes[] = {
      {.operation = 3, .key_pair = 1, .slot_mask = slots},
      {.key_pair = 0, .usage = before.current_usage},
      {.key_pair = static_cast<std::uint8_t>(before.total + 1), .usage = before.current_usage},
      {.key_pair = 1, .usage = kNoUse, .slot_mask = slots},
      {.key_pair = 1, .asym = 3, .slot_mask = slots},
  };
  for (const auto& wish : wishes) {
    const Reply reply = set_pair(ready, wish);
    TEEIO_CASE(reply.refused(), "operation {}, pair {}, use {:#x}: {} came", wish.operation,
               wish.key_pair, wish.usage, reply.str());
  }
  TEEIO_CASE_ASSIGN(const auto after, told(ready, 1));
  TEEIO_CASE(after.current_usage == before.current_usage && after.slot_mask == before.slot_mask &&
                 after.current_asym == before.current_asym,
             "pair 1 is another one afterwards");
  return passed();
}

}  // namespace teeio::serve::validate
