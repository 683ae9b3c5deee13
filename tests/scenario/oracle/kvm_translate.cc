// KVM_TRANSLATE: a guest's linear addresses, by its own tables, in each paging mode.
#include "kvm.h"

namespace {

constexpr std::uint64_t kBase = 0x100000;  // where the guest has `memory`
std::uint64_t* memory;                     // 16 pages
int vcpu;

/// The entries of the guest's page `page`.
std::uint64_t* table(unsigned page) { return memory + page * 512; }
std::uint64_t entry(unsigned page, std::uint64_t bits) { return kBase + page * 0x1000 + bits; }

void ask(const char* what, std::uint64_t linear) {
  kvm_translation arg = {};
  arg.linear_address = linear;
  const long done = probe::call(vcpu, KVM_TRANSLATE, arg);
  probe::say(done, "%s", what);
  if (done == 0)
    printf("  %llx, valid %u, writable %u, user %u\n", arg.physical_address, arg.valid,
           arg.writeable, arg.usermode);
}

void set(const char* what, std::uint64_t cr0, std::uint64_t cr4, std::uint64_t efer) {
  kvm_sregs sregs = {};
  probe::call(vcpu, KVM_GET_SREGS, sregs);
  sregs.cr0 = cr0;
  sregs.cr3 = kBase;
  sregs.cr4 = cr4;
  sregs.efer = efer;
  sregs.cs.l = (efer & 0x400) != 0 ? 1 : 0;
  probe::say(probe::call(vcpu, KVM_SET_SREGS, sregs), "== %s", what);
}

}  // namespace

int main() {
  const int vm = probe::create_vm(0);
  memory = reinterpret_cast<std::uint64_t*>(probe::pages(16));
  if (probe::set_slot(vm, probe::slot(0, kBase, 16 * probe::kPage, memory)) != 0)
    probe::give_up("memory slot");
  vcpu = probe::create_vcpu(vm);
  alignas(8) std::uint32_t cpuid[2 + 100 * sizeof(kvm_cpuid_entry2) / 4] = {100};
  if (ioctl(probe::open_kvm(), KVM_GET_SUPPORTED_CPUID, cpuid) != 0 ||
      ioctl(vcpu, KVM_SET_CPUID2, cpuid) != 0)
    probe::give_up("CPUID");
  ask("paging off", 0x12345678);
  ask("paging off, a large address", 0xffff800000001234);
  probe::say(ioctl(vcpu, KVM_TRANSLATE, probe::nowhere()), "nowhere");

  table(0)[0] = entry(1, 3);     // PML4
  table(0)[1] = entry(1, 0);     // not present
  table(0)[2] = 0x40000000 + 3;  // a table that is not in memory
  table(0)[511] = entry(1, 1);
  table(1)[0] = entry(2, 3);
  table(1)[1] = 0x40000000 + 0x83;  // 1 GiB
  table(2)[0] = entry(3, 3);
  table(2)[1] = 0x600000 + 0x83;  // 2 MiB
  table(3)[0] = 0xabc000 + 1;     // read only
  table(3)[1] = 0xdef000 + 7 + (1ULL << 63U);
  table(3)[2] = 0x7654000 + 2;  // not present
  set("64 bits, with NX", 0x80000001, 0x20, 0xd00);
  ask("read only", 0x123);
  ask("no execute, user", 0x1abc);
  ask("not present", 0x2000);
  ask("2 MiB", 0x212345);
  ask("1 GiB", 0x4abcdef0);
  ask("not present above", 1ULL << 39U);
  ask("a table that is nowhere", 2ULL << 39U);
  ask("high half", 0xffffff8000000456);
  ask("not canonical", 0x0001000000000123);
  printf("accessed: %d %d %d\n", (table(0)[0] & 0x20) != 0, (table(3)[0] & 0x20) != 0,
         (table(3)[0] & 0x40) != 0);
  set("64 bits, without NX", 0x80000001, 0x20, 0x500);
  ask("read only", 0x123);
  ask("a bit that is reserved now", 0x1abc);

  auto* words = reinterpret_cast<std::uint32_t*>(memory);
  words[0] = static_cast<std::uint32_t>(entry(1, 3));
  words[1] = 0x00800000 + 0x83;
  reinterpret_cast<std::uint32_t*>(table(1))[5] = 0x4567000 + 1;
  set("32 bits, with large pages", 0x80000001, 0x10, 0);
  ask("4 KiB", 0x5678);
  ask("4 MiB", 0x412345);
  ask("not present", 0x6000);
  ask("beyond 32 bits", 0x100005678);
  set("32 bits, without large pages", 0x80000001, 0, 0);
  ask("a large page that is a table", 0x412345);
}
