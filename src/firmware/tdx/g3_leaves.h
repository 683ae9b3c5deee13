#pragma once

#include <cstdint>
#include <optional>

#include "firmware/tdx/types.h"

namespace teeio::tdx {

struct State;

/// The leaves of TDX Connect's newer API: IOMMUs, SPDM sessions and IDE streams, whose ids the
/// module gives. An SPDM message leaves a leaf by the status SPDM_REQUEST, in a page of its
/// own with RCX bytes; the same call again takes the answer from another page.
///
/// Source: posted Linux, "[PATCH v1 00/26] TDX Connect" (2025-11), arch/x86/virt/vmx/tdx/tdx.c
/// and drivers/virt/coco/tdx-host/tdx-host.c, for numbers, registers and the order of calls. No
/// module with these leaves is public: their checks are G2's, and a guess where it has none.
///
/// Lifetime, locking: as Module, which has it.
class G3Leaves {
 public:
  explicit G3Leaves(State& state) : s_(state) {}

  /// 128. `registers`: of an IOMMU as ACPI's DMAR table has it; `pages`: kIommuPages, the
  /// trusted root table first. RCX: its id. OPERAND_INVALID(RCX) for one without TDX Connect.
  LeafResult tdh_iommu_setup(Hpa registers, HpaArray pages);
  /// 129. Sessions left → IOMMU_INVALID_STATE. The pages come back by RECLAIM.
  LeafResult tdh_iommu_clear(std::uint32_t iommu);
  /// 130. A session for the DSM of `function`: kSpdmPages. RCX: its id.
  LeafResult tdh_spdm_create(FunctionId function, HpaArray pages);
  /// 131. `list`: a page of the host's, for the addresses of the session's pages. RCX: that
  /// page and their number, as HpaArray.
  LeafResult tdh_spdm_delete(std::uint64_t spdm, Hpa list);
  /// Where an SPDM message and its answer lie: shared pages of the host's.
  struct Messages {
    Hpa answer{0};
    Hpa request{0};
  };
  /// 142. `configuration`: a page with an SpdmConfiguration; `info`: kInfoPages shared pages.
  /// SPDM_REQUEST until the device has answered all; then BOUND, and RCX bytes of device
  /// information in the pages of `info` (see Module::tdh_spdm_connect()). Interruptible.
  LeafResult tdh_spdm_connect(std::uint64_t spdm, Hpa configuration, Messages messages,
                              HpaArray info);
  /// 143. SPDM_REQUEST while the device is told; then NOT_BOUND. SPDM_HAS_ACTIVE_IDE_STREAMS.
  LeafResult tdh_spdm_disconnect(std::uint64_t spdm, Messages messages);
  /// 144. As CONNECT. HEARTBEAT and KEY_UPDATE as the configuration allows; RECOLLECT measures
  /// with the nonce in `parameter` (a guess), and fills `info`.
  LeafResult tdh_spdm_mng(std::uint64_t spdm, SpdmOperation operation, std::optional<Hpa> parameter,
                          Messages messages, std::optional<HpaArray> info);

  /// RCX of CREATE. Source: posted Linux, tdx-host.c, STREAM_INFO_*.
  struct StreamInfo {
    std::uint8_t root_port = 0;  ///< device and function
    bool selective = true;
  };
  /// R9 to R14 of CREATE: the registers of a selective stream. Source: PCIe Base Spec 7.9.26.
  struct StreamRegisters {
    std::uint32_t control = 0;
    std::uint32_t rid_1 = 0, rid_2 = 0;
    std::uint32_t address_1 = 0, address_2 = 0, address_3 = 0;
  };
  /// 132. `pages`: kStreamPages. RCX: the stream's id; RDX: the root port's registers that it
  /// has.
  LeafResult tdh_ide_stream_create(StreamInfo info, std::uint64_t spdm, HpaArray pages,
                                   const StreamRegisters& registers);
  /// 133.
  LeafResult tdh_ide_stream_block(std::uint64_t spdm, std::uint8_t stream);
  /// 134. RCX: its page, as HpaArray.
  LeafResult tdh_ide_stream_delete(std::uint64_t spdm, std::uint8_t stream);
  /// 135. All messages of the operation, each by SPDM_REQUEST: SETUP programs key set 0 and
  /// enables the stream, REFRESH the set that is not in use, STOP takes the keys back.
  /// SPDM_SESSION_KEY_REQUIRE_REFRESH: MNG's KEY_UPDATE first.
  LeafResult tdh_ide_stream_km(std::uint64_t spdm, std::uint8_t stream, KmOperation operation,
                               Messages messages);

 private:
  State& s_;
};

}  // namespace teeio::tdx
