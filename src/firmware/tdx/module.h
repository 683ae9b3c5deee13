#pragma once

#include <array>
#include <cstdint>
#include <expected>
#include <memory>
#include <optional>
#include <vector>

#include "base/types.h"
#include "firmware/tdx/g3_leaves.h"
#include "firmware/tdx/guest_view.h"
#include "firmware/tdx/status.h"
#include "firmware/tdx/types.h"
#include "spdm/channel_setup.h"

namespace teeio::hw {
struct CpuRegisters;
class VtdIommu;
class PhysicalMemory;
class RootPort;
}  // namespace teeio::hw
namespace teeio::object {
class Trace;
}

namespace teeio::tdx {

struct State;

/// What the module is loaded on.
struct Platform {
  /// Private key ids 1…n; TDs use one each. The module's own pages carry
  /// kModuleKey, so that the host cannot read them either.
  std::uint16_t hkids = 63;
  struct Wiring {
    hw::VtdIommu* iommu = nullptr;
    Hpa registers{0};                       ///< its register base, as ACPI's DMAR table has it
    std::vector<hw::RootPort*> root_ports;  ///< those whose devices it translates
  };
  std::vector<Wiring> iommus;  ///< an IOMMU's id is its index; at most kMaxIommus
  Api api = Api::kG3;
  spdm::ChannelSetup channels{};  ///< what sessions with devices are
};
inline constexpr std::uint16_t kModuleKey = 0x7fff;

/// What the explorer may make happen inside leaves, by schedule::choose().
struct Injection {
  /// "TDH.DMAR.ADD interrupted" and the like: INTERRUPTED_RESUMABLE from leaves
  /// that the sheet calls interruptible; the same call again goes on.
  bool interruptions = true;
  /// "TDH.DEVIF.CREATE fails" and the like, for leaves 128–166 and those that
  /// fill and empty private memory: OPERAND_BUSY before anything was done.
  bool failures = true;
};

/// The TDX module with TDX Connect: one method a leaf.
///
/// Source: intel/tdx-module, branch tdxio, src/{vmm,td}_dispatcher (the 2023
/// snapshot in which DMAR.ADD names no TD and DMAR.ACCEPT allows LOCKED or RUN),
/// tag TDX_1.5.01 for what a TD needs without devices. Checks come in the order
/// of the source; each method says only what its name and types do not. Every
/// method may also give what these common parts give:
///  PAGE  unaligned or too wide → OPERAND_INVALID, no RAM → OPERAND_ADDR_RANGE_ERROR,
///        busy → OPERAND_BUSY, of another type than the leaf wants →
///        PAGE_METADATA_INCORRECT, each with the register that names the page
///  TD    PAGE for the TDR, shared but where the leaf says exclusive (then without the
///        other locks); and without an operand TD_FATAL, TD_KEYS_NOT_CONFIGURED,
///        TDCS_NOT_ALLOCATED, OP_STATE_INCORRECT
///  SEPT  bad GPA or level → OPERAND_INVALID(RCX), OPERAND_BUSY(SEPT_TREE),
///        EPT_WALK_FAILED(RCX), entry busy → OPERAND_BUSY(RCX), entry of another state
///        than the leaf wants → EPT_ENTRY_STATE_INCORRECT(RCX); the last three with
///        RCX = entry and RDX = its level and state
///  IOMMU id → OPERAND_INVALID(RCX), OPERAND_BUSY(RCX) while another host leaf has the
///        IOMMU, IOMMU_INVALID_STATE(RCX)
///  DEVIF OPERAND_INVALID, DEVIFMT_NOT_PRESENT, OPERAND_BUSY while another leaf has the
///        function's entry or takes a table out, with the register that names it
/// and SPDM.CONNECT, MNG and DISCONNECT OPERAND_BUSY(EXTENSION) while another of them
/// runs, of whatever IOMMU. They hold their IOMMU too, as G2's message leaves do: a guess.
///
/// That snapshot is Platform::api = kG2. Differs from it: the agent TD that used to bind SPDM
/// sessions (TDG.SPDM.TPA.SET) is gone in the product, so sessions are made by the later
/// SPDM.CONNECT/DISCONNECT, whose call gives a request to carry and is repeated
/// with the answer. IOMMU.SETUP/CLEAR stand for the SETREG sequence, as there.
/// kG3 has its own leaves for IOMMUs, sessions and streams, g3(); what it has for device
/// interfaces (TDH.TDI.*) is not public, so the leaves below serve both.
///
/// A message page is a shared page of the host: the module writes a whole DOE
/// data object to it (header first), or reads one.
///
/// Lifetime: outlived by memory, trace, IOMMUs and root ports; outlives hosts.
/// Locking: any task, holding locks of rank below kFirmware only. Locks that the
/// real module takes are tried once and then held for the rest of the leaf, which
/// gives way once while it holds them: two leaves do collide.
class Module final : public GuestView {
 public:
  Module(hw::PhysicalMemory& memory, object::Trace& trace, Platform platform);
  ~Module() override;
  Module(const Module&) = delete;
  Module& operator=(const Module&) = delete;

