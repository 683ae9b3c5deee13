// Every interleaving of two calls on one vDEVICE or its device.

#include <functional>

#include "base/check.h"
#include "explore/depth_first.h"
#include "explore/exploration.h"
#include "host/dmabuf/dmabuf.h"
#include "host/iommufd/vfio_compat.h"
#include "schedule/task.h"
#include "unit/host/iommufd/machine.h"

namespace teeio::iommufd {
namespace {

using dmabuf::DmaBuf;
using object::DelayedPuts;
using object::Ref;
using schedule::Task;

constexpr std::uint64_t kEnough = 300'000;

void explore(const std::function<void()>& scenario) {
  explore::DepthFirst strategy(explore::DepthFirst::Reduction::kSleepSets);
  const explore::Exploration result = explore::run_schedules(strategy, scenario, kEnough);
  if (result.bad) ADD_FAILURE() << explore::to_text(*result.bad);
  EXPECT_TRUE(result.exhausted) << result.schedules;
  testing::Test::RecordProperty("schedules", static_cast<int>(result.schedules));
}

/// Two tasks at once; each is a system call with its own deferred puts.
void together(std::move_only_function<void()> one, std::move_only_function<void()> two) {
  auto as_call = [](std::move_only_function<void()> body) {
    return [body = std::move(body)]() mutable {
      const DelayedPuts scope;
      body();
    };
  };
  constexpr std::uint64_t kSecondNs = 1'000'000'000;
  const std::uint64_t begin_ns = schedule::now_ns();
  Task a = Task::spawn("one", as_call(std::move(one)));
  Task b = Task::spawn("two", as_call(std::move(two)));
  a.join();
  b.join();
  // Time passes only where nobody can go on.
  TEEIO_CHECK(schedule::now_ns() - begin_ns < kSecondNs,
              "a call waited for its time-out: what it waited for happened, and it was not told");
}

/// A machine with a device that has a vIOMMU with a VM.
struct Bound {
  Machine m;
  Ref<object::File> vm = m.make_vm();
  Ref<Context> ctx = Context::open(m.environment);
  ObjectId ioas = *ctx->ioas_alloc(0);
  Idevice* nic = *Idevice::bind(*ctx, m.first, {vm.get(), 1});
  ObjectId dev = nic->id();
  ObjectId hwpt =
      *ctx->hwpt_alloc({.flags = HwptPaging::kNestParent, .dev_id = dev, .pt_id = ioas}, no_data);
  ObjectId viommu =
      *ctx->viommu_alloc({.type = Viommu::kTypeTsm, .dev_id = dev, .hwpt_id = hwpt}, no_data);

