// GET_SREGS2 and SET_SREGS2: PDPTRs.
#include "kvm.h"

namespace {

constexpr std::uint64_t kPdpt = 0x5000;
constexpr std::uint64_t kDirectory = 0x6000;

void show(int vcpu, const char* what) {
  kvm_sregs2 sregs = {};
  probe::say(probe::call(vcpu, KVM_GET_SREGS2, sregs), "GET_SREGS2, %s", what);
  printf("  flags %llu: 0x%llx 0x%llx 0x%llx 0x%llx\n", sregs.flags, sregs.pdptrs[0],
         sregs.pdptrs[1], sregs.pdptrs[2], sregs.pdptrs[3]);
}

template <class T>
void to_pae(T& sregs) {
  sregs.cr0 |= 0x80000001;
  sregs.cr4 |= 0x20;
  sregs.cr3 = kPdpt;
  sregs.cs.base = 0;
  for (kvm_segment* segment : {&sregs.cs, &sregs.ds, &sregs.es, &sregs.fs, &sregs.gs, &sregs.ss}) {
    segment->limit = 0xffffffff;
    segment->g = segment->db = 1;
    segment->selector = segment == &sregs.cs ? 8 : 16;
  }
}

}  // namespace

int main() {
  const int vm = probe::create_vm(KVM_X86_DEFAULT_VM);
  std::byte* memory = probe::pages(16);
  auto* pdpt = reinterpret_cast<std::uint64_t*>(memory + kPdpt);
  auto* directory = reinterpret_cast<std::uint64_t*>(memory + kDirectory);
  directory[0] = 0x83;
  if (probe::set_slot(vm, probe::slot(0, 0, 16 * probe::kPage, memory)) != 0)
    probe::give_up("memory slot");
  const int vcpu = probe::create_vcpu(vm);
  show(vcpu, "at reset");
  kvm_sregs2 sregs = {};
  probe::call(vcpu, KVM_GET_SREGS2, sregs);
  sregs.flags = 1;
  probe::say(probe::call(vcpu, KVM_SET_SREGS2, sregs), "PDPTRs without PAE");
  sregs.flags = 2;
  probe::say(probe::call(vcpu, KVM_SET_SREGS2, sregs), "flag 2");
  pdpt[0] = kDirectory | 1;
  pdpt[1] = 0x7001;
  pdpt[3] = 0x6;  // not present
  sregs.flags = 0;
  to_pae(sregs);
  probe::say(probe::call(vcpu, KVM_SET_SREGS2, sregs), "SET_SREGS2 with PAE, from memory");
  show(vcpu, "then");
  pdpt[1] = 0x8001;
  show(vcpu, "after memory has changed");
  kvm_sregs plain = {};
  probe::call(vcpu, KVM_GET_SREGS, plain);
  pdpt[2] = 0x7003;  // a reserved bit
  probe::say(probe::call(vcpu, KVM_SET_SREGS, plain), "SET_SREGS, a reserved bit in memory");
  show(vcpu, "then");
  pdpt[2] = 0;
  probe::say(probe::call(vcpu, KVM_SET_SREGS, plain), "SET_SREGS");
  show(vcpu, "then");
  probe::call(vcpu, KVM_GET_SREGS2, sregs);
  pdpt[0] = 0;
  sregs.flags = 1;
  sregs.pdptrs[2] = 0x77;
  probe::say(probe::call(vcpu, KVM_SET_SREGS2, sregs), "SET_SREGS2 with PDPTRs of its own");
  show(vcpu, "then");
  kvm_translation where = {};
  where.linear_address = 0x3004;
  probe::say(probe::call(vcpu, KVM_TRANSLATE, where), "TRANSLATE");
  printf("  valid %u, 0x%llx\n", where.valid, where.physical_address);
}