  /// Precondition: no leaf runs.
  void set_injection(Injection injection);
  /// All that the module knows, for its tests. Precondition: no leaf runs.
  [[nodiscard]] State& state() { return *state_; }
  /// Pages that the host has donated and not got back.
  [[nodiscard]] std::uint64_t pages_owned() const;
  /// What the device behind a function had proved when its interface was made, for a guest
  /// that trusts it without looking; all zero without an interface.
  [[nodiscard]] DeviceInfoHash info_hash(FunctionId function) const;
  /// No such TD: false.
  [[nodiscard]] bool is_fatal(Hpa tdr) const;

  /// Leaves of the newer API. With Platform::api = kG2 they are refused; with kG3 those below
  /// of the same numbers are. What has no counterpart there is in both.
  [[nodiscard]] G3Leaves& g3() { return g3_; }

  // --- TD life cycle (td_leaves.cc) ---

  /// 9. `trace_vm` is the host's number of the VM, put into trace events only.
  /// Errors: HKID out of range → OPERAND_INVALID(RDX), before all else; HKID_NOT_FREE.
  LeafResult tdh_mng_create(Hpa tdr, std::uint16_t hkid, std::uint32_t trace_vm);
  /// 8. TDR exclusive. LIFECYCLE_STATE_INCORRECT when already configured.
  LeafResult tdh_mng_key_config(Hpa tdr);
  /// 1. TDR exclusive. One of kTdcsPages pages; one too many → TDCX_NUM_INCORRECT.
  LeafResult tdh_mng_addcx(Hpa tdr, Hpa page);
  /// 21. TDR exclusive. The last TDCS page becomes the root of the secure EPT.
  /// OPERAND_INVALID(ATTRIBUTES), OPERAND_INVALID(MAX_VCPUS), INCONSISTENT_MSR.
  LeafResult tdh_mng_init(Hpa tdr, const TdParameters& parameters, const Processor& on = {});
  /// 16. TDR exclusive. One chunk of 256 bytes of an added page; INITIALIZED only.
  /// EPT_ENTRY_NOT_PRESENT, with RCX when the walk ended early.
  LeafResult tdh_mr_extend(Hpa tdr, Gpa gpa);
  /// 17. TDR exclusive. INITIALIZED → RUNNABLE. NO_VCPUS.
  LeafResult tdh_mr_finalize(Hpa tdr);
  /// 10, 4, 22. TDCX_NUM_INCORRECT; MAX_VCPUS_EXCEEDED; VCPU_STATE_INCORRECT(the state)
  /// for a second INIT. INIT associates the vCPU with the processor: it wants a VP.FLUSH also
  /// if it never ran. INCONSISTENT_MSR(3BH) before all else; of version 1 X2APIC_ID_NOT_UNIQUE(the
  /// ID), and the TDR exclusive.
  LeafResult tdh_vp_create(Hpa tdr, Hpa tdvpr);
  LeafResult tdh_vp_addcx(Hpa tdvpr, Hpa page);
  LeafResult tdh_vp_init(Hpa tdvpr, std::uint64_t initial_rcx, const Processor& on = {},
                         const VpInitVersion& version = {});
  /// 18. TD_KEYS_NOT_CONFIGURED, TDCX_NUM_INCORRECT; VCPU_NOT_ASSOCIATED on another processor
  /// than it ran on, or when it did not run since the last flush; then there is nothing to do,
  /// as Linux takes it, which calls on the vCPU's processor.
  LeafResult tdh_vp_flush(Hpa tdvpr, const Processor& on = {});
  /// 19. FLUSHVP_NOT_DONE, TD_HAS_ATTACHED_DEVICES, IOTLB_TRACKING_NOT_DONE.
  LeafResult tdh_mng_vpflushdone(Hpa tdr);
  /// 40. Interruptible. NO_HKID_READY_TO_WBCACHE (a remark).
  LeafResult tdh_phymem_cache_wb();
  /// 20. LIFECYCLE_STATE_INCORRECT, WBCACHE_NOT_COMPLETE.
  LeafResult tdh_mng_key_freeid(Hpa tdr);
  /// 28. RCX page type, RDX owner, R8 level, from IOMMU_MT_PAGE_IN_USE on also with an
  /// error. For pages of a TD in TEARDOWN and of an IOMMU
  /// that was cleared; DEVIFCS, MMIOMT and DEVIFMT pages are refused.
  LeafResult tdh_phymem_page_reclaim(Hpa page);

