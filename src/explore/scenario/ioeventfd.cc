// Eventfds that write to a BAR, signalled while the device comes and goes.

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
    const auto fd = vmm_.install(object::Ref<object::File>(event_));
    TEEIO_CHECK(fd.has_value(), "an eventfd has no descriptor");
    fd_ = *fd;
  }
  Result<void> connect() { return set(fd_); }
  Result<void> end() { return set(-1); }
  void signal() { (*event_->eventfd())->signal(); }

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

/// What the program of a connected eventfd does while it is signalled.
struct Meanwhile {
  std::string_view name, words;
  void (*act)(Stage& stage, Vmm& vmm, WriterBench& bench);
};

constexpr Meanwhile kMeanwhile[] = {
    {"end", "the eventfd's end", [](Stage&, Vmm&, WriterBench& bench) { (void)bench.end(); }},
    {"close", "the last close", [](Stage&, Vmm& vmm, WriterBench&) { (void)vmm.close(vmm.vfio); }},
    {"bind", "a TSM bind", [](Stage& stage, Vmm& vmm, WriterBench&) { (void)stage.bind(vmm); }},
    {"memory-disable", "memory space off and on",
     [](Stage&, Vmm& vmm, WriterBench&) {
       (void)write_config(vmm, kCommandRegister, kCommandMaster);
       (void)write_config(vmm, kCommandRegister, kCommandMaster | kCommandMemory);
     }},
};

void signal_against(const Config& design, const Meanwhile& meanwhile) {
  const bool binds = meanwhile.name == "bind";
  Stage stage(design, binds ? Stage::Card::kConnected : Stage::Card::kAsAtBoot);
  Vmm& vmm = binds ? stage.ready() : stage.vmm();
  if (!binds) {
    must(vmm.open_device(kPf));
    must(vmm.bind_iommufd());
  }
  must(write_config(vmm, kCommandRegister, kCommandMaster | kCommandMemory));
  WriterBench bench(vmm);
  must(bench.connect());
  stage.play(
      {{"signaller", [&] { bench.signal(); }}, {"vmm", [&] { meanwhile.act(stage, vmm, bench); }}});
  const Unexplored after;
  std::uint32_t seen = 0;
  if (vmm.pread(vmm.vfio, kPlace, writable_bytes_of(seen)))
    TEEIO_CHECK(seen == 0 || seen == kValue, "a register was written by half");
}

}  // namespace

void add_ioeventfd_scenarios(std::vector<MachineScenario>& all) {
  for (const Meanwhile& meanwhile : kMeanwhile)
    all.push_back(
        {.name = "ioeventfd/signal-against-" + std::string(meanwhile.name),
         .description = "an eventfd that writes a register against " + std::string(meanwhile.words),
         .body = [&meanwhile](const Config& design) { signal_against(design, meanwhile); },
         .fits = has_every_door});
}

}  // namespace teeio::explore
