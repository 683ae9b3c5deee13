#pragma once

#include <cstdint>
#include <expected>
#include <initializer_list>
#include <string_view>
#include <vector>

#include "firmware/tdx/module.h"
#include "firmware/tdx/rows.h"
#include "firmware/tdx/state.h"
#include "object/trace.h"
#include "schedule/annotations.h"
#include "schedule/task.h"

namespace teeio::tdx {

/// A check that did not hold; already in the trace. Becomes whatever the
/// function that makes the check returns.
struct Refused {
  LeafResult result;

  operator LeafResult() const { return result; }  // NOLINT(google-explicit-constructor)
  operator Module::GuestLeafResult() const {      // NOLINT(google-explicit-constructor)
    return {.leaf = result};
  }
  template <class T>
  operator std::expected<T, Refused>() const {  // NOLINT(google-explicit-constructor)
    return std::unexpected(*this);
  }
};
template <class T>
using Checked = std::expected<T, Refused>;

#define TDX_TRY(expr)                                                        \
  do {                                                                       \
    if (const auto tdx_r = (expr); !tdx_r.has_value()) return tdx_r.error(); \
  } while (false)
#define TDX_ASSIGN(decl, expr) TDX_ASSIGN_IMPL(TEEIO_CAT(tdx_r_, __LINE__), decl, expr)
#define TDX_ASSIGN_IMPL(tmp, decl, expr)    \
  const auto tmp = (expr);                  \
  if (!tmp.has_value()) return tmp.error(); \
  decl = *tmp

/// Op states in which a leaf is allowed. Source: op_state_lookup.h.
enum class AllowedIn : std::uint8_t {
  kAnyState,       ///< also before there are all control pages
  kUninitialized,  ///< before MNG.INIT
  kBuilding,       ///< INITIALIZED
  kBuiltOrRuns,    ///< INITIALIZED, RUNNABLE
  kRuns,           ///< RUNNABLE
};

/// One call in progress: its arrow in the trace, the module's mutex, the locks
/// it took, and the checks that many leaves share, in the order of the source.
///
/// Lifetime: a local variable of the leaf. The end gives all locks back.
class Leaf {
 public:
  Leaf(State& state, const Row& row,
       object::EventFields fields = {}) TEEIO_NO_THREAD_SAFETY_ANALYSIS;
  ~Leaf() TEEIO_NO_THREAD_SAFETY_ANALYSIS;
  Leaf(const Leaf&) = delete;
  Leaf& operator=(const Leaf&) = delete;

  /// SPDM.CONNECT, MNG and DISCONNECT: one at a time. Also their injected failure.
  /// Source: posted Linux host driver, tdx_ext_lock.
  Checked<void> extension();
  /// The module's API has this leaf; then the injected failure: before any other check.
  Checked<void> may_fail();
  /// The injected interruption; `what` is a literal "TDH.X interrupted".
  Checked<void> may_be_interrupted(std::string_view what);
  /// Whether hardware is slower than usual, by the explorer's choice; `what` is a literal.
  [[nodiscard]] bool lags(std::string_view what) const {
    return s.injection.interruptions && schedule::choose(2, what) != 0;
  }
  /// Lets other leaves run while this one holds its TryLocks: called when all
  /// checks have passed and nothing is changed yet.
  void give_way() TEEIO_NO_THREAD_SAFETY_ANALYSIS;

  /// The check of the row with that id (and operand, where the row has several) does not hold.
  [[nodiscard]] Refused refuse(std::string_view id);
  [[nodiscard]] Refused refuse(std::string_view id, Operand operand);
  /// About an S-EPT entry: RCX and RDX have the entry, its level and state.
  /// Source: set_arch_septe_details_in_vmm_regs().
  [[nodiscard]] Refused refuse(std::string_view id, const Sept::Place& place);
  /// Why the check does not hold is known better than its row says.
  [[nodiscard]] Refused refuse_because(std::string_view id, std::string_view why);
  /// The status carries a number where others have an operand.
  [[nodiscard]] Refused refuse_number(std::string_view id, std::uint32_t number);
  /// Also what else the registers say.
  [[nodiscard]] Refused refuse(std::string_view id, LeafResult registers);
  /// Success, and what it gave, for the trace.
  void note(std::string_view what) { call_.outcome(std::string(what)); }
  /// Success with a remark, which is a check of the row too.
  [[nodiscard]] LeafResult remark(std::string_view id);
  [[nodiscard]] LeafResult remark(std::string_view id, const Sept::Place& place);
  [[nodiscard]] LeafResult remark_number(std::string_view id, std::uint32_t number);

  enum class Hold : std::uint8_t { kShared, kExclusive };
  // `id` and `operand` name the check that the lock can be had.
  Checked<void> share(TryLock& lock, std::string_view id, Operand operand);
  Checked<void> take(TryLock& lock, std::string_view id, Operand operand);
  /// As take(), on a host-priority lock; a guest may also meet the check "host_waits".
  Checked<void> take_host_priority(TryLock& lock, std::string_view id, Operand operand);

