// Bind and unbind of the whole machine against what takes the device away. A bind
// has thousands of scheduling points, so not every order is run: every schedule
// with one preemption, at places spread over the run, in both orders.

#include <functional>

#include "base/check.h"
#include "schedule/exploration.h"
#include "schedule/task.h"
#include "unit/machine/vmm.h"

namespace teeio::machine::test {
namespace {

using schedule::Task;

/// The schedule without preemption, but for one place where the other task goes
/// on: the `stride`-th point at which two could move, then the 2·`stride`-th …
/// No leaf of the firmware fails.
class OnePreemption final : public schedule::Strategy {
 public:
  OnePreemption(std::uint32_t stride, std::uint32_t first) : stride_(stride), next_(first) {}
  [[nodiscard]] bool begin() override {
    const bool more = next_ <= last_ + stride_;
    place_ = next_;
    next_ += stride_;
    seen_ = 0;
    return more;
  }
  [[nodiscard]] std::uint32_t pick(const schedule::Moment& moment) override {
    if (moment.candidates.size() < 2) return 0;
    last_ = std::max(last_, ++seen_);
    return seen_ == place_ ? static_cast<std::uint32_t>(moment.candidates.size()) - 1 : 0;
  }
  [[nodiscard]] std::uint32_t choose(std::uint32_t) override { return 0; }

 private:
  const std::uint32_t stride_;
  std::uint32_t next_, place_ = 0, seen_ = 0, last_ = 0;
};

/// A machine with a VMM that is ready to bind, and whoever else acts.
struct Scene {
  Scene() {
    TEEIO_CHECK(connect(admin).has_value(), "the card is connected");
    TEEIO_CHECK(vmm.prepare(kVf0).has_value(), "the VMM is ready");
    // A second process has the same files: close() of one number is not the last.
    shared_iommufd = *admin.install(vmm.file(vmm.iommufd));
  }
  void end() {
    vmm.process().files().close_all();
    admin.process().files().close_all();
    machine->shut_down();
    TEEIO_CHECK(machine->census() == at_boot, "the machine is as at boot");
  }
  std::unique_ptr<Machine> machine = make_machine();
  std::map<std::string, std::string> at_boot = machine->census();
  Program admin{*machine, 2};
  Vmm vmm{*machine, 1};
  int shared_iommufd = -1;
};

using Act = void (*)(Scene&);

void explore(Act one, Act two) {
  for (const bool swapped : {false, true}) {
    constexpr std::uint64_t kMostSchedules = 500;
    OnePreemption strategy(/*stride=*/7, /*first=*/0);
    const auto result = schedule::explore(
        strategy,
        [&] {
          Scene scene;
          Task a = Task::spawn("one", [&] { (swapped ? two : one)(scene); });
          Task b = Task::spawn("two", [&] { (swapped ? one : two)(scene); });
          a.join();
          b.join();
          scene.end();
        },
        kMostSchedules);
    if (result.bad) {
      ADD_FAILURE() << result.bad->finding.what << " " << result.bad->finding.where;
      return;
    }
    EXPECT_GT(result.schedules, 20U);
    testing::Test::RecordProperty(swapped ? "swapped" : "schedules",
                                  static_cast<int>(result.schedules));
  }
}

void bind(Scene& s) { (void)s.vmm.iommufd_op(abi::IOMMU_VDEVICE_TSM_BIND); }
void bind_and_unbind(Scene& s) {
  bind(s);
  (void)s.vmm.iommufd_op(abi::IOMMU_VDEVICE_TSM_UNBIND);
}
void close_vfio(Scene& s) {
  // FILE_DEL first: the association holds the file too.
  (void)s.vmm.associate(KVM_DEV_VFIO_FILE_DEL);
  s.vmm.close(s.vmm.vfio);
}
void destroy_vdevice(Scene& s) {
  abi::iommu_destroy arg{.size = sizeof(arg), .id = s.vmm.vdevice_id};
  (void)s.admin.ioctl(s.shared_iommufd, IOMMU_DESTROY, arg);
}
void disconnect_card(Scene& s) { (void)disconnect(s.admin); }

TEST(MachineRace, BindAgainstTheLastCloseOfVfio) { explore(bind, close_vfio); }
TEST(MachineRace, BindAgainstDestroyOfTheVdevice) { explore(bind, destroy_vdevice); }
TEST(MachineRace, BindAgainstDisconnect) { explore(bind, disconnect_card); }
TEST(MachineRace, UnbindAgainstDisconnect) { explore(bind_and_unbind, disconnect_card); }

}  // namespace
}  // namespace teeio::machine::test