  // --- vCPU (td_leaves.cc) ---

  /// 0, split around the guest's run: counts the vCPU in the current TLB epoch.
  /// RCX: 1 if the CPU must drop its cached translations before it runs.
  /// Errors: VCPU_ASSOCIATED while it runs, or since it ran on another processor,
  /// OPERAND_BUSY(RCX), OPERAND_BUSY(TDR), TD_FATAL, OP_STATE_INCORRECT, TDCX_NUM_INCORRECT,
  /// VCPU_STATE_INCORRECT; INCONSISTENT_MSR and OPERAND_BUSY(TD_EPOCH), which leave it
  /// associated.
  LeafResult begin_vp_enter(Hpa tdvpr, const Processor& on = {});
  /// Precondition: begin_vp_enter() succeeded.
  void end_vp_enter(Hpa tdvpr, TdExit exit);
  std::expected<hw::GuestMapping, Miss> lookup(Hpa tdr, Gpa gpa, hw::GuestAccess access) override;

  // --- Private memory (mem_leaves.cc) ---

  /// 3, 30. `level` is that of the entry that points to the table: k2M…k512G.
  /// A table with entries does not go: EPT_PAGE_NOT_FREE.
  LeafResult tdh_mem_sept_add(Hpa tdr, Gpa gpa, Level level, Hpa page);
  LeafResult tdh_mem_sept_remove(Hpa tdr, Gpa gpa, Level level);
  /// 2. TDR exclusive. 4 KiB, INITIALIZED only; copies the host's page `source`.
  LeafResult tdh_mem_page_add(Hpa tdr, Gpa gpa, Hpa page, Hpa source);
  /// 6. k4K or k2M (512 frames in a row).
  LeafResult tdh_mem_page_aug(Hpa tdr, Gpa gpa, Level level, Hpa page);
  /// 29. In a runnable TD GPA_RANGE_NOT_BLOCKED, TLB_ and IOTLB_TRACKING_NOT_DONE; while it
  /// is built a page goes as it is. RCX = page.
  LeafResult tdh_mem_page_remove(Hpa tdr, Gpa gpa, Level level);
  /// 7, 39. GPA_RANGE_ALREADY_BLOCKED is a remark. Not for MMIO entries.
  LeafResult tdh_mem_range_block(Hpa tdr, Gpa gpa, Level level);
  LeafResult tdh_mem_range_unblock(Hpa tdr, Gpa gpa, Level level);
  /// 38. PREVIOUS_TLB_EPOCH_BUSY, IOTLB_TRACKING_NOT_DONE.
  LeafResult tdh_mem_track(Hpa tdr);
  /// 163. The root's entry for a part of the shared half: what the IOMMU walks when the TD's
  /// functions use shared addresses. `entry` is the host's, nobody looks at it.
  LeafResult tdh_mem_shared_sept_wr(Hpa tdr, Gpa gpa, Level level, std::uint64_t entry);

  // --- IOMMU, SPDM, IDE (iommu_registers.cc, spdm_session.cc, ide_stream.cc) ---

