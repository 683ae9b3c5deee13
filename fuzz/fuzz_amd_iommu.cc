// Links: hw/amd_iommu
#include "fuzzer.h"
#include "hw/amd_iommu/amd_iommu.h"
#include "hw/amd_iommu/commands.h"

// Hostile tables and commands: pages of memory are the input, over and over; every
// requester asks for addresses that the input names, and its commands are carried out.
void teeio::fuzz::run(ByteView input) {
  using namespace teeio::hw;
  constexpr std::uint64_t kPages = 8;
  if (input.size() < 64) return;
  PhysicalMemory memory((kPages + 2) * kPageSize);
  object::Trace trace;
  AmdIommu iommu(memory, trace, 0);
  const Hpa base = *memory.alloc_page();
  for (std::uint64_t i = 1; i < kPages; ++i) (void)memory.alloc_page();
  Bytes contents;
  while (contents.size() < kPages * kPageSize)
    contents.insert(contents.end(), input.begin(), input.end());
  contents.resize(kPages * kPageSize);
  TEEIO_CHECK(memory.write(base, contents).has_value(), "the memory is there");

  Reader in(input);
  iommu.write_register(amd::kDeviceTable, raw(base) | 1U);
  iommu.write_register(amd::kCommandBase, raw(base) | in.le<std::uint64_t>() << 56U);
  iommu.write_register(amd::kEventBase, raw(base) + kPageSize * (kPages - 1));
  iommu.write_register(amd::kControl, ~std::uint64_t{0});
  iommu.write_register(amd::kCommandTail, in.le<std::uint64_t>());
  for (unsigned n = 0; n < 6; ++n) {
    const auto rid = in.le<std::uint16_t>();
    const Iova address{in.le<std::uint64_t>()};
    for (const DmaAccess access : {DmaAccess::kRead, DmaAccess::kWrite}) {
      const auto found = iommu.translate_run(rid, TBit::kShared, address, 3 * kPageSize, access);
      if (!found) continue;
      TEEIO_CHECK(found->contiguous_bytes != 0, "a translation of nothing");
      TEEIO_CHECK(access == DmaAccess::kRead || found->writable, "a write without the right");
    }
    (void)iommu.translate(rid, TBit::kTrusted, address, DmaAccess::kRead);
  }
}
