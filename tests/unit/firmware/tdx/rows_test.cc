// Every check of every row: it refuses, with its status, when it alone does not hold.
#include "unit/firmware/tdx/rows.h"

#include <algorithm>
#include <tuple>

namespace teeio::tdx {
namespace {

using M = Story;
using enum Operand;

/// A GPA of which nothing is known.
constexpr std::uint64_t kFarGpa = 0x2000'0000'0000;

/// What a check that many rows have looks at, made wrong.
const std::map<std::string_view, std::function<void(M&, const Row&)>>& usual() {
  static const std::map<std::string_view, std::function<void(M&, const Row&)>> all = {
      {"api",
       [](M& m, const Row& row) { m.state().api = *row.only == Api::kG2 ? Api::kG3 : Api::kG2; }},
      {"fatal", [](M& m, const Row&) { m.the_td().fatal = true; }},
      {"keys", [](M& m, const Row&) { m.the_td().life_cycle = LifeCycle::kHkidAssigned; }},
      {"tdcs", [](M& m, const Row&) { m.the_td().tdcs.pop_back(); }},
      {"op_state",
       [](M& m, const Row& row) {
         m.the_td().op_state =
             &row == &row::kMngInit ? OpState::kInitialized : OpState::kUninitialized;
       }},
      {"level", [](M& m, const Row&) { m.level = Level{4}; }},
      {"gpa", [](M& m, const Row&) { m[kRcx] = kSharedGpaBit; }},
      {"aligned", [](M& m, const Row&) { m[kRcx] |= 0x800; }},
      {"table", [](M& m, const Row&) { m.level = Level::k4K; }},
      {"walk", [](M& m, const Row&) { m[kRcx] = kFarGpa; }},
      {"tree", [](M& m, const Row&) { M::hold(m.the_td().sept_tree_lock); }},
      {"entry",
       [](M& m, const Row&) { M::hold(m.the_td().sept_entry_locks[raw(m.place().where)]); }},
      {"tlb",
       [](M& m, const Row&) {
         Td& td = m.the_td();
         td.vcpu_refs.at((td.epoch - 1) & 1U) = 1;
       }},
      {"iotlb", [](M& m, const Row&) { m.the_td().prev_iotlb_cnt = 1; }},
      {"iommu", [](M& m, const Row&) { m.iommu_id = kMaxIommus; }},
      {"no_iommu", [](M& m, const Row&) { m.iommu_id = 1; }},
      {"iommu_busy", [](M& m, const Row&) { M::hold(m.the_iommu().lock); }},
      {"iommu_state", [](M& m, const Row&) { m.the_iommu().configured = false; }},
      {"spdm", [](M& m, const Row&) { m.session = kMaxSpdm; }},
      {"spdm_busy", [](M& m, const Row&) { M::hold(m.the_iommu().spdm_locks[m.session]); }},
      {"no_spdm", [](M& m, const Row&) { m.session = 77; }},
      {"spdm_state", [](M& m, const Row&) { m.the_session().bound = false; }},
      {"stream", [](M& m, const Row&) { m.stream = 99; }},
      {"stream_blocked", [](M& m, const Row&) { m.the_stream().blocked = true; }},
      {"function", [](M& m, const Row&) { m.function = FunctionId{0x10100}; }},
      {"devifmt", [](M& m, const Row&) { m.function = FunctionId{0x8000}; }},
      {"devifmt_table",
       [](M& m, const Row&) {
         m.hold_page(m.state().devifmt.tables.at(devifmt_table(M::kFunction, 1)));
       }},
      {"devif_busy", [](M& m, const Row&) { M::hold(m.the_slot().lock); }},
      {"devif", [](M& m, const Row&) { m.function = M::kOther; }},
      {"host_waits",
       [](M& m, const Row& row) {
         const bool about_function = std::ranges::any_of(
             row.checks, [](const Check& check) { return check.id == "devif_busy"; });
         TryLock& lock =
             about_function ? m.the_slot().lock : m.the_td().sept_entry_locks[raw(m.place().where)];
         lock.set_host_waits(true);
       }},
      {"epoch", [](M& m, const Row&) { M::hold(m.the_td().epoch_lock); }},
      {"kot", [](M& m, const Row&) { M::hold(m.state().kot); }},
      {"extension", [](M& m, const Row&) { M::hold(m.state().extension); }},
      {"vcpu", [](M& m, const Row&) { m.td.vp = m.page(); }}};
  return all;
}

/// The checks of a page that a register names.
bool page_is_wrong(M& m, const Check& check) {
  if (check.id == "page" || check.id == "shared") {
    m[check.operand] |= 8;
  } else if (check.id == "range") {
    m[check.operand] = raw(M::kBar);
  } else if (check.id == "type") {
    m[check.operand] = raw(check.refused_when.ends_with("already") ? m.taken() : m.page());
  } else if (check.id == "object") {
    const Bytes zeros(kPageSize);
    EXPECT_TRUE(m.memory.write(m.page_in(check.operand), zeros).has_value());
  } else if (check.id == "busy") {
    m.hold_page(check.operand == kTdr     ? m.td.tdr
                : check.operand == kTdvpr ? m.td.vp
                                          : m.page_in(check.operand));
  } else {
    return false;
  }
  return true;
}

bool make_wrong(M& m, const Case& one, const Check& check) {
  for (const Wrong& wrong : one.wrong)
    if (wrong.id == check.id && (!wrong.operand || *wrong.operand == check.operand))
      return wrong.act(m), true;
  if (page_is_wrong(m, check)) return true;
  const auto found = usual().find(check.id);
  if (found == usual().end()) return false;
  found->second(m, *one.row);
  return true;
}

void expect_refused(const Case& one, const Check& check) {
  if (!check.unmet.empty()) return;
  SCOPED_TRACE(std::string(one.row->name) + ' ' + std::string(one.row->detail) + ": " +
               std::string(check.id) + '(' + std::string(operand_name(check.operand)) + ')');
  Story m;
  one.prepare(m);
  ASSERT_TRUE(make_wrong(m, one, check)) << "no test makes this check fail";
  const LeafResult result = one.call(m);
  EXPECT_EQ(result.status.name(), code_name(check.code));
  if (check.operand != kNumber) {
    EXPECT_EQ(operand_name(result.status.operand()), operand_name(check.operand));
  }
  ASSERT_NE(result.refused_by, nullptr);
  EXPECT_EQ(result.refused_by->id, check.id);
  EXPECT_EQ(result.refused_by->operand, check.operand);
}

TEST(Rows, EachCheckRefusesWithItsStatusWhenItAloneFails) {
  for (const Row* row : rows()) {
    const auto found = cases().find(row);
    ASSERT_NE(found, cases().end()) << row->name << ' ' << row->detail << " has no case";
    for (const Check& check : row->checks) expect_refused(found->second, check);
    for (const Wrong& wrong : found->second.wrong)
      EXPECT_TRUE(std::ranges::any_of(row->checks,
                                      [&](const Check& check) {
                                        return check.id == wrong.id && check.unmet.empty() &&
                                               (!wrong.operand || *wrong.operand == check.operand);
                                      }))
          << row->name << " has no check " << wrong.id;
  }
}

TEST(Rows, EachLeafWorksWhenNothingIsWrong) {
  for (const auto& [row, one] : cases()) {
    SCOPED_TRACE(std::string(row->name) + ' ' + std::string(row->detail));
    Story m;
    one.prepare(m);
    const LeafResult result = one.call(m);
    EXPECT_EQ(result.status.name(), "TDX_SUCCESS");
  }
}

TEST(Rows, NamesNumbersAndChecksAreTheirOwn) {
  std::map<std::tuple<bool, std::uint16_t, std::optional<Api>>, std::string_view> numbers;
  for (const Row* row : rows()) {
    const auto [at, fresh] =
        numbers.emplace(std::tuple(row->of_guest(), row->number, row->only), row->name);
    EXPECT_EQ(at->second, row->name);
    EXPECT_TRUE(fresh || !row->detail.empty()) << row->name;
    EXPECT_FALSE(row->source.empty());
    EXPECT_FALSE(row->effect.empty());
    EXPECT_TRUE(row->fails.empty() || row->fails == std::string(row->name) + " fails");
    std::map<std::pair<std::string_view, Operand>, int> ids;
    for (const Check& check : row->checks)
      EXPECT_EQ((++ids[{check.id, check.operand}]), 1) << row->name << ' ' << check.id;
  }
}

}  // namespace
}  // namespace teeio::tdx
