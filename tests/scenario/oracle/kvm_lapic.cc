// A local APIC by its x2APIC MSRs.
#include "kvm.h"

namespace {

int vcpu;

/// struct kvm_msrs with one entry.
struct OneMsr {
  std::uint32_t nmsrs, pad;
  kvm_msr_entry entry[1];
};

void set(std::uint32_t index, std::uint64_t value) {
  OneMsr arg = {};
  arg.nmsrs = 1;
  arg.entry[0].index = index;
  arg.entry[0].data = value;
  probe::say_value(probe::call(vcpu, KVM_SET_MSRS, arg), "%x <- %llx", index,
                   static_cast<unsigned long long>(value));
}

void get(std::uint32_t index) {
  OneMsr arg = {};
  arg.nmsrs = 1;
  arg.entry[0].index = index;
  const long done = probe::call(vcpu, KVM_GET_MSRS, arg);
  if (done == 1)
    printf("%x is %llx\n", index, static_cast<unsigned long long>(arg.entry[0].data));
  else
    probe::say_value(done, "%x", index);
}

std::uint32_t word(std::size_t offset) {
  kvm_lapic_state state = {};
  if (probe::call(vcpu, KVM_GET_LAPIC, state) != 0) probe::give_up("KVM_GET_LAPIC");
  std::uint32_t value = 0;
  memcpy(&value, state.regs + offset, sizeof(value));
  return value;
}

void in_service(std::uint8_t vector) {
  kvm_lapic_state state = {};
  if (probe::call(vcpu, KVM_GET_LAPIC, state) != 0) probe::give_up("KVM_GET_LAPIC");
  state.regs[0x100 + 0x10 * (vector / 32) + vector % 32 / 8] = static_cast<char>(1U << vector % 8);
  probe::say(probe::call(vcpu, KVM_SET_LAPIC, state), "vector %x in service", vector);
}

}  // namespace

int main() {
  const int kvm = probe::open_kvm();
  const int vm = probe::create_vm(KVM_X86_DEFAULT_VM);
  if (ioctl(vm, KVM_CREATE_IRQCHIP, 0) != 0) probe::give_up("KVM_CREATE_IRQCHIP");
  vcpu = probe::create_vcpu(vm);
  static struct {
    std::uint32_t nent, padding;  // struct kvm_cpuid2
    kvm_cpuid_entry2 entries[256];
  } cpuid;
  cpuid.nent = 256;
  if (probe::call(kvm, KVM_GET_SUPPORTED_CPUID, cpuid) != 0) probe::give_up("CPUID");
  if (probe::call(vcpu, KVM_SET_CPUID2, cpuid) != 0) probe::give_up("KVM_SET_CPUID2");
  printf("version %x\n", word(0x30));
  get(0x802);
  set(0x1b, 0xfee00d00);
  get(0x802);
  get(0x80d);
  for (const std::uint32_t index : {0x800U, 0x801U, 0x804U, 0x809U, 0x80bU, 0x80eU, 0x82fU, 0x831U,
                                    0x83aU, 0x83eU, 0x83fU, 0x8ffU})
    get(index);
  set(0x802, 0);
  set(0x803, 0);
  set(0x80d, 0);
  set(0x80f, 0x11ff);
  get(0x80f);
  set(0x808, 0x135);
  get(0x808);
  get(0x80a);
  set(0x808, 1ULL << 32);
  set(0x808, 0);
  set(0x828, 1);
  set(0x828, 0);
  set(0x835, 0xffffffff);
  get(0x835);
  set(0x833, 0xffffffff);
  get(0x833);
  set(0x837, 0xffffffff);
  get(0x837);
  set(0x83e, 0xffffffff);
  get(0x83e);
  set(0x830, 1U << 20);
  set(0x830, 1U << 13);
  set(0x830, 0xc1042);
  get(0x830);
  set(0x830, 0x42);
  printf("request %x\n", word(0x220));
  set(0x83f, 0x41);
  set(0x83f, 0x100);
  printf("requests %x\n", word(0x220));
  in_service(0x55);
  get(0x80a);
  set(0x80b, 1);
  get(0x80a);
  set(0x80b, 0);
  set(0x80f, 0xff);
  get(0x835);
  set(0x835, 0x31);
  get(0x835);
}
