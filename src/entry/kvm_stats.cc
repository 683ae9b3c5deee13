#include <fcntl.h>
#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

#include "abi/kvm.h"
#include "base/bytes.h"
#include "entry/attribute_file.h"
#include "entry/kvm_handlers.h"
#include "host/kvm/vcpu_file.h"
#include "host/kvm/vm_file.h"

// Binary statistics. Linux virt/kvm/binary_stats.c, kvm_stats_read(); kvm_main.c,
// kvm_vm_ioctl_get_stats_fd() and kvm_vcpu_ioctl_get_stats_fd().

namespace teeio::entry {
namespace {

constexpr std::size_t kNameSize = 48;  // KVM_STATS_NAME_SIZE

struct Statistic {
  std::string_view name;
  std::uint32_t flags = KVM_STATS_TYPE_CUMULATIVE | KVM_STATS_UNIT_NONE;
};
constexpr Statistic kOfVm[] = {
    {"remote_tlb_flush_requests"},
    {"pages_4k", KVM_STATS_TYPE_INSTANT | KVM_STATS_UNIT_NONE},
};

void put_name(Writer& out, std::string_view name) {
  char text[kNameSize] = {};
  std::ranges::copy(name.substr(0, kNameSize - 1), text);
  out.bytes(std::as_bytes(std::span(text)));
}

/// Header, id and descriptors, which stay as they are; the values follow them.
std::vector<std::byte> describe(std::string_view id, std::span<const Statistic> all) {
  constexpr std::uint32_t kIdAt = sizeof(abi::kvm_stats_header);
  constexpr std::uint32_t kDescriptorsAt = kIdAt + kNameSize;
  const auto count = static_cast<std::uint32_t>(all.size());
  const auto one = static_cast<std::uint32_t>(sizeof(abi::kvm_stats_desc) + kNameSize);
  Writer out;
  out.bytes(bytes_of(abi::kvm_stats_header{.flags = 0,
                                           .name_size = kNameSize,
                                           .num_desc = count,
                                           .id_offset = kIdAt,
                                           .desc_offset = kDescriptorsAt,
                                           .data_offset = kDescriptorsAt + count * one}));
  put_name(out, id);
  std::uint32_t at = 0;
  for (const Statistic& statistic : all) {
    constexpr std::uint16_t kExponent = 0;
    constexpr std::uint16_t kValues = 1;
    constexpr std::uint32_t kBucketSize = 0;
    out.le(statistic.flags).le(kExponent).le(kValues).le(at).le(kBucketSize);
    put_name(out, statistic.name);
    at += sizeof(std::uint64_t);
  }
  return out.take();
}

/// `values`: keeps the VM alive, as the file does in Linux.
template <class Values>
Result<std::int64_t> give(Call& call, std::string name, std::string_view id,
                          std::span<const Statistic> all, Values values) {
  auto attribute = object::make_ref<sysfs::Attribute>();
  attribute->binary = true;
  std::vector<std::byte> head = describe(id, all);
  const std::uint64_t size = head.size() + all.size() * sizeof(std::uint64_t);
  attribute->read = [head = std::move(head), values = std::move(values)](
                        std::uint64_t offset, std::span<std::byte> out) -> Result<std::size_t> {
    std::vector<std::byte> now = head;
    for (const std::uint64_t value : values()) {
      const ByteView bytes = bytes_of(value);
      now.insert(now.end(), bytes.begin(), bytes.end());
    }
    std::copy_n(now.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
    return out.size();
  };
  TEEIO_ASSIGN(
      const std::int32_t fd,
      call.caller.install(AttributeFile::of_bytes(std::move(name), std::move(attribute), size),
                          O_RDONLY | O_CLOEXEC));
  return fd;
}

}  // namespace

Result<std::int64_t> ioctl_vm_get_stats_fd(Call& call) {
  auto vm = object::Ref<kvm::Vm>::share(static_cast<kvm::VmFile&>(call.file).vm());
  const std::string id = fmt::format("kvm-{}", call.caller.pid());
  return give(call, "anon_inode:kvm-vm-stats", id, kOfVm, [vm = std::move(vm)] {
    return std::array{vm->flush_requests(), std::uint64_t{vm->mmu().mapped_pages()}};
  });
}

Result<std::int64_t> ioctl_vcpu_get_stats_fd(Call& call) {
  kvm::Vcpu& vcpu = static_cast<kvm::VcpuFile&>(call.file).vcpu();
  std::vector<Statistic> all;
  for (const std::string_view name : kvm::kVcpuCountNames) all.push_back({.name = name});
  const std::string id = fmt::format("kvm-{}/vcpu-{}", call.caller.pid(), vcpu.id());
  return give(
      call, fmt::format("anon_inode:kvm-vcpu-stats:{}", vcpu.id()), id, all,
      [vm = object::Ref<kvm::Vm>::share(vcpu.vm()), &vcpu] { return vcpu.counts().values(); });
}

}  // namespace teeio::entry