  /// 128. `value`: a page that the host donates; the requester ID of a root port; 0 of
  /// kConfigIommu, which turns the trusted side on when all pages are there, and kClearIommu,
  /// which turns it off: the pages come back by RECLAIM. ECMD_TIMEOUT of these two: the same
  /// again, and nothing else before.
  LeafResult tdh_iommu_setreg(std::uint32_t iommu, IommuRegister which, std::uint64_t value);
  /// 129. R8: what the module keeps; of kId, where `iommu` is the register base, the IOMMU's id.
  LeafResult tdh_iommu_getreg(std::uint64_t iommu, IommuRegister which);
  /// 130, 131.
  LeafResult tdh_spdm_create(std::uint32_t iommu, std::uint32_t session, Hpa page);
  LeafResult tdh_spdm_delete(std::uint32_t iommu, std::uint32_t session);
  /// 142. Repeat: message_bytes() != 0 means that `message` holds a data object
  /// for the device and wants its answer at the next call; 0 means bound, and
  /// RDX, R8–R12 hold the device-info hash. SPDM_INVALID_STATE when bound or
  /// for an answer that the session does not accept.
  /// The device information is spdm::encode_evidence() of what the device proved, or
  /// on a plain channel its VERSION answer; the hash is SHA-384 over it.
  LeafResult tdh_spdm_connect(std::uint32_t iommu, std::uint32_t session, Hpa message);
  /// SPDM.MNG, the operation that collects the device information anew, measured with
  /// `nonce`: repeated as CONNECT is, and ends as it does. SPDM_INVALID_STATE unless
  /// bound, for a wrong answer, and for another nonce before it is over.
  /// Source: Linux RFC "TDX Connect", tdh_spdm_mng(); the nonce as an operand is a guess.
  LeafResult tdh_spdm_recollect(std::uint32_t iommu, std::uint32_t session,
                                const std::array<std::byte, 32>& nonce, Hpa message);
  /// Copies device information from `offset` on into `page`: message_bytes() of RDX in
  /// all. The real module fills pages at the end of CONNECT and MNG; this is ours.
  LeafResult tdh_spdm_info(std::uint32_t iommu, std::uint32_t session, std::uint32_t offset,
                           Hpa page);
  /// 143. Back to NOT_BOUND; SPDM_HAS_ACTIVE_IDE_STREAMS. With a message page,
  /// repeated as CONNECT is until the device was told (END_SESSION); without one the
  /// session is forgotten at once.
  LeafResult tdh_spdm_disconnect(std::uint32_t iommu, std::uint32_t session,
                                 std::optional<Hpa> message = std::nullopt);
  /// 132, 133, 134. `page` comes back as RCX of delete.
  LeafResult tdh_ide_stream_create(std::uint32_t iommu, std::uint32_t session,
                                   const IdeStreamConfig& config, Hpa page);
  LeafResult tdh_ide_stream_block(std::uint32_t iommu, std::uint64_t stream);
  LeafResult tdh_ide_stream_delete(std::uint32_t iommu, std::uint64_t stream);
  /// 135, 136. A stream needs KEY_PROG and then K_SET_GO for each of six keys of a key set
  /// (three sub-streams, two directions). The root port has a key from KEY_PROG on; GO wants
  /// all three of its direction and goes once; the third GO of what the device transmits
  /// enables the stream. The other key set does the same while traffic runs: key refresh.
  /// `slot` of KEY_PROG: where the root port keeps it; 0 of the others. A request stays
  /// outstanding until a good answer, and a KP_ACK with a status is none: then BLOCK is left.
  LeafResult tdh_ide_km_request(std::uint32_t iommu, std::uint64_t stream, KmObject object,
                                const KmParameters& parameters, std::uint64_t slot, Hpa message);
  LeafResult tdh_ide_km_response(std::uint32_t iommu, std::uint64_t stream, Hpa message);

  // --- Functions (devifmt.cc, devif_messages.cc) ---

  /// 164, 165. Table pages of `level` 4 (root) down to 1 on the way to `function`.
  LeafResult tdh_devifmt_add(FunctionId function, std::uint8_t level, Hpa page);
  LeafResult tdh_devifmt_remove(FunctionId function, std::uint8_t level);
  /// 166. RCX: the entry at `level` 0 (an interface's) to 4, whoever has its lock.
  LeafResult tdh_devifmt_rd(FunctionId function, std::uint8_t level);
  /// 137. `devifcs`, `td_buffer`, `vmm_buffer`: three pages; iommu and stream
  /// name the IDE stream that must cover the function.
  LeafResult tdh_devif_create(Hpa tdr, FunctionId function, std::uint32_t iommu,
                              std::uint8_t stream, Hpa devifcs, Hpa td_buffer, Hpa vmm_buffer);
  /// 138. DEVIF_INVALID_STATE, HAS_MAPPED_DMA, HAS_MAPPED_MMIO. RCX, RDX, R8, R9:
  /// buffers, TDR, DEVIFCS page.
  LeafResult tdh_devif_remove(FunctionId function);
  /// 139. kLock, kState and kStop are the VMM's. With kTd `code` is kNone, and what the
  /// guest has put into its buffer (tdg_devif_request) goes out as it is. RCX: the code
  /// that went out. In ERROR only kState and kStop, so nothing of the guest's. A request
  /// stays pending until a good answer to it, or until the interface is removed: a host
  /// that has none left blocks the stream, removes, and has lost the card's stream.
  LeafResult tdh_devif_request(FunctionId function, DevifRequest code, OnBehalfOf who, Hpa message,
                               bool no_fw_update = false);
  /// 140. For the VMM message_detail() is the TDI's state, or the TDISP error code of an
  /// ERROR answer (code 0x7f), after which nothing is pending and no state has moved; the
  /// answer is copied to `output`, which has message_bytes() then. With kTd the answer is
  /// put into the TD's buffer, whoever had asked, and looked at when the TD takes it; what
  /// a TD has asked goes nowhere else.
  LeafResult tdh_devif_response(FunctionId function, OnBehalfOf who, Hpa message,
                                std::optional<Hpa> output = std::nullopt);