  ~Bound() {
    TEEIO_CHECK(m.tsm.bound.size() == m.tsm.unbound.size(), "a TDI stays bound");
    TEEIO_CHECK(m.count(object::Fact::kVdeviceCreated) == m.count(object::Fact::kVdeviceDestroyed),
                "a vDEVICE outlives its idevice");
  }
};

TEST(IommufdRace, DestroyOfAVdeviceAgainstItsDevicesUnbind) {
  explore([] {
    Bound b;
    const ObjectId vdevice = *b.ctx->vdevice_alloc(b.viommu, b.dev, 8);
    TEEIO_CHECK(b.ctx->vdevice_tsm_op(vdevice, 1, 0).has_value(), "bind works");
    bool destroyed = false;
    together([&] { destroyed = b.ctx->destroy(vdevice).has_value(); }, [&] { b.nic->unbind(); });
    // The id is free again exactly when the program itself destroyed it.
    bool reused = false;
    for (int i = 0; i < 3; ++i) reused |= *b.ctx->ioas_alloc(0) == vdevice;
    TEEIO_CHECK(reused == destroyed, "a tombstone is left if and only if the unbind destroyed it");
  });
}

TEST(IommufdRace, VdeviceAllocAgainstItsDevicesUnbind) {
  explore([] {
    Bound b;
    together([&] { (void)b.ctx->vdevice_alloc(b.viommu, b.dev, 8); }, [&] { b.nic->unbind(); });
    TEEIO_CHECK(b.ctx->destroy(b.viommu).has_value(), "no vDEVICE is left at the vIOMMU");
  });
}

TEST(IommufdRace, BindAgainstItsDevicesUnbind) {
  explore([] {
    Bound b;
    const ObjectId vdevice = *b.ctx->vdevice_alloc(b.viommu, b.dev, 8);
    together([&] { (void)b.ctx->vdevice_tsm_op(vdevice, 1, 0); }, [&] { b.nic->unbind(); });
  });
}

TEST(IommufdRace, BindAgainstDestroy) {
  explore([] {
    Bound b;
    const ObjectId vdevice = *b.ctx->vdevice_alloc(b.viommu, b.dev, 8);
    together([&] { (void)b.ctx->vdevice_tsm_op(vdevice, 1, 0); },
             [&] { (void)b.ctx->destroy(vdevice); });
    b.nic->unbind();
  });
}

TEST(IommufdRace, GuestRequestAgainstTheUnbindOfVfiosDoor) {
  explore([] {
    Bound b;
    const ObjectId vdevice = *b.ctx->vdevice_alloc(b.viommu, b.dev, 8);
    TEEIO_CHECK(b.nic->tsm_bind(vdevice).has_value(), "bind works");
    together(
        [&] {
          (void)b.ctx->vdevice_tsm_request(vdevice, {.op = tsm::RequestOp::kReadObject,
                                                     .arch = tsm::TvmArch::kTdx,
                                                     .payload = {},
                                                     .response_limit = 8});
        },
        [&] { b.nic->unbind(); });
  });
}

class BarExporter final : public dmabuf::Exporter {
 public:
  Bdf function() const override { return Machine::kSecond; }
  object::File* vm_file() override { return nullptr; }
  void released(DmaBuf&) override {}
};

/// A machine with a device attached to an IOAS, and an exported BAR.
struct Attached {
  Machine m;
  BarExporter exporter;
  Ref<DmaBuf> bar =
      DmaBuf::create(exporter, {{Hpa{0x8000'0000}, 4 * kPageSize}}, DmaBuf::State::kAvailable);
  Ref<Context> ctx = Context::open(m.environment);
  ObjectId ioas = *ctx->ioas_alloc(0);
  Idevice* nic = *Idevice::bind(*ctx, m.first, {});

  Result<std::uint64_t> map_bar() {
    return ctx->ioas_map_file(bar, {ioas, kFixed, 4 * kPageSize, 0x10000}, 0);
  }
  void check_unreachable() {
    TEEIO_CHECK(!m.reach(Machine::kFirst, 0x10000), "DMA reaches a BAR after its revoke");
  }
  void finish() {
    nic->detach();
    nic->unbind();
  }
};

TEST(IommufdRace, RevokeAgainstMapFile) {
  explore([] {
    Attached a;
    TEEIO_CHECK(a.nic->attach(a.ioas).has_value(), "attach works");
    together([&] { (void)a.map_bar(); }, [&] { a.bar->revoke(); });
    a.check_unreachable();
    a.finish();
  });
}

TEST(IommufdRace, RevokeAgainstAttach) {
  explore([] {
    Attached a;
    TEEIO_CHECK(a.map_bar().has_value(), "map works");
    together([&] { (void)a.nic->attach(a.ioas); }, [&] { a.bar->revoke(); });
    a.check_unreachable();
    a.finish();
  });
}

TEST(IommufdRace, RevokeAgainstUnmap) {
  explore([] {
    Attached a;
    TEEIO_CHECK(a.nic->attach(a.ioas).has_value(), "attach works");
    TEEIO_CHECK(a.map_bar().has_value(), "map works");
    together([&] { (void)a.ctx->ioas_unmap(a.ioas, 0x10000, 4 * kPageSize); },
             [&] { a.bar->revoke(); });
    a.check_unreachable();
    a.finish();
  });
}

TEST(IommufdRace, MapAgainstAttachFillsTheDomainEitherWay) {
  explore([] {
    Attached a;
    const std::uint64_t buffer = a.m.program.map(kPageSize);
    together(
        [&] {
          TEEIO_CHECK(a.ctx->ioas_map(a.m.program, {a.ioas, kFixed, kPageSize, 0x10000}, buffer)
                          .has_value(),
                      "map works");
        },
        [&] { TEEIO_CHECK(a.nic->attach(a.ioas).has_value(), "attach works"); });
    TEEIO_CHECK(a.m.reach(Machine::kFirst, 0x10000).has_value(), "a mapping is in no domain");
    a.finish();
  });
}

TEST(IommufdRace, UnmapAgainstDetachLeavesNothingMapped) {
  explore([] {
    Attached a;
    const std::uint64_t buffer = a.m.program.map(kPageSize);
    TEEIO_CHECK(a.nic->attach(a.ioas).has_value(), "attach works");
    TEEIO_CHECK(
        a.ctx->ioas_map(a.m.program, {a.ioas, kFixed, kPageSize, 0x10000}, buffer).has_value(),
        "map works");
    together([&] { (void)a.ctx->ioas_unmap(a.ioas, 0x10000, kPageSize); },
             [&] { a.nic->detach(); });
    a.check_unreachable();
    a.nic->unbind();
  });
}

TEST(IommufdRace, UnmapTwiceFindsTheAreaBusyOrGone) {
  explore([] {
    Attached a;
    const std::uint64_t buffer = a.m.program.map(kPageSize);
    TEEIO_CHECK(
        a.ctx->ioas_map(a.m.program, {a.ioas, kFixed, kPageSize, 0x10000}, buffer).has_value(),
        "map works");
    int done = 0;
    auto unmap = [&] {
      const auto unmapped = a.ctx->ioas_unmap(a.ioas, 0x10000, kPageSize);
      if (unmapped.has_value())
        ++done;
      else
        TEEIO_CHECK(unmapped.error().code == Errno::kBusy || unmapped.error().code == Errno::kNoEnt,
                    "an unmap that loses the race says EBUSY or ENOENT");
    };
    together(unmap, unmap);
    TEEIO_CHECK(done == 1, "an area is unmapped once");
    a.nic->unbind();
  });
}

TEST(IommufdRace, TwoDevicesAttachAndDetachOneAutomaticHwpt) {
  explore([] {
    Attached a;
    Idevice* disk = *Idevice::bind(*a.ctx, a.m.second, {});
    TEEIO_CHECK(a.nic->attach(a.ioas).has_value(), "attach works");
    together([&] { a.nic->detach(); },
             [&] { TEEIO_CHECK(disk->attach(a.ioas).has_value(), "attach works"); });
    disk->detach();
    TEEIO_CHECK(a.ctx->destroy(a.ioas).has_value(), "no automatic HWPT is left");
    a.nic->unbind();
    disk->unbind();
  });
}

// The compatibility IOAS is not held by being set: a call finds it whole or not.
TEST(IommufdRace, CompatMapAgainstTheDestroyOfItsIoas) {
  explore([] {
    Machine m;
    const Ref<Context> ctx = Context::open(m.environment);
    const ObjectId ioas = *ctx->ioas_alloc(0);
    const std::uint64_t buffer = m.program.map(kPageSize);
    VfioCompat compat(*ctx);
    TEEIO_CHECK(compat.set(ioas).has_value(), "an IOAS can be set");
    Result<void> mapped, destroyed;
    together(
        [&] {
          mapped = compat.map(m.program, {buffer, kPageSize, kPageSize, iommu::Prot::kReadWrite});
        },
        [&] { destroyed = ctx->destroy(ioas); });
    TEEIO_CHECK(mapped.has_value() || mapped.error().code == Errno::kNoDev, "whole or not at all");
    TEEIO_CHECK(destroyed.has_value() || destroyed.error().code == Errno::kBusy, "as in Linux");
    TEEIO_CHECK(compat.get().has_value() == !destroyed.has_value(), "set as long as it lives");
  });
}

// Set against destroy: nobody is left with an id that means another IOAS.
TEST(IommufdRace, CompatSetAgainstTheDestroyOfThatIoas) {
  explore([] {
    Machine m;
    const Ref<Context> ctx = Context::open(m.environment);
    const ObjectId ioas = *ctx->ioas_alloc(0);
    VfioCompat compat(*ctx);
    Result<void> destroyed;
    together([&] { (void)compat.set(ioas); }, [&] { destroyed = ctx->destroy(ioas); });
    if (!destroyed.has_value()) return;
    TEEIO_CHECK(*ctx->ioas_alloc(0) == ioas, "the id is free");
    TEEIO_CHECK(!compat.get().has_value(), "the new IOAS is not set");
  });
}

}  // namespace
}  // namespace teeio::iommufd
