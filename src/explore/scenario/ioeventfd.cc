// Eventfds that write to a BAR, connected, signalled and taken away while the device comes and
// goes.

#include <string>

#include "base/check.h"
#include "explore/scenario/opponents.h"
#include "explore/scenario/stage.h"
#include "explore/scenario/themes.h"
#include "explore/scenario/unexplored.h"
#include "host/mm/plain_files.h"
#include "host/vfio/device.h"

namespace teeio::explore {
namespace {

using machine::Config;

constexpr std::uint64_t kPlace = (std::uint64_t{2} << vfio::kRegionShift) + 0x40;
constexpr std::uint32_t kValue = 0x5a5a'1234;

class WriterBench {
 public:
  explicit WriterBench(Vmm& vmm) : vmm_(vmm) {
    must(write_config(vmm, kCommandRegister, kCommandMaster | kCommandMemory));
    const auto fd = vmm_.install(object::Ref<object::File>(event_));
    TEEIO_CHECK(fd.has_value(), "an eventfd has no descriptor");
    fd_ = *fd;
  }
  Result<void> connect() { return set(fd_); }
  Result<void> end() { return set(-1); }
  void signal() { (*event_->eventfd())->signal(); }
  /// It comes and goes: in play(), for who waits for it is a task of its own.
  void come_and_go() {
    if (connect()) (void)end();
  }
  void come_write_and_go() {
    if (!connect()) return;
    signal();
    (void)end();
  }
  /// After play(): the register is as it was, or written.
  void expect_whole() {
    const Unexplored after;
    std::uint32_t seen = 0;
    if (vmm_.pread(vmm_.vfio, kPlace, writable_bytes_of(seen)))
      TEEIO_CHECK(seen == 0 || seen == kValue, "a register was written by half");
  }

 private:
  Result<void> set(int fd) {
    abi::vfio_device_ioeventfd arg{.argsz = sizeof(arg),
                                   .flags = VFIO_DEVICE_IOEVENTFD_32,
                                   .offset = kPlace,
                                   .data = kValue,
                                   .fd = fd,
                                   .reserved = 0};
    TEEIO_TRY(vmm_.ioctl(vmm_.vfio, VFIO_DEVICE_IOEVENTFD, arg));
    return {};
  }
  Vmm& vmm_;
  object::Ref<mm::PlainEventFd> event_ = object::Ref<mm::PlainEventFd>::adopt(new mm::PlainEventFd);
  int fd_ = -1;
};

Vmm& with_device(Stage& stage) {
  Vmm& vmm = stage.vmm();
  must(vmm.open_device(kPf));
  must(vmm.bind_iommufd());
  return vmm;
}

void assign_against_signal(const Config& design) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  WriterBench bench(with_device(stage));
  stage.play({{"vmm", [&] { bench.come_and_go(); }}, {"signaller", [&] { bench.signal(); }}});
  bench.expect_whole();
}

/// What the program of an eventfd that comes, writes and goes does meanwhile.
struct Meanwhile {
  std::string_view name, words;
  void (*act)(Vmm& vmm);
};

constexpr Meanwhile kMeanwhile[] = {
    {"close", "the last close", [](Vmm& vmm) { (void)vmm.close(vmm.vfio); }},
    {"reset", "VFIO_DEVICE_RESET",
     [](Vmm& vmm) { (void)vmm.ioctl(vmm.vfio, VFIO_DEVICE_RESET, std::uint64_t{0}); }},
    {"memory-disable", "memory space off and on",
     [](Vmm& vmm) {
       (void)write_config(vmm, kCommandRegister, kCommandMaster);
       (void)write_config(vmm, kCommandRegister, kCommandMaster | kCommandMemory);
     }},
};

void write_against(const Config& design, const Meanwhile& meanwhile) {
  Stage stage(design, Stage::Card::kAsAtBoot);
  Vmm& vmm = with_device(stage);
  WriterBench bench(vmm);
  stage.play({{"writer", [&] { bench.come_write_and_go(); }},
              {meanwhile.name, [&] { meanwhile.act(vmm); }}});
  bench.expect_whole();
}

/// R4: the host's write comes before the bind, or not at all.
void write_against_bind(const Config& design) {
  Stage stage(design);
  Vmm& vmm = stage.ready();
  WriterBench bench(vmm);
  stage.play(
      {{"writer", [&] { bench.come_write_and_go(); }}, {"binder", [&] { (void)stage.bind(vmm); }}});
  bench.expect_whole();
}

}  // namespace

void add_ioeventfd_scenarios(std::vector<MachineScenario>& all) {
  all.push_back({.name = "ioeventfd/assign-against-signal",
                 .description = "an eventfd that writes a register comes and goes while it is "
                                "signalled",
                 .body = assign_against_signal,
                 .fits = has_every_door});
  for (const Meanwhile& meanwhile : kMeanwhile)
    all.push_back(
        {.name = "ioeventfd/write-against-" + std::string(meanwhile.name),
         .description = "an eventfd that writes a register against " + std::string(meanwhile.words),
         .body = [&meanwhile](const Config& design) { write_against(design, meanwhile); },
         .fits = has_every_door});
  all.push_back({.name = "ioeventfd/write-against-bind",
                 .description = "an eventfd that writes a register against a TSM bind",
                 .body = write_against_bind,
                 .fits = has_every_door});
}

}  // namespace teeio::explore