  // --- Private MMIO (mmio.cc) ---

  /// 154, 157. Table pages of `level` 5 (root) down to 1, of 128 entries each.
  LeafResult tdh_mmiomt_add(Hpa address, std::uint8_t level, Hpa page);
  LeafResult tdh_mmiomt_remove(Hpa address, std::uint8_t level);
  /// 155. nullopt: QNODE again; else DATA, owned by that function.
  LeafResult tdh_mmiomt_set(Hpa address, Level level, std::optional<FunctionId> owner);
  /// 156. The entry at `level` 0 to 5 (the root), whoever has its lock: RCX, RDX, R8, R9.
  /// Source: mmiomt_defs.h, mmiomt_entry_t.
  LeafResult tdh_mmiomt_rd(Hpa address, std::uint8_t level);
  /// 158, 159, 160. UNMAP gives R8 = address.
  LeafResult tdh_mmio_map(Hpa tdr, Gpa gpa, Level level, Hpa address);
  LeafResult tdh_mmio_block(Hpa tdr, Gpa gpa, Level level);
  LeafResult tdh_mmio_unmap(Hpa tdr, Gpa gpa, Level level);

  // --- Trusted DMA (dmar.cc, iq.cc) ---

  /// 150. The value names the table page(s) that the new entry points to; a PASIDTE names
  /// none and stays PENDING until the guest accepts. A directory of several pages may be
  /// interrupted from the second on: the pages are the module's then, and the call that goes
  /// on must say the same. A table above missing or blocked: DMAR_ENTRY_NOT_PRESENT; to the
  /// other leaves a free entry with its tables is DMAR_INVALID_MAPPING_STATE, but for READ.
  LeafResult tdh_dmar_add(DmarIndex index, const DmarValue& value);
  LeafResult tdh_dmar_block(DmarIndex index);
  /// 152. RDX: states, see dmar_state(); R8 to R15: the entry.
  LeafResult tdh_dmar_read(DmarIndex index);
  /// 153. RCX = first table page. Interruptible as ADD is.
  LeafResult tdh_dmar_remove(DmarIndex index);
  /// 161. IOTLB of a TD, or of one blocked entry (`index`'s level says which). The queue
  /// has room for kQueueDescriptors: IQ_QUEUE_FULL(RDX).
  LeafResult tdh_iq_inv_request_iotlb(std::uint32_t iommu, Hpa tdr,
                                      const WaitDescriptor& wait = wait_descriptor());
  LeafResult tdh_iq_inv_request(DmarIndex index, const WaitDescriptor& wait = wait_descriptor());
  /// The same for up to `most` of the descriptors that the TD's guest asked for (TDG) and this
  /// IOMMU has not got; RCX: how many it has not got then. GUEST_INV_NOT_REQUIRED(R8) is a
  /// remark.
  LeafResult tdh_iq_inv_request_td(std::uint32_t iommu, Hpa tdr, std::uint16_t most,
                                   const WaitDescriptor& wait = wait_descriptor());
  /// 162. Completes what the IOMMU has passed, which may be nothing: the host knows by the
  /// status that the wait descriptor has it write. Interruptible between entries.
  LeafResult tdh_iq_inv_process(std::uint32_t iommu);

  // --- Guest leaves (guest_leaves.cc, guest_invalidation.cc) ---
  // `vp` is the vCPU whose TDCALL it is: entered, and not flushed since. Each may
  // also give VCPU_STATE_INCORRECT, OPERAND_BUSY(TDVPR) and TD_FATAL.