  // Check blocks of many leaves: shared_checks.h has what each gives.
  /// Whoever holds the TDR page exclusively needs no lock of what the TD has.
  Checked<Td*> td(Hpa tdr, Operand operand, AllowedIn allowed, Hold hold = Hold::kShared);
  /// A TDR page with any TD behind it, for the leaves that look no further.
  Checked<Td*> any_td(Hpa tdr, Operand operand, Hold hold);
  /// The TD whose vCPU makes this TDCALL. A CPU model may handle the call after it has left the
  /// TD; then the leaf holds the vCPU, so that nothing flushes it.
  Checked<Td*> caller(Hpa vp);
  /// A TDVPR page; the vCPU is this leaf's.
  Checked<Vcpu*> vcpu(Hpa tdvpr, Operand operand);
  /// Source: helpers.c, non_shared_hpa_metadata_check_and_lock().
  Checked<PamtEntry*> free_page(Hpa page, Operand operand);
  /// Alignment, width and TDMRs of the address of a page with metadata.
  Checked<void> in_tdmr(Hpa page, Operand operand);
  /// G3: the pages of an array, `wanted` of them. Checks "array", and "list" for the page of
  /// their addresses.
  Checked<std::vector<Hpa>> array(HpaArray pages, std::size_t wanted, Operand operand);
  /// The same, each a free_page().
  Checked<std::vector<Hpa>> free_array(HpaArray pages, std::size_t wanted, Operand operand);
  /// The page is the module's, and goes back or out of a table.
  Checked<void> take_page_of(Hpa page, std::string_view id, Operand operand);
  /// A page that the host shares with the module for a message.
  Checked<void> shared_page(Hpa page, Operand operand);
  Checked<void> gpa(Gpa gpa, Level level, Level highest);
  /// Nothing is in `rest` of these registers: the check "reserved" of each, in this order.
  Checked<void> reserved(const ReservedBits& rest, std::initializer_list<Operand> registers);
  /// gpa(), tree lock, walk to exactly `level`, entry lock.
  Checked<Sept::Place> sept(Td& td, Gpa gpa, Level level, Level highest, Hold tree);
  /// As sept(), by a leaf that holds the TDR exclusively.
  Checked<Sept::Place> sept_alone(const Td& td, Gpa gpa, Level level, Level highest);
  /// Lock bit of an S-EPT entry; a guest meets the host's priority.
  Checked<void> sept_entry(Td& td, const Sept::Place& place);
  /// The tests of an entry that is to go, at the end of which no translation of it is left.
  /// Source: tdh_mem_page_remove.c, is_tlb_and_iotlb_tracked().
  Checked<void> tracked(const Td& td, const Sept::Place& place);
  /// Source: iommu.c, tdh_check_and_lock_iommu_config(): one host leaf an IOMMU at a time.
  Checked<IommuState*> iommu(std::uint32_t id);
  /// The entry of a session in its IOMMU's directory, be it there or not.
  /// Source: spdm.c, map_and_lock_spdmdir_entry().
  Checked<SpdmSession*> spdm(IommuState& iommu, std::uint32_t id, Operand operand);
  /// As spdm(), of a session that is there and must be bound.
  Checked<SpdmSession*> bound_spdm(IommuState& iommu, std::uint32_t id, Operand operand);
  /// A table page on the way to an entry. Source: mt_walk_helpers.c,
  /// mt_lock_pamt_and_map_la(); who takes a page out holds it exclusively.
  Checked<void> pass(Hpa table, std::string_view id, Operand operand);
  /// The tables above the entry of DEVIFMT at `level`, root first; 0 is an interface's.
  Checked<void> devifmt_walk(FunctionId function, unsigned level, Operand operand);
  Checked<DevifSlot*> devifmt_slot(FunctionId function, Operand operand);
  Checked<Devif*> devif(FunctionId function, Operand operand);

  State& s;  ///< under its mutex

 private:
  struct Held {
    TryLock* lock;
    bool exclusive;
    Td* entry_of = nullptr;  ///< the lock is this TD's for the S-EPT entry `entry`
    std::uint64_t entry = 0;
  };
  [[nodiscard]] Refused refuse(const Check& check, LeafResult result, std::string_view why);
  Checked<void> in_api();
  Checked<void> may_be_injected();
  [[nodiscard]] Refused injected(Code code, std::string_view why);

  const Row& row_;
  object::Trace::Call call_;
  std::vector<Held> held_;
};

/// The check of a row with that id. Precondition: there is one.
[[nodiscard]] const Check& check_of(const Row& row, std::string_view id);
[[nodiscard]] const Check& check_of(const Row& row, std::string_view id, Operand operand);

}  // namespace teeio::tdx
