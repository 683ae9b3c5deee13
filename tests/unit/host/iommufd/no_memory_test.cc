// Each allocation of a whole life fails once: what was done is undone, nothing is kept, and the
// same life works next.
#include <cstdlib>
#include <new>

#include "schedule/fault_point.h"
#include "schedule/sanitized.h"
#include "unit/host/iommufd/machine.h"

namespace {
long live_blocks = 0;  // of the heap: the tests of this program have one thread each
}  // namespace

#if !TEEIO_SANITIZED  // these look themselves
void* operator new(std::size_t bytes) {
  void* const block = std::malloc(bytes == 0 ? 1 : bytes);
  if (block == nullptr) throw std::bad_alloc();
  ++live_blocks;
  return block;
}
void operator delete(void* block) noexcept {
  if (block != nullptr) --live_blocks;
  std::free(block);
}
void operator delete(void* block, std::size_t) noexcept { operator delete(block); }
#endif

namespace teeio::iommufd {
namespace {

/// The n-th allocation of the host fails.
struct Nth final : schedule::FaultPlan {
  bool happens(schedule::FaultPlace place, std::string_view name, schedule::Fault) override {
    if (place != schedule::FaultPlace::kHost) return false;
    ++points[std::string(name)];
    if (seen++ != which) return false;
    what = name;
    return true;
  }
  std::map<std::string, int> points;  ///< by what the memory is for
  int which = -1;
  int seen = 0;
  std::string_view what;
};

/// An idevice that is detached and unbound at the end of its scope.
struct Bound {
  explicit Bound(Result<Idevice*> bound) : device(bound.value_or(nullptr)) {}
  ~Bound() {
    if (device == nullptr) return;
    device->detach();
    device->unbind();
  }
  Bound(const Bound&) = delete;
  Bound& operator=(const Bound&) = delete;
  Idevice* device;
};

class NoMemory : public testing::Test {
 protected:
  NoMemory() { m.trace.keep_events(false); }
  ~NoMemory() override { schedule::set_host_fault_plan(nullptr); }

  /// Where the two address spaces can be used: what a refused call must leave as it was.
  [[nodiscard]] std::vector<std::uint64_t> ranges() {
    std::vector<std::uint64_t> all;
    for (const ObjectId id : spaces) {
      const auto found = ctx->ioas_iova_ranges(id);
      if (!found) continue;
      for (const IovaRange& range : found->usable) {
        all.push_back(range.first);
        all.push_back(range.last);
      }
      all.push_back(found->alignment);
    }
    return all;
  }
  /// A step; false when it was refused, which must have changed nothing.
  template <class Step>
  bool step(Step what) {
    const auto before = ranges();
    if (what().has_value()) return true;
    EXPECT_EQ(ranges(), before) << plan.what;
    return false;
  }
  bool attach_all(Idevice& first, Idevice& second, Idevice& third) {
    const auto [a, b] = spaces;
    return step([&] { return first.attach(a); }) && step([&] { return second.attach(a); }) &&
           step([&] { return third.attach(a); }) && step([&] { return first.replace(b); }) &&
           step([&] { return third.replace(b); }) && step([&] { return first.replace(a); });
  }
  bool own_hwpt(Idevice& device) {
    const auto plain = ctx->hwpt_alloc({.dev_id = device.id(), .pt_id = spaces[1]}, no_data);
    return plain && step([&] { return device.replace(*plain); }) &&
           step([&] { return device.replace(spaces[0]); }) && ctx->destroy(*plain).has_value();
  }
  bool bind_tdi(Idevice& device) {
    const auto parent = ctx->hwpt_alloc(
        {.flags = HwptPaging::kNestParent, .dev_id = device.id(), .pt_id = spaces[0]}, no_data);
    if (!parent) return false;
    const auto viommu = ctx->viommu_alloc(
        {.type = Viommu::kTypeTsm, .dev_id = device.id(), .hwpt_id = *parent}, no_data);
    if (!viommu) return false;
    const auto vdevice = ctx->vdevice_alloc(*viommu, device.id(), 8);
    return vdevice && ctx->vdevice_tsm_op(*vdevice, 1, 0).has_value();
  }
  bool memory() {
    const auto [a, b] = spaces;
    const auto map = [&](ObjectId ioas, std::uint64_t iova) {
      return step(
          [&] { return ctx->ioas_map(m.program, {ioas, kFixed, 16 * kPageSize, iova}, buffer); });
    };
    return map(a, 0x10000) && map(b, 0x10000) && map(a, 0x80000) &&
           step([&] { return ctx->ioas_copy({b, kFixed, 4 * kPageSize, 0x40000}, a, 0x10000); }) &&
           step([&] { return ctx->ioas_unmap(a, 0x80000, 16 * kPageSize); });
  }
  /// True: all went well.
  bool life() {
    const object::Ref<object::File> vm = m.make_vm();
    ctx = Context::open(m.environment);
    bool good = false;
    spaces = {};
    for (ObjectId& id : spaces) id = ctx->ioas_alloc(0).value_or(0);
    if (spaces[0] != 0 && spaces[1] != 0 && memory()) {
      const Bound first(Idevice::bind(*ctx, m.first, {vm.get(), 1}));
      const Bound second(Idevice::bind(*ctx, m.second, {}));
      const Bound third(Idevice::bind(*ctx, m.third, {}));
      good = first.device != nullptr && second.device != nullptr && third.device != nullptr &&
             attach_all(*first.device, *second.device, *third.device) && memory_again() &&
             own_hwpt(*first.device) && bind_tdi(*first.device);
    }
    ctx = {};
    return good;
  }
  /// With domains to fill.
  bool memory_again() {
    return step([&] {
             return ctx->ioas_map(m.program, {spaces[0], kFixed, 8 * kPageSize, 0x100000}, buffer);
           }) &&
           step([&] { return ctx->ioas_unmap(spaces[0], 0x100000, 8 * kPageSize); });
  }

