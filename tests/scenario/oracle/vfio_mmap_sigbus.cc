// A mapping of a BAR while the function's memory is disabled, reset, and enabled.
#include <setjmp.h>
#include <signal.h>

#include "probe.h"

namespace {

sigjmp_buf back;
siginfo_t fault;

void on_fault(int, siginfo_t* info, void*) {
  fault = *info;
  siglongjmp(back, 1);
}

void touch(volatile std::uint32_t* memory, const char* what) {
  if (sigsetjmp(back, 1) == 0) {
    const std::uint32_t value = *memory;
    static_cast<void>(value);
    printf("%s -> ok\n", what);
    return;
  }
  printf("%s -> %s, code %d, address is %s\n", what, sigabbrev_np(fault.si_signo), fault.si_code,
         fault.si_addr == memory ? "the word" : "elsewhere");
}

void command(int device, std::uint16_t value) {
  const off_t at = (off_t{VFIO_PCI_CONFIG_REGION_INDEX} << 40) + 4;
  if (pwrite(device, &value, 2, at) != 2) probe::give_up("COMMAND");
}

}  // namespace

int main() {
  struct sigaction action = {};
  action.sa_sigaction = on_fault;
  action.sa_flags = SA_SIGINFO;
  sigaction(SIGBUS, &action, nullptr);
  sigaction(SIGSEGV, &action, nullptr);

  const int device = probe::open_bound().device;
  const vfio_region_info bar = probe::mappable_bar(device);
  command(device, 2);
  void* map = mmap(nullptr, 2 * probe::kPage, PROT_READ, MAP_SHARED, device,
                   static_cast<off_t>(bar.offset));
  if (map == MAP_FAILED) probe::give_up("mmap");
  auto* memory = static_cast<volatile std::uint32_t*>(map);

  touch(memory, "memory enabled");
  command(device, 0);
  touch(memory, "memory disabled");
  touch(memory + 1025, "memory disabled, second page, never touched before");
  void* late =
      mmap(nullptr, probe::kPage, PROT_READ, MAP_SHARED, device, static_cast<off_t>(bar.offset));
  probe::say(late == MAP_FAILED ? -1 : 0, "mmap while disabled");
  command(device, 2);
  touch(memory, "memory enabled again");
  touch(memory + 1025, "second page");
  touch(static_cast<volatile std::uint32_t*>(late), "the late mapping");
  probe::say(ioctl(device, VFIO_DEVICE_RESET), "RESET");
  touch(memory, "after RESET");
  close(device);
  touch(memory, "after close of the device");
}
