// Every check of every row: it refuses, with its status, when it alone does not hold.
#include "unit/firmware/tdx/rows.h"

#include <gtest/gtest-spi.h>

#include <algorithm>
#include <set>
#include <stdexcept>
#include <tuple>

#include "unit/schedule/explored.h"

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
      {"root_ports", [](M& m, const Row&) { m.the_iommu().ready_ports.clear(); }},
      {"spdm", [](M& m, const Row&) { m.session = kMaxSpdm; }},
      {"spdm_busy", [](M& m, const Row&) { M::hold(m.the_iommu().spdm_locks[m.session]); }},
      {"no_spdm", [](M& m, const Row&) { m.session = 77; }},
      {"spdm_state", [](M& m, const Row&) { m.the_session().bound = false; }},
      {"stream", [](M& m, const Row&) { m.stream = 99; }},
      {"stream_id", [](M& m, const Row&) { m.stream_bits = 1U << 8U; }},
      {"tsc_adjust", [](M& m, const Row&) { m.on.tsc_adjust = 1; }},
      {"stream_blocked", [](M& m, const Row&) { m.the_stream().blocked = true; }},
      {"function", [](M& m, const Row&) { m.function = FunctionId{0x10100}; }},
      {"devifmt", [](M& m, const Row&) { m.function = FunctionId{0x8000}; }},
      {"devifmt_table", [](M& m, const Row&) { m.hold_page(m.devifmt_table_page(1)); }},
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
  if (check.id == "reserved") return m.rest[check.operand] = 1, true;
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

std::string title(const Row& row) {
  return std::string(row.name) + (row.detail.empty() ? "" : " ") + std::string(row.detail);
}

/// Which check refuses when both are made to fail, the second one last; -1: that cannot be had,
/// since a step to it needs what the first has spoilt.
std::ptrdiff_t refused_by(const Case& one, const Check& first, const Check& second) {
  Story m;
  testing::TestPartResultArray missed;
  LeafResult result;
  try {
    const testing::ScopedFakeTestPartResultReporter quiet(
        testing::ScopedFakeTestPartResultReporter::INTERCEPT_ONLY_CURRENT_THREAD, &missed);
    one.prepare(m);
    if (!make_wrong(m, one, first) || !make_wrong(m, one, second)) return -1;
    result = one.call(m);
  } catch (const std::out_of_range&) {
    return -1;  // map::at() of a step
  }
  if (missed.size() != 0) return -1;
  return result.refused_by == nullptr ? -1 : result.refused_by - one.row->checks.data();
}

// What a caller is told that makes two mistakes: the row's checks are made in the row's order.
TEST(Rows, OfTwoChecksThatFailTheFirstRefuses) {
  // What makes these fail takes the leaf another way, on which the checks before are not made.
  const std::set<std::string> elsewhere = {"TDH.IDE.STREAM.IDEKMRSP ready",
                                           "TDH.IDE.STREAM.CREATE hardware",
                                           "TDH.DEVIF.RESPONSE output",
                                           "TDH.DEVIF.REQUEST asked",
                                           "TDH.DEVIF.REQUEST error",
                                           "TDH.DMAR.ADD dmar",
                                           "TDH.DMAR.ADD value",
                                           "TDH.IDE.STREAM.KM worn",
                                           "TDH.IDE.STREAM.KM seal",
                                           "TDH.SPDM.MNG upkeep",
                                           "TDH.SPDM.CONNECT space"};
  int pairs = 0;
  for (const auto& [row, one] : cases())
    for (std::ptrdiff_t i = 0; i < std::ssize(row->checks); ++i)
      for (std::ptrdiff_t j = i + 1; j < std::ssize(row->checks); ++j) {
        const Check& first = row->checks[static_cast<std::size_t>(i)];
        const Check& second = row->checks[static_cast<std::size_t>(j)];
        // A page that is none has no entry to be wrong.
        if (!first.unmet.empty() || !second.unmet.empty() || first.operand == second.operand ||
            elsewhere.contains(std::string(row->name) + ' ' + std::string(second.id)))
          continue;
        // Of two that spoil the same thing the later one is left: one of both ways will do.
        const std::ptrdiff_t ways[] = {refused_by(one, first, second),
                                       refused_by(one, second, first)};
        if (std::ranges::max(ways) < 0) continue;
        EXPECT_TRUE(std::ranges::any_of(ways, [&](auto by) { return by >= 0 && by <= i; }))
            << title(*row) << ": " << second.id << " comes before " << first.id;
        ++pairs;
      }
  EXPECT_GT(pairs, 300);
}

/// What two tasks are answered that call the leaf with the same operands at the same time.
std::set<std::string_view> answers_to_two(const Case& one, const Check* wrong) {
  std::set<std::string_view> seen;
  test::expect_sound([&] {
    Story m;
    one.prepare(m);
    if (wrong != nullptr) make_wrong(m, one, *wrong);
    std::array<LeafResult, 2> results;
    std::vector<schedule::Task> tasks;
    for (LeafResult& result : results)
      tasks.push_back(schedule::Task::spawn("leaf", [&] { result = one.call(m); }));
    for (schedule::Task& task : tasks) task.join();
    for (const LeafResult& result : results) seen.insert(result.status.name());
  });
  return seen;
}
bool is_busy(std::string_view status) {
  return status == code_name(Code::kOperandBusy) || status == code_name(Code::kBusyHostPriority);
}

