#include <vector>

#include "abi/kvm.h"
#include "entry/copy.h"
#include "entry/kvm_files.h"
#include "entry/kvm_handlers.h"

// CPUID and MSRs. Linux arch/x86/kvm/cpuid.c, kvm_dev_ioctl_get_cpuid() and
// kvm_vcpu_ioctl_set_cpuid2(); msrs.c, kvm_get_msr_index_list() and msr_io().

namespace teeio::entry {
namespace {

using kvm::x86::CpuidEntry;
static_assert(sizeof(CpuidEntry) == sizeof(abi::kvm_cpuid_entry2));
static_assert(offsetof(CpuidEntry, edx) == offsetof(abi::kvm_cpuid_entry2, edx));

constexpr std::uint32_t kMaxMsrs = 256;  // MAX_IO_MSRS

std::uint64_t entries_of(const Call& call) {
  return call.argument + offsetof(abi::kvm_cpuid2, entries);
}

/// The answers of the host, with Linux's protocol: room for all of them, or E2BIG.
Result<std::int64_t> host_cpuid(Call& call, std::span<const CpuidEntry> answers) {
  TEEIO_ASSIGN(auto header, copy_in<ListHeader>(call.memory(), call.argument));
  if (header.count < answers.size())
    return fail(Errno::kTooBig, "the program's list has too few CPUID entries");
  TEEIO_TRY(call.memory().write(entries_of(call), std::as_bytes(answers)));
  header.count = static_cast<std::uint32_t>(answers.size());
  TEEIO_TRY(copy_out(call.memory(), call.argument, header));
  return 0;
}

/// sanity_check_entries(): the padding must be zero, for later use.
Result<void> check_padding(Call& call, std::uint32_t count) {
  count = std::min(count, kvm::x86::kMaxCpuidEntries);
  for (std::uint32_t i = 0; i < count; ++i) {
    TEEIO_ASSIGN(const auto entry,
                 copy_in<CpuidEntry>(call.memory(), entries_of(call) + i * sizeof(CpuidEntry)));
    for (const std::uint32_t word : entry.padding)
      if (word != 0) return fail(Errno::kInval, "the padding of a CPUID entry is set");
  }
  return {};
}

Result<std::int64_t> msr_list(Call& call, std::span<const std::uint32_t> indices) {
  using Arg = abi::kvm_msr_list;
  TEEIO_ASSIGN(const std::uint32_t room, copy_in<std::uint32_t>(call.memory(), call.argument));
  TEEIO_TRY(copy_out(call.memory(), call.argument, static_cast<std::uint32_t>(indices.size())));
  if (room < indices.size()) return fail(Errno::kTooBig, "the program's list has too few MSRs");
  TEEIO_TRY(call.memory().write(call.argument + offsetof(Arg, indices), std::as_bytes(indices)));
  return 0;
}

/// msr_io(): as many as work, from the first on; their number is the result.
template <class Each>
Result<std::int64_t> each_msr(Call& call, bool write_back, Each each) {
  using Entry = abi::kvm_msr_entry;
  TEEIO_ASSIGN(const auto header, copy_in<ListHeader>(call.memory(), call.argument));
  if (header.count >= kMaxMsrs) return fail(Errno::kTooBig, "too many MSRs in one call");
  std::vector<Entry> entries(header.count);
  const std::uint64_t at = call.argument + offsetof(abi::kvm_msrs, entries);
  TEEIO_TRY(call.memory().read(at, std::as_writable_bytes(std::span(entries))));
  std::int64_t done = 0;
  for (Entry& entry : entries) {
    if (!each(entry)) break;
    ++done;
  }
  if (write_back) TEEIO_TRY(call.memory().write(at, std::as_bytes(std::span(entries))));
  return done;
}

}  // namespace

Result<std::int64_t> ioctl_get_supported_cpuid(Call& call) {
  return host_cpuid(call, kvm::x86::supported_cpuid());
}

Result<std::int64_t> ioctl_get_emulated_cpuid(Call& call) {
  TEEIO_ASSIGN(const auto header, copy_in<ListHeader>(call.memory(), call.argument));
  TEEIO_TRY(check_padding(call, header.count));
  return host_cpuid(call, kvm::x86::emulated_cpuid());
}

Result<std::int64_t> ioctl_set_cpuid2(Call& call) {
  TEEIO_ASSIGN(const auto header, copy_in<ListHeader>(call.memory(), call.argument));
  if (header.count > kvm::x86::kMaxCpuidEntries)
    return fail(Errno::kTooBig, "too many CPUID entries");
  std::vector<CpuidEntry> entries(header.count);
  TEEIO_TRY(call.memory().read(entries_of(call), std::as_writable_bytes(std::span(entries))));
  const schedule::Lock lock(vcpu_of(call).mutex());
  TEEIO_TRY(vcpu_of(call).x86().set_cpuid(std::move(entries)));
  return 0;
}

Result<std::int64_t> ioctl_get_cpuid2(Call& call) {
  TEEIO_ASSIGN(auto header, copy_in<ListHeader>(call.memory(), call.argument));
  const schedule::Lock lock(vcpu_of(call).mutex());
  const std::span<const CpuidEntry> entries = vcpu_of(call).x86().cpuid().entries();
  if (header.count < entries.size())
    return fail(Errno::kTooBig, "the program's list has too few CPUID entries");
  TEEIO_TRY(call.memory().write(entries_of(call), std::as_bytes(entries)));
  header.count = static_cast<std::uint32_t>(entries.size());
  TEEIO_TRY(copy_out(call.memory(), call.argument, header));
  return 0;
}

Result<std::int64_t> ioctl_get_msr_index_list(Call& call) {
  return msr_list(call, kvm::x86::msr_index_list());
}

Result<std::int64_t> ioctl_get_msr_feature_index_list(Call& call) {
  return msr_list(call, kvm::x86::feature_msr_list());
}

Result<std::int64_t> ioctl_get_feature_msrs(Call& call) {
  return each_msr(call, true, [](abi::kvm_msr_entry& entry) {
    const auto value = kvm::x86::feature_msr(entry.index);
    entry.data = value.value_or(0);
    return value.has_value();
  });
}

Result<std::int64_t> ioctl_get_msrs(Call& call) {
  const schedule::Lock lock(vcpu_of(call).mutex());
  return each_msr(call, true, [&call](abi::kvm_msr_entry& entry) {
    kvm::Vcpu& vcpu = vcpu_of(call);
    vcpu.mutex().assert_held();
    const auto value = vcpu.msr(entry.index);
    entry.data = value.value_or(0);
    return value.has_value();
  });
}

Result<std::int64_t> ioctl_set_msrs(Call& call) {
  const schedule::Lock lock(vcpu_of(call).mutex());
  return each_msr(call, false, [&call](const abi::kvm_msr_entry& entry) {
    kvm::Vcpu& vcpu = vcpu_of(call);
    vcpu.mutex().assert_held();
    return vcpu.set_msr(entry.index, entry.data);
  });
}

}  // namespace teeio::entry
