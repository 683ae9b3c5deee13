// Which PDPTRs KVM takes out of memory: by the vCPU's physical addresses, 36 bits without CPUID.
#include "kvm.h"

namespace {

constexpr std::uint64_t kPdpt = 0x5000;

kvm_sregs2 pae(int vcpu, std::uint64_t cr3) {
  kvm_sregs2 sregs = {};
  if (probe::call(vcpu, KVM_GET_SREGS2, sregs) != 0) probe::give_up("KVM_GET_SREGS2");
  sregs.cr0 |= 0x80000001;
  sregs.cr4 |= 0x20;
  sregs.cr3 = cr3;
  sregs.flags = 0;
  for (kvm_segment* segment : {&sregs.cs, &sregs.ds, &sregs.es, &sregs.fs, &sregs.gs, &sregs.ss}) {
    segment->limit = 0xffffffff;
    segment->g = segment->db = 1;
    segment->selector = segment == &sregs.cs ? 8 : 16;
  }
  return sregs;
}

}  // namespace

int main() {
  const int vm = probe::create_vm(KVM_X86_DEFAULT_VM);
  std::byte* memory = probe::pages(16);
  auto* pdpt = reinterpret_cast<std::uint64_t*>(memory + kPdpt);
  if (probe::set_slot(vm, probe::slot(0, 0, 16 * probe::kPage, memory)) != 0)
    probe::give_up("memory slot");
  const int vcpu = probe::create_vcpu(vm);
  const auto set = [&](std::uint64_t cr3) {
    kvm_sregs2 sregs = pae(vcpu, cr3);
    const long result = probe::call(vcpu, KVM_SET_SREGS2, sregs);
    probe::call(vcpu, KVM_GET_SREGS2, sregs);
    printf("  %ld: flags %llu, 0x%llx 0x%llx\n", result, sregs.flags, sregs.pdptrs[0],
           sregs.pdptrs[1]);
  };
  pdpt[0] = 0x6001;
  for (unsigned bit = 0; bit < 64; ++bit) {
    pdpt[1] = 1 | std::uint64_t{1} << bit;
    printf("bit %u\n", bit);
    set(kPdpt);
  }
  pdpt[1] = 0x7001;
  for (const std::uint64_t high : {0ULL, 1ULL << 32, 1ULL << 40, 1ULL << 52, 1ULL << 63}) {
    printf("CR3 0x%llx more\n", static_cast<unsigned long long>(high));
    set(high | kPdpt);
  }
  pdpt[4] = 0x8001;
  for (const std::uint64_t low : {0x18ULL, 0x20ULL, 0xfe0ULL}) {
    printf("CR3 0x%llx more\n", static_cast<unsigned long long>(low));
    set(kPdpt | low);
  }
}
