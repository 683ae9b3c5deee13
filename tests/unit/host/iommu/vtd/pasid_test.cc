#include "fixture.h"

namespace teeio::vtd {
namespace {

using test::DriverTest;

constexpr hw::Pasid kOne{1};
constexpr Hpa kTo{0x200'0000'0000};

class VtdPasidDriverTest : public DriverTest {
 protected:
  std::unique_ptr<iommu::Domain> with_page(Hpa to, bool dirty = false) {
    auto made = domain(dirty);
    EXPECT_TRUE(made->map(Iova{0x1000}, to, 0x1000, Prot::kReadWrite).has_value());
    return made;
  }
  std::optional<Hpa> through(hw::Pasid pasid) {
    return reach(Iova{0x1000}, hw::DmaAccess::kRead, pasid);
  }
};

TEST_F(VtdPasidDriverTest, APasidIsAttachedReplacedAndDetachedBesideTheFunction) {
  auto own = with_page(kTo), first = with_page(kTo + 0x1000), second = with_page(kTo + 0x2000);
  ASSERT_TRUE(driver->attach(1, *own).has_value());
  EXPECT_FALSE(through(kOne));
  ASSERT_TRUE(driver->attach_pasid(1, 1, *first).has_value());
  ASSERT_TRUE(driver->attach_pasid(1, 0x7fff, *first).has_value());
  EXPECT_EQ(through(kOne), kTo + 0x1000);
  EXPECT_EQ(through(hw::Pasid{0x7fff}), kTo + 0x1000);
  EXPECT_EQ(reach(Iova{0x1000}), kTo);
  ASSERT_TRUE(driver->attach_pasid(1, 1, *second).has_value());
  EXPECT_EQ(through(kOne), kTo + 0x2000);
  EXPECT_EQ(first->unmap(Iova{0x1000}, 0x1000), 0x1000U);
  EXPECT_FALSE(through(hw::Pasid{0x7fff}));
  driver->detach_pasid(1, 1);
  driver->detach_pasid(1, 0x7fff);
  EXPECT_FALSE(through(kOne));
  EXPECT_EQ(reach(Iova{0x1000}), kTo);
  driver->detach(1);
}

TEST_F(VtdPasidDriverTest, AFunctionHasThePasidsThatItAndTheIommuHave) {
  EXPECT_EQ(driver->max_pasids(1), std::uint32_t{1} << 15U) << "of 20 bits, ECAP.PSS has 15";
  EXPECT_EQ(driver->max_pasids(2), 0U);
  Bdf few{0, 3, 0, 0};
  ASSERT_TRUE(driver->probe(few, 3, 4).has_value());
  EXPECT_EQ(driver->max_pasids(3), 16U);
  auto made = with_page(kTo);
  ASSERT_TRUE(driver->claim_dma_owner(3, &owner).has_value());
  EXPECT_EQ(driver->attach_pasid(3, 16, *made).error().code, Errno::kInval);
  EXPECT_EQ(driver->attach_pasid(1, 0x8000, *made).error().code, Errno::kInval);
  EXPECT_TRUE(driver->attach_pasid(2, 0x8000, *made).has_value())
      << "a function without PASIDs is not told";
  EXPECT_FALSE(reach(Iova{0x1000}, hw::DmaAccess::kRead, kOne, kPlain));
  driver->detach_pasid(2, 0x8000);
}

TEST_F(VtdPasidDriverTest, DmaWithAPasidIsTrackedToo) {
  auto tracked = with_page(kTo, true);
  ASSERT_TRUE(driver->attach_pasid(1, 1, *tracked).has_value());
  ASSERT_TRUE(write(Iova{0x1000}, kOne));
  ASSERT_TRUE(tracked->dirty_tracking()->set_dirty_tracking(true).has_value());
  ASSERT_TRUE(write(Iova{0x1000}, kOne));
  EXPECT_EQ(dirty(*tracked, kClear), (Ranges{{0x1000, 0x1000}}));
  driver->detach_pasid(1, 1);
}

TEST_F(VtdPasidDriverTest, AStandInAttachesNoPasid) {
  hw::VtdIommu other(memory, trace, 1);
  auto stand_in = *Driver::create(memory, other, DefaultDomain::kTranslated, Model::kStandIn);
  ASSERT_TRUE(stand_in->probe(kNic, 1, 20).has_value());
  EXPECT_EQ(stand_in->max_pasids(1), 0U);
  auto made = *stand_in->alloc_paging_domain(Domain::Kind::kPlain);
  EXPECT_EQ(stand_in->attach_pasid(1, 1, *made).error().code, Errno::kOpNotSupp);
}

// Linux frees a PASID's table with the function alone (intel_pasid_free_table()): who detaches
// all that it attached has lost nothing.
TEST_F(VtdPasidDriverTest, ATableThatStaysIsTheFunctions) {
  auto made = with_page(kTo);
  const std::uint64_t before = memory.pages_in_use(), kept = driver->kept_frames();
  for (const std::uint32_t pasid : {1U, 64U, 640U, 641U}) {
    ASSERT_TRUE(driver->attach_pasid(1, pasid, *made).has_value());
    driver->detach_pasid(1, pasid);
  }
  EXPECT_EQ(memory.pages_in_use(), before + 2);
  EXPECT_EQ(driver->kept_frames(), kept + 2);
}

TEST_F(VtdPasidDriverTest, AReleasedFunctionsTablesGoBack) {
  const std::uint64_t before = memory.pages_in_use();
  const Bdf guest{0, 1, 0, 5};  // on a bus that has its context table
  ASSERT_TRUE(driver->probe(guest, 9, 20).has_value());
  auto made = with_page(kTo);
  ASSERT_TRUE(driver->claim_dma_owner(9, &owner).has_value());
  ASSERT_TRUE(driver->attach_pasid(9, 640, *made).has_value());
  driver->detach_pasid(9, 640);
  made.reset();
  driver->release_dma_owner(9);
  driver->release(guest);
  EXPECT_EQ(memory.pages_in_use(), before);
  EXPECT_FALSE(reach(Iova{0x1000}, hw::DmaAccess::kRead, {}, guest));
}

}  // namespace
}  // namespace teeio::vtd
