#include "host/iommufd/vdevice.h"

#include <gmock/gmock.h>

#include "unit/host/iommufd/machine.h"

namespace teeio::iommufd {
namespace {

using object::Fact;
using object::Ref;
using ::testing::ElementsAre;
using ::testing::IsEmpty;

constexpr std::uint32_t kBind = 1;
constexpr std::uint32_t kUnbind = 2;

class VdeviceTest : public testing::Test {
 protected:
  explicit VdeviceTest(Policies policies = {}) : m(policies) {}
  ~VdeviceTest() override {
    if (nic != nullptr) nic->unbind();
  }
  ObjectId make_viommu(Idevice& idevice) {
    const ObjectId hwpt = *ctx->hwpt_alloc(
        {.flags = HwptPaging::kNestParent, .dev_id = idevice.id(), .pt_id = ioas}, no_data);
    return *ctx->viommu_alloc({.type = Viommu::kTypeTsm, .dev_id = idevice.id(), .hwpt_id = hwpt},
                              no_data);
  }
  void close_device() { std::exchange(nic, nullptr)->unbind(); }

  Machine m;
  Ref<object::File> vm = m.make_vm();
  Ref<Context> ctx = Context::open(m.environment);
  ObjectId ioas = *ctx->ioas_alloc(0);
  Idevice* nic = *Idevice::bind(*ctx, m.first, {vm.get(), 1});
  ObjectId viommu = make_viommu(*nic);
};

TEST_F(VdeviceTest, ViommuAllocRefusesAsLinuxDoes) {
  const ObjectId plain = *ctx->hwpt_alloc({.dev_id = nic->id(), .pt_id = ioas}, no_data);
  auto alloc = [&](Context::ViommuAlloc args) {
    return error_of(ctx->viommu_alloc(args, no_data));
  };
  EXPECT_EQ(alloc({.flags = 1, .type = 3, .dev_id = nic->id(), .hwpt_id = plain}),
            Errno::kOpNotSupp);
  EXPECT_EQ(alloc({.type = Viommu::kTypeDefault, .dev_id = nic->id(), .hwpt_id = plain}),
            Errno::kOpNotSupp);
  EXPECT_EQ(alloc({.type = 1, .dev_id = nic->id(), .hwpt_id = plain}), Errno::kOpNotSupp);
  EXPECT_EQ(alloc({.type = 3, .dev_id = 99, .hwpt_id = plain}), Errno::kNoEnt);
  EXPECT_EQ(alloc({.type = 3, .dev_id = nic->id(), .hwpt_id = 99}), Errno::kNoEnt);
  EXPECT_EQ(alloc({.type = 3, .dev_id = nic->id(), .hwpt_id = ioas}), Errno::kNoEnt);
  EXPECT_EQ(alloc({.type = 3, .dev_id = nic->id(), .hwpt_id = plain}), Errno::kInval);
}

TEST_F(VdeviceTest, AMachineWithoutATsmOffersNoViommu) {
  Environment bare{m.memory, m.trace, nullptr, {}};
  auto other = Context::open(bare);
  const ObjectId space = *other->ioas_alloc(0);
  Idevice* disk = *Idevice::bind(*other, m.second, {});
  const ObjectId hwpt = *other->hwpt_alloc(
      {.flags = HwptPaging::kNestParent, .dev_id = disk->id(), .pt_id = space}, no_data);
  EXPECT_EQ(error_of(other->viommu_alloc(
                {.type = Viommu::kTypeTsm, .dev_id = disk->id(), .hwpt_id = hwpt}, no_data)),
            Errno::kOpNotSupp);
  disk->unbind();
}

TEST_F(VdeviceTest, AllocRefusesWrongIdsASecondOneAndATakenVirtualId) {
  EXPECT_EQ(error_of(ctx->vdevice_alloc(99, nic->id(), 8)), Errno::kNoEnt);
  EXPECT_EQ(error_of(ctx->vdevice_alloc(viommu, ioas, 8)), Errno::kNoEnt);
  const ObjectId vdevice = *ctx->vdevice_alloc(viommu, nic->id(), 8);
  EXPECT_EQ(error_of(ctx->vdevice_alloc(viommu, nic->id(), 9)), Errno::kExist);
  Idevice* disk = *Idevice::bind(*ctx, m.second, {vm.get(), 1});
  EXPECT_EQ(error_of(ctx->vdevice_alloc(viommu, disk->id(), 8)), Errno::kExist);
  // A refused one leaves nothing: the same device can have one at another id.
  const ObjectId other = *ctx->vdevice_alloc(viommu, disk->id(), 9);
  EXPECT_EQ(error_of(ctx->destroy(viommu)), Errno::kBusy);
  ASSERT_TRUE(ctx->destroy(vdevice).has_value());
  EXPECT_TRUE(ctx->vdevice_alloc(viommu, nic->id(), 8).has_value()) << "both are free again";
  ASSERT_TRUE(ctx->destroy(other).has_value());
  disk->unbind();
}

TEST_F(VdeviceTest, AllocRefusesADeviceBehindAnotherIommu) {
  hw::VtdIommu iommu(m.memory, m.trace, 1);
  auto driver = *vtd::Driver::create(m.memory, iommu, vtd::DefaultDomain::kTranslated);
  const Bdf far{0, 0x80, 0, 0};
  ASSERT_TRUE(driver->probe(far, 1000).has_value());
  TestDevice device(far, 1000, *driver);
  Idevice* other = *Idevice::bind(*ctx, device, {});
  EXPECT_EQ(error_of(ctx->vdevice_alloc(viommu, other->id(), 8)), Errno::kInval);
  const ObjectId hwpt = *ctx->hwpt_alloc({.dev_id = nic->id(), .pt_id = ioas}, no_data);
  EXPECT_EQ(error_of(other->attach(hwpt)), Errno::kInval);
  other->unbind();
}

TEST_F(VdeviceTest, BindGoesToTheViommusVmUnderTheVirtualId) {
  const ObjectId vdevice = *ctx->vdevice_alloc(viommu, nic->id(), 0x18);
  ASSERT_TRUE(ctx->vdevice_tsm_op(vdevice, kBind, 0).has_value());
  EXPECT_TRUE(ctx->vdevice_tsm_op(vdevice, kBind, 0).has_value()) << "bound already: 0";
  EXPECT_THAT(m.tsm.bound, ElementsAre(0x18));
  ASSERT_TRUE(ctx->vdevice_tsm_op(vdevice, kUnbind, 0).has_value());
  EXPECT_TRUE(ctx->vdevice_tsm_op(vdevice, kUnbind, 0).has_value());
  EXPECT_THAT(m.tsm.unbound, ElementsAre(0x18));
  EXPECT_TRUE(ctx->vdevice_tsm_op(vdevice, kBind, 0).has_value());
}

TEST_F(VdeviceTest, TsmOpRefusals) {
  const ObjectId vdevice = *ctx->vdevice_alloc(viommu, nic->id(), 0x18);
  EXPECT_EQ(error_of(ctx->vdevice_tsm_op(vdevice, kBind, 1)), Errno::kOpNotSupp);
  EXPECT_EQ(error_of(ctx->vdevice_tsm_op(99, kBind, 0)), Errno::kNoEnt);
  EXPECT_EQ(error_of(ctx->vdevice_tsm_op(viommu, kBind, 0)), Errno::kNoEnt);
  EXPECT_EQ(error_of(ctx->vdevice_tsm_op(vdevice, 3, 0)), Errno::kInval);
  m.tsm.fail_bind = true;
  EXPECT_EQ(error_of(ctx->vdevice_tsm_op(vdevice, kBind, 0)), Errno::kIo);
  m.tsm.fail_bind = false;
  ASSERT_TRUE(m.pci_tsm.disconnect(Machine::kFirst, "tsm0").has_value());
  EXPECT_EQ(error_of(ctx->vdevice_tsm_op(vdevice, kBind, 0)), Errno::kInval) << "no TSM";
}

// In another order of calls the vIOMMU has no VM: VIOMMU_ALLOC copies
// it from the idevice, which has it from BIND_IOMMUFD.
TEST_F(VdeviceTest, AViommuMadeWithoutAVmCannotBind) {
  Idevice* disk = *Idevice::bind(*ctx, m.second, {});
  const ObjectId lonely = make_viommu(*disk);
  const ObjectId vdevice = *ctx->vdevice_alloc(lonely, disk->id(), 8);
  EXPECT_EQ(error_of(ctx->vdevice_tsm_op(vdevice, kBind, 0)), Errno::kNoDev);
  EXPECT_EQ(error_of(ctx->vdevice_tsm_op(vdevice, 3, 0)), Errno::kNoDev);
  EXPECT_EQ(error_of(disk->tsm_bind(vdevice)), Errno::kNoEnt) << "VFIO's door says ENOENT";
  disk->unbind();
}

TEST_F(VdeviceTest, GuestRequestsNeedABoundVdeviceOfTheRightArchitecture) {
  const ObjectId vdevice = *ctx->vdevice_alloc(viommu, nic->id(), 0x18);
  tsm::GuestRequest request{.op = tsm::RequestOp::kReadObject,
                            .arch = tsm::TvmArch::kTdx,
                            .payload = {},
                            .response_limit = 16};
  EXPECT_EQ(error_of(ctx->vdevice_tsm_request(vdevice, request).payload), Errno::kNxio);
  ASSERT_TRUE(ctx->vdevice_tsm_op(vdevice, kBind, 0).has_value());
  const tsm::GuestOutcome outcome = ctx->vdevice_tsm_request(vdevice, request);
  EXPECT_EQ(outcome.payload->size(), 1U);
  EXPECT_EQ(outcome.tsm_code, 7U);
  EXPECT_EQ(error_of(ctx->vdevice_tsm_request(viommu, request).payload), Errno::kNoEnt);
  request.arch = tsm::TvmArch::kCca;
  EXPECT_EQ(error_of(ctx->vdevice_tsm_request(vdevice, request).payload), Errno::kInval);
  request.arch = static_cast<tsm::TvmArch>(4);
  EXPECT_EQ(error_of(ctx->vdevice_tsm_request(vdevice, request).payload), Errno::kInval);
  request.arch = tsm::TvmArch::kTdx;
  request.op = static_cast<tsm::RequestOp>(8);
  EXPECT_EQ(error_of(ctx->vdevice_tsm_request(vdevice, request).payload), Errno::kInval);
}

TEST_F(VdeviceTest, VfiosDoorBindsOnceAndHoldsTheVdevice) {
  const ObjectId vdevice = *ctx->vdevice_alloc(viommu, nic->id(), 0x18);
  Idevice* disk = *Idevice::bind(*ctx, m.second, {vm.get(), 1});
  EXPECT_EQ(error_of(nic->tsm_bind(99)), Errno::kNoEnt);
  EXPECT_EQ(error_of(disk->tsm_bind(vdevice)), Errno::kInval);
  ASSERT_TRUE(nic->tsm_bind(vdevice).has_value());
  EXPECT_EQ(error_of(nic->tsm_bind(vdevice)), Errno::kExist);
  EXPECT_EQ(error_of(ctx->destroy(vdevice)), Errno::kBusy);
  nic->tsm_unbind();
  nic->tsm_unbind();
  EXPECT_THAT(m.tsm.unbound, ElementsAre(0x18));
  EXPECT_TRUE(ctx->destroy(vdevice).has_value());
  disk->unbind();
}

TEST_F(VdeviceTest, DestroyingABoundVdeviceUnbindsIt) {
  const ObjectId vdevice = *ctx->vdevice_alloc(viommu, nic->id(), 0x18);
  ASSERT_TRUE(ctx->vdevice_tsm_op(vdevice, kBind, 0).has_value());
  ASSERT_TRUE(ctx->destroy(vdevice).has_value());
  EXPECT_THAT(m.tsm.unbound, ElementsAre(0x18));
}

// Case 1 of iommufd_device_remove_vdev(): none.
TEST_F(VdeviceTest, UnbindWithoutAVdeviceLeavesNoTombstone) {
  const ObjectId dev = nic->id();
  close_device();
  EXPECT_EQ(*ctx->ioas_alloc(0), dev) << "the idevice's id is free again";
}

// Case 2: alive. The id stays unusable, and IOMMU_DESTROY says ENOENT.
TEST_F(VdeviceTest, UnbindTombstonesALiveVdeviceAndUnbindsIt) {
  const ObjectId vdevice = *ctx->vdevice_alloc(viommu, nic->id(), 0x18);
  ASSERT_TRUE(ctx->vdevice_tsm_op(vdevice, kBind, 0).has_value());
  close_device();
  EXPECT_THAT(m.tsm.unbound, ElementsAre(0x18));
  EXPECT_EQ(error_of(ctx->destroy(vdevice)), Errno::kNoEnt);
  EXPECT_EQ(error_of(ctx->vdevice_tsm_op(vdevice, kBind, 0)), Errno::kNoEnt);
  for (int i = 0; i < 4; ++i) EXPECT_NE(*ctx->ioas_alloc(0), vdevice);
  EXPECT_TRUE(ctx->destroy(viommu).has_value()) << "nothing of it is left at the vIOMMU";
}

TEST_F(VdeviceTest, UnbindAfterVfiosDoorNeedsNoUnbindFirst) {
  const ObjectId vdevice = *ctx->vdevice_alloc(viommu, nic->id(), 0x18);
  ASSERT_TRUE(nic->tsm_bind(vdevice).has_value());
  close_device();
  EXPECT_THAT(m.tsm.unbound, ElementsAre(0x18));
}

TEST_F(VdeviceTest, TheViommuKeepsTheVmAndDoesTheFinalPut) {
  vm.reset();
  EXPECT_EQ(m.count(Fact::kVmDestroyed), 0U);
  close_device();
  EXPECT_EQ(m.count(Fact::kVmDestroyed), 0U);
  ASSERT_TRUE(ctx->destroy(viommu).has_value());
  EXPECT_EQ(m.count(Fact::kVmDestroyed), 1U);
}

TEST_F(VdeviceTest, ClosingIommufdEndsTheViommuAfterItsVdevices) {
  ASSERT_TRUE(ctx->vdevice_alloc(viommu, nic->id(), 0x18).has_value());
  vm.reset();
  ctx.reset();
  EXPECT_EQ(m.count(Fact::kViommuDestroyed), 0U) << "VFIO still has the file";
  close_device();
  std::vector<Fact> order;
  for (const object::Event& event : m.trace.events())
    if (event.fact == Fact::kVdeviceDestroyed || event.fact == Fact::kIdeviceDestroyed ||
        event.fact == Fact::kViommuDestroyed || event.fact == Fact::kVmDestroyed)
      order.push_back(event.fact);
  EXPECT_THAT(order, ElementsAre(Fact::kVdeviceDestroyed, Fact::kIdeviceDestroyed,
                                 Fact::kViommuDestroyed, Fact::kVmDestroyed));
}

TEST_F(VdeviceTest, FactsCarryTheSerialsOfWhatBelongsTogether) {
  ASSERT_TRUE(ctx->vdevice_alloc(viommu, nic->id(), 0x18).has_value());
  std::map<Fact, object::Event> seen;
  for (const object::Event& event : m.trace.events()) seen[event.fact] = event;
  EXPECT_EQ(seen[Fact::kVdeviceCreated].b, seen[Fact::kIdeviceCreated].a);
  EXPECT_EQ(seen[Fact::kVdeviceCreated].c, seen[Fact::kViommuCreated].a);
  EXPECT_EQ(seen[Fact::kViommuCreated].vm, 1U);
}

class VfioHoldsVm : public VdeviceTest {
 protected:
  VfioHoldsVm() : VdeviceTest({.vm_ref = VmRef::kVfio}) {}
};

TEST_F(VfioHoldsVm, TheViommuDoesNotKeepTheVm) {
  const ObjectId vdevice = *ctx->vdevice_alloc(viommu, nic->id(), 0x18);
  EXPECT_TRUE(ctx->vdevice_tsm_op(vdevice, kBind, 0).has_value());
  close_device();
  vm.reset();
  EXPECT_EQ(m.count(Fact::kVmDestroyed), 1U);
  EXPECT_EQ(m.count(Fact::kViommuDestroyed), 0U);
}

class IndependentVdevice : public VdeviceTest {
 protected:
  IndependentVdevice() : VdeviceTest({.vdevice_lifetime = VdeviceLifetime::kIndependent}) {}
};

// Before Linux 6.17: the state that rule R6 reports.
TEST_F(IndependentVdevice, OutlivesItsIdeviceAndIsDestroyedById) {
  const ObjectId vdevice = *ctx->vdevice_alloc(viommu, nic->id(), 0x18);
  ASSERT_TRUE(ctx->vdevice_tsm_op(vdevice, kBind, 0).has_value());
  close_device();
  EXPECT_EQ(m.count(Fact::kVdeviceDestroyed), 0U);
  EXPECT_THAT(m.tsm.unbound, IsEmpty());
  EXPECT_TRUE(ctx->destroy(vdevice).has_value());
  EXPECT_THAT(m.tsm.unbound, ElementsAre(0x18));
}

}  // namespace
}  // namespace teeio::iommufd