  /// Status of a guest leaf, or the EPT violation exit that happens instead.
  struct GuestLeafResult {
    LeafResult leaf;
    std::optional<Gpa> ept_violation =
        std::nullopt;  ///< the TDCALL is repeated when the guest runs again
    /// A TD exit TDX_IOTLB_INV_REQUEST behind the TDCALL: so many descriptors want to be
    /// committed, by tdh_iq_inv_request_td().
    std::optional<std::uint32_t> invalidations = std::nullopt;
    [[nodiscard]] bool ok() const { return leaf.ok() && !ept_violation; }
  };
  /// 1. RCX guest-physical width, RDX attributes, R8 31:0 vCPUs, 63:32 maximum,
  /// R9 this vCPU's index.
  LeafResult tdg_vp_info(Hpa vp);
  /// 2. RTMR `index` becomes SHA-384 of itself and the 48 bytes at `data`.
  GuestLeafResult tdg_mr_rtmr_extend(Hpa vp, Gpa data, std::uint64_t index);
  /// 4. TDREPORT_STRUCT at `report`, with the 64 bytes at `data`; measurement.h has its layout.
  GuestLeafResult tdg_mr_report(Hpa vp, Gpa report, Gpa data, std::uint64_t subtype);
  /// 22. Whether a TD of this machine has the REPORTMACSTRUCT: INVALID_REPORTMACSTRUCT.
  GuestLeafResult tdg_mr_verifyreport(Hpa vp, Gpa mac_struct);
  /// 6. k2M is interruptible.
  GuestLeafResult tdg_mem_page_accept(Hpa vp, Gpa gpa, Level level, const ReservedBits& rest = {});
  /// 71. `handle` = HPA + the TD's MMIO offset, as the interface report has it.
  GuestLeafResult tdg_mmio_accept(Hpa vp, Gpa gpa, Level level, std::uint64_t handle,
                                  const ReservedBits& rest = {});
  /// 70. TDISP_INVALID_STATE, DMAR_INVALID_MAPPING_STATE.
  LeafResult tdg_dmar_accept(Hpa vp, FunctionId function, const ReservedBits& rest = {});
  /// 66. DEVIF_PKH_MISMATCH: not the hash of what the device had proved when its interface
  /// was made; evidence that is collected later counts from the next interface on.
  /// DEVIF_ALREADY_VALID is a remark.
  LeafResult tdg_devif_validate(Hpa vp, FunctionId function, const DeviceInfoHash& hash,
                                const ReservedBits& rest = {});
  /// 67. RCX = value.
  LeafResult tdg_devif_rd(Hpa vp, FunctionId function, DevifField field,
                          const ReservedBits& rest = {});
  /// 68. kReport (the next portion of it: each is read once a lock, and OPERAND_INVALID(RDX)
  /// when none is left), kState or kStart. The message is made now, START with the nonce of
  /// now; the host must be asked to relay it.
  LeafResult tdg_devif_request(Hpa vp, FunctionId function, DevifRequest code,
                               const ReservedBits& rest = {});
  /// 69. Takes the answer; writes its TDISP message to `buffer`, a page of
  /// accepted private memory, if one is given (message_bytes()). RCX as message_code() and
  /// so on. An answer that is no good stays, and no other request gets past it.
  GuestLeafResult tdg_devif_response(Hpa vp, FunctionId function, std::optional<Gpa> buffer,
                                     const ReservedBits& rest = {});

  /// 72. `count` descriptors of 32 bytes in a page of accepted memory: IOTLB invalidations of
  /// the TD's domain, and a wait last, whose status is written when all IOMMUs of its devices
  /// are through. GUEST_INV_IN_PROGRESS, GUEST_INV_INVALID_DESC(which);
  /// GUEST_INV_NOT_REQUIRED(RDX), no device has DMA, is a remark.
  GuestLeafResult tdg_iq_inv_request(Hpa vp, std::uint64_t count, Gpa from);

  // --- The guest's instruction (tdcall.cc) ---

  /// TDCALL with these registers: one of the leaves above, by RAX; OPERAND_INVALID(RAX): none
  /// of them. TDG.VP.VMCALL is the host's business, but for vmcall_status().
  GuestLeafResult tdcall(Hpa vp, const hw::CpuRegisters& regs);
  /// TDG.VP.VMCALL (0) of a guest that shows its host the registers in that mask (RCX):
  /// OPERAND_INVALID(RCX) instead of the exit for RAX, RCX, RSP, or bits 63:32.
  [[nodiscard]] static Status vmcall_status(std::uint64_t mask);

 private:
  const std::unique_ptr<State> state_;
  G3Leaves g3_;
};

}  // namespace teeio::tdx