// A leaf holds what it changes, and another one can meet it there: between its last check and
// its first change it lets others run. Those in `alone` only read, share
// what they hold, or are one step here.
TEST(Rows, EachLeafThatChangesSomethingCanBeMet) {
  const std::set<std::string> alone = {
      "TDG.DEVIF.RD",   "TDG.DMAR.ACCEPT", "TDG.MR.VERIFYREPORT", "TDG.VP.INFO",
      "TDH.DEVIFMT.RD", "TDH.DMAR.READ",   "TDH.IOMMU.GETREG",    "TDH.MEM.SHARED.SEPT.WR",
      "TDH.MMIOMT.RD",  "TDH.MR.EXTEND",   "TDH.VP.ENTER"};
  std::set<std::string> never;
  for (const auto& [row, one] : cases())
    if (std::ranges::none_of(answers_to_two(one, nullptr), is_busy)) never.insert(title(*row));
  EXPECT_EQ(never, alone);
}

// One that is refused since translations may be left has let nobody look: its checks are one step.
TEST(Rows, ALeafThatFindsTranslationsIsOneStep) {
  constexpr std::string_view kTracking[] = {"blocked", "tlb", "iotlb"};
  int refused = 0;
  for (const auto& [row, one] : cases())
    for (const Check& check : row->checks) {
      if (!check.unmet.empty() || std::ranges::find(kTracking, check.id) == std::end(kTracking))
        continue;
      EXPECT_EQ(answers_to_two(one, &check), std::set{code_name(check.code)})
          << title(*row) << ": " << check.id;
      ++refused;
    }
  EXPECT_GT(refused, 10);
}

// What the explorer makes fail, it makes fail first: nothing else was looked at.
TEST(Rows, ALeafThatIsMadeToFailHasLookedAtNothing) {
  for (const auto& [row, one] : cases()) {
    if (row->fails.empty()) continue;
    for (const Check& check : row->checks) {
      if (!check.unmet.empty() || check.id == "api" || check.id == "extension") continue;
      SCOPED_TRACE(title(*row) + ": " + std::string(check.id));
      Story m;
      one.prepare(m);
      ASSERT_TRUE(make_wrong(m, one, check));
      m.module.set_injection({.interruptions = false, .failures = true});
      schedule::set_chooser([&, fails = row->fails](std::uint32_t, std::string_view what) {
        return what == fails ? 1U : 0U;
      });
      const LeafResult result = one.call(m);
      EXPECT_EQ(result.status.name(), code_name(Code::kOperandBusy));
      EXPECT_EQ(result.refused_by, nullptr);
    }
  }
}

/// How many pages more the module owns after each leaf that gives or takes any.
TEST(Rows, PagesAreTakenAndGivenBack) {
  const std::map<std::string, std::int64_t> wanted = {{"TDH.DEVIF.CREATE", 3},
                                                      {"TDH.DEVIF.REMOVE", -3},
                                                      {"TDH.DEVIFMT.ADD", 1},
                                                      {"TDH.DEVIFMT.REMOVE", -1},
                                                      {"TDH.DMAR.ADD", 1},
                                                      {"TDH.IDE.STREAM.CREATE", 1},
                                                      {"TDH.IDE.STREAM.CREATE G3", 1},
                                                      {"TDH.IDE.STREAM.DELETE", -1},
                                                      {"TDH.IDE.STREAM.DELETE G3", -1},
                                                      {"TDH.IOMMU.SETREG a page", 1},
                                                      {"TDH.IOMMU.SETUP G3", 2},
                                                      {"TDH.MEM.PAGE.ADD", 1},
                                                      {"TDH.MEM.PAGE.AUG", 1},
                                                      {"TDH.MEM.PAGE.REMOVE", -1},
                                                      {"TDH.MEM.SEPT.ADD", 1},
                                                      {"TDH.MEM.SEPT.REMOVE", -1},
                                                      {"TDH.MMIOMT.ADD", 1},
                                                      {"TDH.MMIOMT.REMOVE", -1},
                                                      {"TDH.MNG.ADDCX", 1},
                                                      {"TDH.MNG.CREATE", 1},
                                                      {"TDH.PHYMEM.PAGE.RECLAIM", -1},
                                                      {"TDH.SPDM.CREATE", 1},
                                                      {"TDH.SPDM.CREATE G3", 2},
                                                      {"TDH.SPDM.DELETE", -1},
                                                      {"TDH.SPDM.DELETE G3", -2},
                                                      {"TDH.VP.ADDCX", 1},
                                                      {"TDH.VP.CREATE", 1}};
  std::map<std::string, std::int64_t> seen;
  for (const auto& [row, one] : cases()) {
    Story m;
    one.prepare(m);
    const auto before = static_cast<std::int64_t>(m.module.pages_owned());
    (void)one.call(m);
    const auto more = static_cast<std::int64_t>(m.module.pages_owned()) - before;
    if (more != 0) seen[title(*row)] = more;
  }
  EXPECT_EQ(seen, wanted);
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
