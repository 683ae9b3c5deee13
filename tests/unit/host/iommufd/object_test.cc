#include "host/iommufd/object.h"

#include <gmock/gmock.h>

#include "object/fail_nth.h"
#include "schedule/fault_point.h"
#include "schedule/task.h"
#include "unit/host/iommufd/machine.h"

namespace teeio::iommufd {
namespace {

using ::testing::ElementsAre;

class Plain final : public Object {
 public:
  static constexpr ObjectType kType = ObjectType::kIoas;
  explicit Plain(std::vector<ObjectId>& gone, Plain* uses = nullptr)
      : Object(kType), gone_(gone), uses_(uses) {
    if (uses_ != nullptr) uses_->add_user();
  }

 private:
  void destroy() override {
    gone_.push_back(id());
    if (uses_ != nullptr) uses_->drop_user();
  }
  std::vector<ObjectId>& gone_;
  Plain* const uses_;
};

class ObjectTableTest : public testing::Test {
 protected:
  Plain& make(Plain* uses = nullptr) {
    return NewObject<Plain>::reserve(table, new Plain(gone, uses))->commit();
  }
  ~ObjectTableTest() override { table.release_all(); }

  object::Trace trace;
  ObjectTable table{trace, 1};
  std::vector<ObjectId> gone;
};

TEST_F(ObjectTableTest, WhatFindsNoMemoryOrIdLetsGoOfWhatItUses) {
  object::FailNth faults;
  faults.slab().ignores_wait.store(false);
  schedule::set_host_fault_plan(&faults);
  const object::OriginScope caller({.pid = 1, .tid = 1, .call = {}});
  Plain& used = make();
  for (const std::uint32_t step : {1U, 2U}) {
    faults.set(1, step);
    const auto made = NewObject<Plain>::reserve(table, new Plain(gone, &used));
    EXPECT_EQ(made.error().code, Errno::kNoMem);
  }
  schedule::set_host_fault_plan(nullptr);
  EXPECT_TRUE(table.destroy(used.id()).has_value());
}

TEST_F(ObjectTableTest, IdsAreTheLowestFreeFromOne) {
  EXPECT_EQ(make().id(), 1U);
  EXPECT_EQ(make().id(), 2U);
  EXPECT_EQ(make().id(), 3U);
  ASSERT_TRUE(table.destroy(1).has_value());
  ASSERT_TRUE(table.destroy(2).has_value());
  EXPECT_EQ(make().id(), 1U);
  EXPECT_EQ(make().id(), 2U);
  EXPECT_EQ(make().id(), 4U);
}

TEST_F(ObjectTableTest, AReservedIdIsTakenButInvisible) {
  auto fresh = NewObject<Plain>::reserve(table, new Plain(gone));
  ASSERT_TRUE(fresh.has_value());
  EXPECT_EQ(error_of(table.get(1, ObjectType::kAny)), Errno::kNoEnt);
  EXPECT_EQ(error_of(table.destroy(1)), Errno::kNoEnt);
  EXPECT_EQ(make().id(), 2U);
  fresh->commit();
  EXPECT_TRUE(find<Plain>(table, 1).has_value());
}

TEST_F(ObjectTableTest, AnAbortedObjectIsDestroyedAndItsIdFree) {
  {
    auto fresh = NewObject<Plain>::reserve(table, new Plain(gone));
  }
  EXPECT_THAT(gone, ElementsAre(1));
  EXPECT_EQ(make().id(), 1U);
}

TEST_F(ObjectTableTest, AnotherTypeIsNoSuchObject) {
  make();
  EXPECT_EQ(error_of(table.get(1, ObjectType::kViommu)), Errno::kNoEnt);
  EXPECT_EQ(error_of(table.get(0, ObjectType::kAny)), Errno::kNoEnt);
  EXPECT_EQ(error_of(table.get(77, ObjectType::kAny)), Errno::kNoEnt);
}

TEST_F(ObjectTableTest, DestroyIsRefusedWhileAnObjectOrACallUsesIt) {
  Plain& ioas = make();
  make(&ioas);
  EXPECT_EQ(error_of(table.destroy(1)), Errno::kBusy);
  ASSERT_TRUE(table.destroy(2).has_value());
  {
    const auto in_a_call = find<Plain>(table, 1);
    EXPECT_EQ(error_of(table.destroy(1)), Errno::kBusy);
  }
  EXPECT_TRUE(table.destroy(1).has_value());
  EXPECT_EQ(error_of(table.destroy(1)), Errno::kNoEnt);
}

TEST_F(ObjectTableTest, ATombstoneIsGoneAndItsIdNeverUsedAgain) {
  Plain& object = make();
  object.add_user();
  table.tombstone_user(object);
  EXPECT_THAT(gone, ElementsAre(1));
  EXPECT_EQ(error_of(table.destroy(1)), Errno::kNoEnt);
  EXPECT_EQ(error_of(table.get(1, ObjectType::kAny)), Errno::kNoEnt);
  EXPECT_EQ(make().id(), 2U);
}

TEST_F(ObjectTableTest, DestroyUserWaitsForCallsInProgress) {
  Plain& object = make();
  object.add_user();
  auto call = std::make_unique<Using<Plain>>(*find<Plain>(table, 1));
  auto destroyer = schedule::Task::spawn("destroyer", [&] { table.destroy_user(object); });
  call.reset();
  destroyer.join();
  EXPECT_THAT(gone, ElementsAre(1));
}

TEST_F(ObjectTableTest, ReleaseDestroysLeavesFirst) {
  Plain& ioas = make();
  Plain& hwpt = make(&ioas);
  make(&hwpt);
  make();
  table.release_all();
  EXPECT_THAT(gone, ElementsAre(3, 4, 2, 1));
}

TEST_F(ObjectTableTest, EmptyCountsTombstonesToo) {
  EXPECT_TRUE(table.empty());
  Plain& object = make();
  object.add_user();
  table.tombstone_user(object);
  EXPECT_FALSE(table.empty());
}

}  // namespace
}  // namespace teeio::iommufd