  Machine m;
  std::uint64_t buffer = m.program.map(16 * kPageSize);
  object::Ref<Context> ctx;
  std::array<ObjectId, 2> spaces{};
  Nth plan;
};

// Linux: a kzalloc() or kmalloc() each, and failslab's and fail_iommufd's other points.
TEST_F(NoMemory, EachObjectOfALifeTakesMemory) {
  schedule::set_host_fault_plan(&plan);
  ASSERT_TRUE(life());
  schedule::set_host_fault_plan(nullptr);
  const std::map<std::string, int> wanted = {{"a domain", 6},
                                             {"a group", 3},
                                             {"a list of pages", 9},
                                             {"a mapping's pages", 4},
                                             {"a page table", 9},
                                             {"a place for a domain", 6},
                                             {"a place for a vDEVICE", 1},
                                             {"a reserved range of IOVAs", 15},
                                             {"an area", 5},
                                             {"an attachment", 7},
                                             {"an iommufd object", 13},
                                             {"an iommufd object's id", 13},
                                             {"pages to charge", 5},
                                             {"pages to pin", 9}};
  EXPECT_EQ(plan.points, wanted);
}

TEST_F(NoMemory, EachFailureOfALifeLeavesEverythingAsItWas) {
  for (int warm = 0; warm < 2; ++warm) ASSERT_TRUE(life());
  const std::uint64_t pages = m.memory.pages_in_use();
  schedule::set_host_fault_plan(&plan);
  ASSERT_TRUE(life());  // the plan's own memory
  int failures = 0;
  for (plan.which = 0;; ++plan.which) {
    plan.seen = 0;
    const long before = live_blocks;
    const bool good = life();
    const long after = live_blocks;
    if (plan.seen <= plan.which) break;
    ++failures;
    const int which = std::exchange(plan.which, -1);
    const bool again = life();
    const long at_last = live_blocks;
    plan.which = which;
    EXPECT_FALSE(good) << plan.what;
    EXPECT_EQ(after, before) << plan.what << ": blocks of the heap are lost";
    EXPECT_TRUE(again) << plan.what << ": the same life again";
    EXPECT_EQ(at_last, after) << plan.what;
  }
  schedule::set_host_fault_plan(nullptr);
  EXPECT_GT(failures, 30);
  EXPECT_EQ(m.memory.pages_in_use(), pages);
}

}  // namespace
}  // namespace teeio::iommufd
