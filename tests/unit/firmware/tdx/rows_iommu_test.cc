#include "unit/firmware/tdx/rows.h"

// TDH.IOMMU.SETREG and GETREG.

namespace teeio::tdx {
namespace {

using M = Story;
using enum Operand;
using Register = IommuRegister;

constexpr std::string_view kSlow = "TDH.IOMMU.SETREG: the IOMMU takes its time";

LeafResult set(M& m, Register which, std::uint64_t value) {
  return m.module.tdh_iommu_setreg(m.iommu_id, which, value);
}
std::uint64_t get(M& m, Register which) { return m.module.tdh_iommu_getreg(m.iommu_id, which).r8; }
Register register_in(M& m) { return Register{static_cast<std::uint32_t>(m[kRdx])}; }
void bring_pages(M& m) {
  for (const Register which : kIommuPageRegisters) EXPECT_OK(set(m, which, raw(m.page())));
}
void prepare_page(M& m, Register which) {
  m[kRdx] = static_cast<std::uint64_t>(which);
  m[kR8] = raw(m.page());
}
/// A queue with a page, and a page that is not behind it.
void elsewhere(M& m) {
  EXPECT_OK(set(m, Register::kQueue, raw(m.page())));
  (void)m.page();
  prepare_page(m, Register::kQueue);
}
void enable_stream_by_host(M& m) {
  using Slot = hw::IdeKeySlot;
  EXPECT_TRUE(m.port.configure_stream(0, {.stream_id = 1, .memory = {}}).has_value());
  for (const auto direction : {Slot::Direction::kReceive, Slot::Direction::kTransmit})
    for (const auto part :
         {Slot::SubStream::kPosted, Slot::SubStream::kNonPosted, Slot::SubStream::kCompletion}) {
      const Slot slot{.key_set = 0, .direction = direction, .sub_stream = part};
      EXPECT_TRUE(m.port.program_key(0, slot, Bytes(hw::IdePort::kKeyBytes)).has_value());
      EXPECT_TRUE(m.port.key_go(0, slot).has_value());
    }
  EXPECT_TRUE(m.port.enable_stream(0).has_value());
}
void make_slow(M& m) {
  m.module.set_injection({.interruptions = true, .failures = false});
  schedule::set_chooser(
      [](std::uint32_t, std::string_view what) { return what == kSlow ? 1U : 0U; });
}
void clearing(M& m) { m.the_iommu().clearing = true; }
void configured(M& m) { m.the_iommu().configured = true; }
void with_sessions(M& m) { m.the_iommu().active_spdm_session_count = 1; }
void some_value(M& m) { m[kR8] = 1; }
void wide_rid(M& m) { m[kR8] |= 1U << 16U; }
void config(M& m) {
  m.config_iommu(m.module, M::kIommu);
  m[kR8] = m.port.bdf().rid();
}

const Cases kRegisterCases{
    {.row = &row::kIommuSetregPage,
     .prepare = [](M& m) { prepare_page(m, Register::kRootTable); },
     .call = [](M& m) { return set(m, register_in(m), m[kR8]); },
     .wrong = {{"in_progress", clearing},
               {"register", [](M& m) { m[kRdx] = 0x8000'000d; }},
               {"iommu_state", configured},
               {"zero", [](M& m) { m[kR8] = 0; }},
               {"queue", elsewhere},
               {"set", [](M& m) { EXPECT_OK(set(m, Register::kRootTable, raw(m.page()))); }}}},
    {.row = &row::kIommuSetregConfig,
     .prepare =
         [](M& m) {
           bring_pages(m);
           m[kR8] = 0;
         },
     .call = [](M& m) { return set(m, Register::kConfigIommu, m[kR8]); },
     .wrong = {{"in_progress", clearing},
               {"iommu_state", configured},
               {"value", some_value},
               {"pages", [](M& m) { m.the_iommu().pages.stream_info[1] = Hpa{0}; }},
               {"key_unit", enable_stream_by_host},
               {"timeout", make_slow}}},
    {.row = &row::kIommuSetregRootPort,
     .prepare = config,
     .call = [](M& m) { return set(m, Register::kConfigRootPort, m[kR8]); },
     .wrong = {{"in_progress", clearing},
               {"root_port", wide_rid},
               {"again", [](M& m) { m.the_iommu().ready_ports.push_back(&m.port); }},
               {"ide", enable_stream_by_host}}},
    {.row = &row::kIommuSetregClearRootPort,
     .prepare =
         [](M& m) {
           m.setup_iommu();
           m[kR8] = m.port.bdf().rid();
         },
     .call = [](M& m) { return set(m, Register::kClearRootPort, m[kR8]); },
     .wrong = {{"in_progress", clearing},
               {"sessions", with_sessions},
               {"root_port", wide_rid},
               {"never", [](M& m) { m.the_iommu().ready_ports.clear(); }}}},
    {.row = &row::kIommuSetregClear,
     .prepare =
         [](M& m) {
           config(m);
           m[kR8] = 0;
         },
     .call = [](M& m) { return set(m, Register::kClearIommu, m[kR8]); },
     .wrong = {{"in_progress", [](M& m) { m.the_iommu().configuring = true; }},
               {"value", some_value},
               {"root_ports", [](M& m) { m.the_iommu().ready_ports.push_back(&m.port); }},
               {"sessions", with_sessions},
               {"timeout", make_slow}}},
    {.row = &row::kIommuGetreg,
     .prepare = [](M& m) { m[kRdx] = static_cast<std::uint64_t>(Register::kState); },
     .call =
         [](M& m) {
           const Register which = register_in(m);
           return m.module.tdh_iommu_getreg(which == Register::kId ? m[kRcx] : m.iommu_id, which);
         },
     .wrong = {{"registers",
                [](M& m) {
                  m[kRdx] = static_cast<std::uint64_t>(Register::kId);
                  m[kRcx] = 0x1000;
                }},
               {"register",
                [](M& m) { m[kRdx] = static_cast<std::uint64_t>(Register::kConfigIommu); }}}}};

TEST(IommuRegisters, AreReadAsTheyWereWritten) {
  M m;
  EXPECT_EQ(m.module.tdh_iommu_getreg(raw(M::kRegisters), Register::kId).r8, M::kIommu);
  EXPECT_EQ(get(m, Register::kState), 0U);
  const Hpa first = m.page();
  const Hpa second = m.page();
  ASSERT_EQ(second, first + kPageSize);
  EXPECT_OK(set(m, Register::kQueue, raw(first)));
  EXPECT_OK(set(m, Register::kQueue, raw(second)));
  EXPECT_EQ(get(m, Register::kQueue), raw(first) + 2);
  for (const Register which : {Register::kRootTable, Register::kStreamInfo0, Register::kStreamInfo1,
                               Register::kSpdmDirectory}) {
    const Hpa page = m.page();
    EXPECT_OK(set(m, which, raw(page)));
    EXPECT_EQ(get(m, which), raw(page));
  }
  const Hpa context = m.page();
  EXPECT_OK(set(m, Register::kQueueContext, raw(context)));
  EXPECT_CODE(set(m, Register::kConfigIommu, 0), Code::kIommuInvalidState);  // 2 and 1 pages
  EXPECT_OK(set(m, Register::kQueueContext, raw(m.page())));
  EXPECT_OK(set(m, Register::kConfigIommu, 0));
  EXPECT_EQ(get(m, Register::kState), 1U);
}

TEST(IommuRegisters, ASlowIommuIsAskedAgain) {
  M m;
  bring_pages(m);
  make_slow(m);
  EXPECT_CODE(set(m, Register::kConfigIommu, 0), Code::kIommuEcmdTimeout);
  EXPECT_EQ(get(m, Register::kState), 0U);
  EXPECT_CODE(set(m, Register::kClearIommu, 0), Code::kOperandInvalid);
  EXPECT_OK(set(m, Register::kConfigIommu, 0));
  EXPECT_EQ(get(m, Register::kState), 1U);

  const Hpa root{get(m, Register::kRootTable)};
  EXPECT_CODE(set(m, Register::kClearIommu, 0), Code::kIommuEcmdTimeout);
  EXPECT_EQ(get(m, Register::kState), 0U);
  EXPECT_CODE(m.module.tdh_phymem_page_reclaim(root), Code::kIommuMtPageInUse);
  EXPECT_CODE(set(m, Register::kConfigIommu, 0), Code::kOperandInvalid);
  EXPECT_OK(set(m, Register::kClearIommu, 0));
  EXPECT_OK(m.module.tdh_phymem_page_reclaim(root));
}

TEST(IommuRegisters, PagesOfAnIommuThatWasNeverSetUpComeBack) {
  M m;
  const Hpa page = m.page();
  EXPECT_OK(set(m, Register::kStreamInfo0, raw(page)));
  EXPECT_CODE(m.module.tdh_phymem_page_reclaim(page), Code::kIommuMtPageInUse);
  EXPECT_OK(set(m, Register::kClearIommu, 0));
  EXPECT_EQ(get(m, Register::kStreamInfo0), 0U);
  EXPECT_OK(m.module.tdh_phymem_page_reclaim(page));
}

TEST(IommuRegisters, WithoutOneOfItsRootPortsAnIommuTakesNothing) {
  M m;
  m.setup_iommu();
  EXPECT_OK(m.module.tdh_spdm_create(M::kIommu, M::kSession, m.page()));
  EXPECT_OK(m.module.tdh_spdm_delete(M::kIommu, M::kSession));
  EXPECT_OK(set(m, Register::kClearRootPort, m.port.bdf().rid()));
  const LeafResult refused = m.module.tdh_spdm_create(M::kIommu, M::kSession, m.page());
  EXPECT_CODE(refused, Code::kRpNotConfigured);
  EXPECT_EQ(refused.status.operand(), kRcx);
}

}  // namespace
}  // namespace teeio::tdx
