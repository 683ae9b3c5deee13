#include <memory>
#include <set>

#include "unit/firmware/tdx/machine.h"
#include "unit/schedule/explored.h"

// Leaves against each other, in every order; and what the explorer may inject.

namespace teeio::tdx {
namespace {

/// A machine that a test makes anew for each schedule.
class Fresh : public Machine {
 public:
  Fresh() {
    module.set_injection({.interruptions = false, .failures = false});
    connect();
    td = running_td();
  }
  void TestBody() override {}
  /// Runs two bodies as tasks.
  template <class A, class B>
  static void race(A a, B b) {
    schedule::Task first = schedule::Task::spawn("first", a);
    schedule::Task second = schedule::Task::spawn("second", b);
    first.join();
    second.join();
  }
  using Machine::accept;
  using Machine::bind;
  using Machine::create_devif;
  using Machine::devifmt_tables;
  using Machine::dmar;
  using Machine::dmar_add;
  using Machine::handle;
  using Machine::kBar;
  using Machine::kFunction;
  using Machine::kIommu;
  using Machine::kMmioGpa;
  using Machine::kRamGpa;
  using Machine::kSession;
  using Machine::kStream;
  using Machine::make_td;
  using Machine::mmiomt_tables;
  using Machine::module;
  using Machine::page;
  using Machine::TestTd;
  using Machine::validate;
  TestTd td;
};

using Outcomes = std::set<std::pair<std::string_view, std::string_view>>;

/// What two leaves of a fresh machine answer each other, over all orders. `busy`: the operand
/// that every OPERAND_BUSY must name.
template <class A, class B>
Outcomes outcomes(A a, B b, std::string_view busy) {
  Outcomes seen;
  test::expect_sound([&] {
    Fresh m;
    m.devifmt_tables();
    EXPECT_TRUE(m.create_devif(m.td).ok());
    m.mmiomt_tables();
    const Hpa pages[] = {m.page(), m.page()};
    LeafResult first;
    LeafResult second;
    Fresh::race([&] { first = a(m, pages[0]); }, [&] { second = b(m, pages[1]); });
    for (const LeafResult& r : {first, second}) {
      if (r.status != Code::kOperandBusy) continue;
      EXPECT_EQ(operand_name(r.status.operand()), busy);
    }
    seen.insert({name(first), name(second)});
  });
  return seen;
}
const Outcomes kOneAtATime = {{"TDX_SUCCESS", "TDX_SUCCESS"},
                              {"TDX_SUCCESS", "TDX_OPERAND_BUSY"},
                              {"TDX_OPERAND_BUSY", "TDX_SUCCESS"}};
const Outcomes kTogether = {{"TDX_SUCCESS", "TDX_SUCCESS"}};

TEST(Concurrency, HostLeavesOfOneIommuGoOneAtATimeAndThoseOfTablesDoNot) {
  const auto dmar = [](Fresh& m, Hpa page) { return m.dmar_add(m.dmar(DmarLevel::kRoot), page); };
  const auto spdm = [](Fresh& m, Hpa page) {
    return m.module.tdh_spdm_create(Fresh::kIommu, 9, page);
  };
  const auto owner = [](Fresh& m, Hpa) {
    return m.module.tdh_mmiomt_set(m.kBar, Level::k4K, m.kFunction);
  };
  EXPECT_EQ(outcomes(dmar, spdm, "RCX"), kOneAtATime);
  EXPECT_EQ(outcomes(dmar, owner, "none"), kTogether);
  EXPECT_EQ(outcomes(owner, spdm, "none"), kTogether);
}

TEST(Concurrency, OneLeafAnEntryOfDevifmtAndOfMmiomt) {
  const auto request = [](Fresh& m, Hpa page) {
    return m.module.tdh_devif_request(m.kFunction, DevifRequest::kState, OnBehalfOf::kVmm, page);
  };
  const auto owner = [](Fresh& m, Hpa) {
    return m.module.tdh_mmiomt_set(m.kBar, Level::k4K, m.kFunction);
  };
  const auto neighbour = [](Fresh& m, Hpa) {
    return m.module.tdh_mmiomt_set(m.kBar + kPageSize, Level::k4K, m.kFunction);
  };
  // The function's entry: RCX of REQUEST, RDX of SET.
  Outcomes seen = outcomes(request, request, "RCX");
  EXPECT_TRUE(seen.contains({"TDX_SUCCESS", "TDX_OPERAND_BUSY"}));
  EXPECT_TRUE(seen.contains({"TDX_SUCCESS", "TDX_DEVIF_TDISP_OUT_REQ"}));
  EXPECT_EQ(outcomes(owner, neighbour, "RDX"), kOneAtATime);
  seen = outcomes(owner, owner, "RCX");
  EXPECT_TRUE(seen.contains({"TDX_OPERAND_BUSY", "TDX_SUCCESS"}));
  EXPECT_TRUE(seen.contains({"TDX_MMIO_INVALID_PAGE_METADATA", "TDX_SUCCESS"}));
}

TEST(Concurrency, AnEntryOfMmiomtIsGivenBackByOneLeaf) {
  Outcomes seen;
  test::expect_sound([&] {
    Fresh m;
    m.devifmt_tables();
    EXPECT_TRUE(m.create_devif(m.td).ok());
    m.mmiomt_tables();
    EXPECT_TRUE(m.module.tdh_mmiomt_set(m.kBar, Level::k4K, m.kFunction).ok());
    LeafResult first;
    LeafResult second;
    const auto give_back = [&](LeafResult& result) {
      return [&] { result = m.module.tdh_mmiomt_set(m.kBar, Level::k4K, std::nullopt); };
    };
    Fresh::race(give_back(first), give_back(second));
    EXPECT_NE(first.ok(), second.ok());
    seen.insert({name(first), name(second)});
  });
  EXPECT_TRUE(seen.contains({"TDX_SUCCESS", "TDX_OPERAND_BUSY"}));
  EXPECT_TRUE(seen.contains({"TDX_MMIO_INVALID_PAGE_METADATA", "TDX_SUCCESS"}));
}

TEST(Concurrency, ATableIsNotTakenOutUnderALeafThatPassesThroughIt) {
  const auto request = [](Fresh& m, Hpa page) {
    return m.module.tdh_devif_request(m.kFunction, DevifRequest::kState, OnBehalfOf::kVmm, page);
  };
  const auto remove = [](Fresh& m, Hpa) { return m.module.tdh_devifmt_remove(m.kFunction, 1); };
  EXPECT_EQ(outcomes(request, remove, "RCX"),
            (Outcomes{{"TDX_SUCCESS", "TDX_OPERAND_BUSY"},
                      {"TDX_SUCCESS", "TDX_DEVIF_INVALID_METADATA"}}));
}

TEST(Concurrency, OneExtensionLeafRunsAtATime) {
  const auto connect = [](Fresh& m, Hpa page) {
    return m.module.tdh_spdm_recollect(Fresh::kIommu, Fresh::kSession, {}, page);
  };
  const Outcomes seen = outcomes(connect, connect, "EXTENSION");
  EXPECT_TRUE(seen.contains({"TDX_OPERAND_BUSY", "TDX_SUCCESS"}));
}

TEST(Concurrency, ABlockedPageIsNotAcceptedWhicheverComesFirst) {
  Outcomes seen;
  test::expect_sound([&] {
    Fresh m;
    m.bind(m.td);
    EXPECT_TRUE(m.module.tdh_mmio_map(m.td.tdr, m.kMmioGpa, Level::k4K, m.kBar).ok());
    EXPECT_TRUE(m.module.begin_vp_enter(m.td.vp).ok());
    LeafResult block;
    Module::GuestLeafResult accepted;
    Fresh::race(
        [&] { block = m.module.tdh_mmio_block(m.td.tdr, m.kMmioGpa, Level::k4K); },
        [&] { accepted = m.module.tdg_mmio_accept(m.td.vp, m.kMmioGpa, Level::k4K, m.handle()); });
    const auto found = m.module.lookup(m.td.tdr, m.kMmioGpa, hw::GuestAccess::kRead);
    EXPECT_EQ(found.has_value(), !block.ok());
    EXPECT_TRUE(block.ok() || accepted.ok());
    seen.insert({name(block), accepted.ept_violation ? "violation" : name(accepted)});
    // The host asks again, as it must; then the guest may come in.
    if (!block.ok()) {
      EXPECT_CODE(m.module.tdg_mmio_accept(m.td.vp, m.kMmioGpa, Level::k4K, m.handle()).leaf,
                  Code::kBusyHostPriority);
      EXPECT_TRUE(m.module.tdh_mmio_block(m.td.tdr, m.kMmioGpa, Level::k4K).ok());
    }
    m.module.end_vp_enter(m.td.vp, TdExit::kOrdinary);
  });
  EXPECT_EQ(seen, (Outcomes{{"TDX_SUCCESS", "TDX_SUCCESS"},
                            {"TDX_SUCCESS", "violation"},
                            {"TDX_SUCCESS", "TDX_OPERAND_BUSY"},
                            {"TDX_OPERAND_BUSY", "TDX_SUCCESS"}}));
}

// On a blocked stream a locked interface may go; the guest's accept must not
// leave DMA behind for an interface that is gone.
TEST(Concurrency, AnInterfaceWithAcceptedDmaIsNeverRemoved) {
  Outcomes seen;
  test::expect_sound([&] {
    Fresh m;
    m.bind(m.td);
    m.validate(m.td);
    EXPECT_TRUE(m.module.tdh_ide_stream_block(m.kIommu, m.kStream).ok());
    EXPECT_TRUE(m.module.begin_vp_enter(m.td.vp).ok());
    LeafResult removed;
    LeafResult accepted;
    Fresh::race([&] { removed = m.module.tdh_devif_remove(m.kFunction); },
                [&] { accepted = m.module.tdg_dmar_accept(m.td.vp, m.kFunction); });
    EXPECT_FALSE(removed.ok() && accepted.ok());
    const auto state = dmar_state(m.module.tdh_dmar_read(m.dmar(DmarLevel::kPasid)).rdx);
    EXPECT_EQ(state == DmarState::kPresent, accepted.ok());
    seen.insert({name(removed), name(accepted)});
    m.module.end_vp_enter(m.td.vp, TdExit::kOrdinary);
  });
  EXPECT_TRUE(seen.contains({"TDX_SUCCESS", "TDX_DEVIFMT_NOT_PRESENT"}));
  EXPECT_TRUE(seen.contains({"TDX_DEVIF_HAS_MAPPED_DMA", "TDX_SUCCESS"}));
}

TEST(Concurrency, AVcpuNeverEntersBetweenTheTwoHalvesOfATrack) {
  test::expect_sound([&] {
    Fresh m;
    LeafResult track;
    LeafResult enter;
    Fresh::race([&] { track = m.module.tdh_mem_track(m.td.tdr); },
                [&] { enter = m.module.begin_vp_enter(m.td.vp); });
    EXPECT_TRUE(track.ok());
    if (enter.ok()) {
      m.module.end_vp_enter(m.td.vp, TdExit::kOrdinary);
    } else {
      EXPECT_EQ(operand_name(enter.status.operand()), "TD_EPOCH");
    }
  });
}

// TDR exclusive: ADDCX, MNG.INIT, MR.EXTEND, MR.FINALIZE, PAGE.ADD, KEY.CONFIG.
TEST(Concurrency, TwoTasksThatBuildOneTdCollideAndTwoThatRunItDoNot) {
  Outcomes built;
  Outcomes ran;
  test::expect_sound([&] {
    Fresh m;
    const Fresh::TestTd td = m.make_td(2, 12);
    const Hpa pages[] = {m.page(), m.page(), m.page(), m.page()};
    LeafResult a;
    LeafResult b;
    Fresh::race(
        [&] { a = m.module.tdh_mem_page_add(td.tdr, m.kRamGpa, pages[0], pages[2]); },
        [&] { b = m.module.tdh_mem_page_add(td.tdr, m.kRamGpa + kPageSize, pages[1], pages[2]); });
    for (const LeafResult& r : {a, b}) {
      if (r.ok()) continue;
      EXPECT_EQ(operand_name(r.status.operand()), "RDX");
    }
    built.insert({name(a), name(b)});
  });
  test::expect_sound([&] {
    Fresh m;
    const Hpa pages[] = {m.page(), m.page()};
    LeafResult a;
    LeafResult b;
    // Tables of two gigabytes: the tree is shared, the entries are two.
    Fresh::race(
        [&] { a = m.module.tdh_mem_sept_add(m.td.tdr, Gpa{0x8000'0000}, Level::k1G, pages[0]); },
        [&] { b = m.module.tdh_mem_sept_add(m.td.tdr, Gpa{0xc000'0000}, Level::k1G, pages[1]); });
    ran.insert({name(a), name(b)});
  });
  EXPECT_EQ(built, (Outcomes{{"TDX_SUCCESS", "TDX_SUCCESS"},
                             {"TDX_SUCCESS", "TDX_OPERAND_BUSY"},
                             {"TDX_OPERAND_BUSY", "TDX_SUCCESS"}}));
  EXPECT_EQ(ran, (Outcomes{{"TDX_SUCCESS", "TDX_SUCCESS"}}));
}

TEST(Concurrency, VpFlushDoneAndDevifCreateExcludeEachOther) {
  test::expect_sound([&] {
    Fresh m;
    m.devifmt_tables();
    LeafResult done;
    LeafResult created;
    Fresh::race([&] { done = m.module.tdh_mng_vpflushdone(m.td.tdr); },
                [&] { created = m.create_devif(m.td); });
    EXPECT_FALSE(done.ok() && created.ok());
  });
}

// --- Injection ---

class Injected : public Machine {
 protected:
  void SetUp() override { connect(); }
};

TEST_F(Injected, AnInterruptedLeafGoesOnWhenCalledAgain) {
  // One descriptor each: what is interrupted within a request is hardware_test.cc's.
  const DmarIndex one{.level = DmarLevel::kRoot, .rid = 0x200, .iommu = 0, .pasid = 0};
  const DmarIndex other{.level = DmarLevel::kRoot, .rid = 0x300, .iommu = 0, .pasid = 0};
  for (const DmarIndex& index : {one, other}) {
    ASSERT_OK(dmar_add(index, page()));
    ASSERT_OK(module.tdh_dmar_block(index));
    ASSERT_OK(module.tdh_iq_inv_request(index));
  }
  inject_once("TDH.IQ.INV.PROCESS interrupted");
  EXPECT_CODE(module.tdh_iq_inv_process(kIommu), Code::kInterruptedResumable);
  ASSERT_OK(module.tdh_iq_inv_process(kIommu));
  ASSERT_OK(module.tdh_dmar_remove(one));
  ASSERT_OK(module.tdh_dmar_remove(other));
}

TEST_F(Injected, AFailedLeafHasDoneNothingAndCanBeRepeated) {
  TestTd td = running_td();
  const std::uint64_t before = module.pages_owned();
  devifmt_tables();
  inject_once("TDH.DEVIF.CREATE fails");
  EXPECT_CODE(create_devif(td), Code::kOperandBusy);
  EXPECT_EQ(module.pages_owned(), before + kDevifmtLevels);
  ASSERT_OK(create_devif(td));
}

TEST_F(Injected, CanBeTurnedOff) {
  module.set_injection({.interruptions = false, .failures = false});
  inject_once("TDH.DEVIFMT.ADD fails");
  devifmt_tables();
}

}  // namespace
}  // namespace teeio::tdx
