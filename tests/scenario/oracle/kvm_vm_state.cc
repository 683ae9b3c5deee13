// State of a VM and a vCPU: which checks come first, and what comes back. Of random questions,
// those that were answered otherwise here.
#include <sys/eventfd.h>

#include "kvm.h"

namespace {

int split_vm() {
  const int vm = probe::create_vm(KVM_X86_DEFAULT_VM);
  kvm_enable_cap cap = {};
  cap.cap = KVM_CAP_SPLIT_IRQCHIP;
  cap.args[0] = 24;
  if (probe::call(vm, KVM_ENABLE_CAP, cap) != 0) probe::give_up("KVM_CAP_SPLIT_IRQCHIP");
  return vm;
}

int full_vm() {
  const int vm = probe::create_vm(KVM_X86_DEFAULT_VM);
  if (ioctl(vm, KVM_CREATE_IRQCHIP, 0) != 0) probe::give_up("KVM_CREATE_IRQCHIP");
  return vm;
}

void capabilities(int vm) {
  for (const int cap : {KVM_CAP_PCI_SEGMENT, KVM_CAP_SYSTEM_EVENT_DATA, KVM_CAP_ADJUST_CLOCK,
                        KVM_CAP_IRQFD_RESAMPLE})
    probe::say_value(ioctl(vm, KVM_CHECK_EXTENSION, cap), "capability %d", cap);
}

void clock(int vm) {
  for (const unsigned flags : {0U, 2U, 4U, 8U, 14U, 1U, 16U}) {
    kvm_clock_data arg = {};
    arg.flags = flags;
    probe::say(probe::call(vm, KVM_SET_CLOCK, arg), "SET_CLOCK, flags %u", flags);
  }
}

void vapic() {
  const int vm = split_vm();
  const int vcpu = probe::create_vcpu(vm);
  const auto set = [vcpu](std::uint64_t address, const char* what) {
    kvm_vapic_addr arg = {address};
    probe::say(probe::call(vcpu, KVM_SET_VAPIC_ADDR, arg), "SET_VAPIC_ADDR, %s", what);
  };
  set(0, "0");
  set(0x1000, "no memory");
  std::byte* memory = probe::pages(1);
  if (probe::set_slot(vm, probe::slot(0, 0x1000, probe::kPage, memory)) != 0)
    probe::give_up("memory slot");
  set(0x1000, "memory");
  set(0x1ffe, "an end without memory");
  set(~std::uint64_t{0}, "around the end");
}

void message(int vm, std::uint32_t address, std::uint32_t data, std::uint32_t flags,
             const char* what) {
  kvm_msi arg = {};
  arg.address_lo = address;
  arg.data = data;
  arg.flags = flags;
  probe::say_value(probe::call(vm, KVM_SIGNAL_MSI, arg), "SIGNAL_MSI, %s", what);
}

void messages() {
  const int empty = split_vm();
  message(empty, 0xfee00000, 0x30, 0, "no vCPU");
  message(empty, 0xfee00000, 0x30, KVM_MSI_VALID_DEVID, "no vCPU, with a device's id");
  message(empty, 0xfee00000, 0x30, 2, "an unknown flag");
  const int vm = split_vm();
  const int vcpu = probe::create_vcpu(vm);
  ioctl(vm, KVM_CREATE_VCPU, 1);  // the first is in the map of destinations from here on
  message(vm, 0xfee00000, 0x30, 0, "a local APIC that is off");
  message(vm, 0xfee05000, 0x30, 0, "nobody at the destination");
  message(vm, 0xfeeff000, 0x30, 0, "a broadcast to those that are off");
  message(vm, 0xfee0100c, 0x31, 0, "logical, to nobody");
  kvm_lapic_state state = {};
  if (probe::call(vcpu, KVM_GET_LAPIC, state) != 0) probe::give_up("KVM_GET_LAPIC");
  state.regs[0xf1] = 1;
  state.regs[0xd3] = 1;
  probe::say(probe::call(vcpu, KVM_SET_LAPIC, state), "SET_LAPIC");
  message(vm, 0xfee00000, 0x30, 0, "a local APIC that is on");
  message(vm, 0xfee0100c, 0x31, 0, "logical, to one");
  message(vm, 0xfee00000, 0x331, 0, "a remote read");
  message(vm, 0xfee00000, 0x731, 0, "an external interrupt");
}

void eventfds() {
  const int split = split_vm(), full = full_vm();
  const int event = eventfd(0, 0), resample = eventfd(0, 0);
  const auto irqfd = [&](int vm, int second, unsigned flags, const char* what) {
    kvm_irqfd arg = {};
    arg.fd = static_cast<std::uint32_t>(event);
    arg.gsi = 5;
    arg.flags = flags;
    arg.resamplefd = static_cast<std::uint32_t>(second);
    probe::say(probe::call(vm, KVM_IRQFD, arg), "IRQFD, %s", what);
  };
  irqfd(split, resample, KVM_IRQFD_FLAG_RESAMPLE, "resampled, split irqchip");
  irqfd(full, -1, KVM_IRQFD_FLAG_RESAMPLE, "resampled, no second eventfd");
  irqfd(full, full, KVM_IRQFD_FLAG_RESAMPLE, "resampled, the VM as eventfd");
  irqfd(full, resample, KVM_IRQFD_FLAG_RESAMPLE, "resampled");
  irqfd(full, resample, KVM_IRQFD_FLAG_RESAMPLE, "resampled again");
  irqfd(full, resample, KVM_IRQFD_FLAG_RESAMPLE | KVM_IRQFD_FLAG_DEASSIGN, "deassigned");
  for (const unsigned flags : {16U, 32U}) {
    kvm_ioeventfd arg = {};
    arg.addr = 0x1000;
    arg.len = 2;
    arg.fd = event;
    arg.flags = flags;
    probe::say(probe::call(full, KVM_IOEVENTFD, arg), "IOEVENTFD, flags %u", flags);
  }
}

void order() {
  const int vm = probe::create_vm(KVM_X86_DEFAULT_VM);
  probe::say(ioctl(vm, KVM_SET_PIT, probe::nowhere()), "SET_PIT without a PIT, bad pointer");
  kvm_clear_dirty_log clear = {};
  clear.num_pages = 1;
  clear.dirty_bitmap = probe::address_of(probe::nowhere());
  probe::say(probe::call(vm, KVM_CLEAR_DIRTY_LOG, clear), "CLEAR_DIRTY_LOG, no slot");
  clear.first_page = 1;
  probe::say(probe::call(vm, KVM_CLEAR_DIRTY_LOG, clear), "CLEAR_DIRTY_LOG, odd page");
  auto logged = probe::slot(0, 0x1000, probe::kPage, probe::pages(1));
  logged.flags = KVM_MEM_LOG_DIRTY_PAGES;
  probe::say(probe::set_slot(vm, logged), "a slot with a log");
  clear.first_page = 0;
  probe::say(probe::call(vm, KVM_CLEAR_DIRTY_LOG, clear), "CLEAR_DIRTY_LOG, bad pointer");
  kvm_create_device device = {};
  device.type = KVM_DEV_TYPE_VFIO;
  if (probe::call(vm, KVM_CREATE_DEVICE, device) != 0) probe::give_up("KVM_CREATE_DEVICE");
  std::int32_t none = -1;
  kvm_device_attr attr = {1, KVM_DEV_VFIO_FILE, KVM_DEV_VFIO_FILE_ADD, probe::address_of(&none)};
  probe::say(probe::call(static_cast<int>(device.fd), KVM_SET_DEVICE_ATTR, attr),
             "FILE_ADD with flags");
  probe::say(probe::call(static_cast<int>(device.fd), KVM_HAS_DEVICE_ATTR, attr),
             "HAS FILE_ADD with flags");
}

void vcpu_state() {
  const int vcpu = probe::create_vcpu(probe::create_vm(KVM_X86_DEFAULT_VM));
  kvm_fpu fpu = {};
  fpu.fcw = 0x27f;
  probe::say(probe::call(vcpu, KVM_SET_FPU, fpu), "SET_FPU");
  fpu = {};
  probe::say(probe::call(vcpu, KVM_GET_FPU, fpu), "GET_FPU");
  printf("its control word is %x\n", fpu.fcw);
  kvm_xsave area = {};
  probe::say(probe::call(vcpu, KVM_GET_XSAVE, area), "GET_XSAVE");
  printf("there it is %x, components %x\n", area.region[0] & 0xffff, area.region[128]);
  area = {};
  area.region[6] = 0x10000;
  probe::say(probe::call(vcpu, KVM_SET_XSAVE, area), "SET_XSAVE, MXCSR without SSE");
  area.region[128] = 2;
  probe::say(probe::call(vcpu, KVM_SET_XSAVE, area), "SET_XSAVE, MXCSR with SSE");
  kvm_vcpu_events events = {};
  events.flags = KVM_VCPUEVENT_VALID_NMI_PENDING;
  events.nmi.pending = 3;
  probe::say(probe::call(vcpu, KVM_SET_VCPU_EVENTS, events), "three NMIs");
  probe::call(vcpu, KVM_GET_VCPU_EVENTS, events);
  printf("%d wait\n", events.nmi.pending);
  events.flags = KVM_VCPUEVENT_VALID_NMI_PENDING;
  events.nmi.pending = 2;
  events.nmi.injected = 1;
  probe::say(probe::call(vcpu, KVM_SET_VCPU_EVENTS, events), "two NMIs behind one");
  probe::call(vcpu, KVM_GET_VCPU_EVENTS, events);
  printf("%d waits\n", events.nmi.pending);
  struct {
    std::uint32_t nent, padding;  // struct kvm_cpuid2
    kvm_cpuid_entry2 entry[1];
  } cpuid = {};
  cpuid.nent = 1;
  cpuid.entry[0].function = 0xd;
  cpuid.entry[0].flags = KVM_CPUID_FLAG_SIGNIFCANT_INDEX;
  cpuid.entry[0].eax = 3;
  cpuid.entry[0].ebx = 77;
  probe::say(probe::call(vcpu, KVM_SET_CPUID2, cpuid), "SET_CPUID2, leaf 0xd");
  probe::say(probe::call(vcpu, KVM_GET_CPUID2, cpuid), "GET_CPUID2");
  printf("its size is %x\n", cpuid.entry[0].ebx);
}

}  // namespace

int main() {
  const int vm = probe::create_vm(KVM_X86_DEFAULT_VM);
  capabilities(vm);
  clock(vm);
  vapic();
  messages();
  eventfds();
  order();
  vcpu_state();
}
