// Revoke against those who use the memory, at the level of dma-bufs: small enough
// that every order is run.

#include <memory>
#include <optional>
#include <utility>

#include "base/check.h"
#include "explore/scenario/themes.h"
#include "explore/scenario/unexplored.h"
#include "host/dmabuf/dmabuf.h"
#include "host/iommufd/iopt_pages.h"
#include "machine/iommu_unit.h"
#include "object/trace.h"
#include "schedule/task.h"

namespace teeio::explore {
namespace {

using dmabuf::DmaBuf;
using machine::Config;
using schedule::Lock;
using schedule::Task;

constexpr Bdf kFunction{0, 1, 0, 0};
constexpr Hpa kBar{0x3800'0000'0000};

/// A device that exports one page of a BAR.
class Owner final : public dmabuf::Exporter {
 public:
  [[nodiscard]] Bdf function() const override { return kFunction; }
  [[nodiscard]] object::File* vm_file() override { return nullptr; }
  void released(DmaBuf&) override {}

  [[nodiscard]] object::Ref<DmaBuf> exported() {
    return DmaBuf::create(*this, {{.start = kBar, .length = kPageSize}}, DmaBuf::State::kAvailable);
  }
};

/// An importer that stops when it is told, but not at once: as a device whose
/// DMA is under way.
class SlowImporter final : public dmabuf::Importer {
 public:
  explicit SlowImporter(DmaBuf& buffer) : buffer_(buffer), attachment_(buffer.attach(*this)) {
    TEEIO_CHECK(attachment_.has_value(), "nothing is revoked yet");
  }
  ~SlowImporter() override { buffer_.detach(**attachment_); }

  /// One transfer: map, use, unmap. Nothing happens while revoked.
  void transfer() {
    {
      const Lock lock(buffer_.resv());
      if (!buffer_.map(**attachment_)) return;
      in_use_ = true;
    }
    const Lock lock(buffer_.resv());
    in_use_ = false;
    buffer_.unmap(**attachment_);
  }
  void invalidated(dmabuf::Attachment&) override {}
  [[nodiscard]] bool in_use() const { return in_use_; }

 private:
  DmaBuf& buffer_;
  const Result<dmabuf::Attachment*> attachment_;
  bool in_use_ = false;
};

/// The revoker's promise: from its return on nobody uses the memory.
void revoke(DmaBuf& buffer, const SlowImporter& importer) {
  buffer.revoke();
  TEEIO_CHECK(!importer.in_use(), "a revoke has returned and an importer still uses the memory");
}

void revoke_against_transfers(const Config&) {
  Owner owner;
  const object::Ref<DmaBuf> buffer = owner.exported();
  SlowImporter importer(*buffer);
  Task user = Task::spawn("importer", [&] {
    importer.transfer();
    importer.transfer();
  });
  Task revoker = Task::spawn("revoker", [&] { revoke(*buffer, importer); });
  user.join();
  revoker.join();
}

void revoke_twice_against_transfers(const Config&) {
  Owner owner;
  const object::Ref<DmaBuf> buffer = owner.exported();
  SlowImporter importer(*buffer);
  Task user = Task::spawn("importer", [&] {
    importer.transfer();
    importer.transfer();
  });
  Task revoker = Task::spawn("revoker", [&] {
    revoke(*buffer, importer);
    buffer->restore();
    revoke(*buffer, importer);
  });
  user.join();
  revoker.join();
}

/// An IOMMU with one domain.
struct SmallIommu {
  hw::PhysicalMemory memory{std::uint64_t{1} << 20U};
  object::Trace trace;
  machine::IommuUnit unit = *machine::make_iommu_unit(memory, trace, 0);
  std::unique_ptr<iommu::Domain> domain =
      *unit.driver->alloc_paging_domain(iommu::Domain::Kind::kPlain);
};

constexpr Iova kIova{0x10'0000};

/// IOAS_MAP_FILE of a BAR, and the unmap at its end if asked for.
enum class AtEnd : std::uint8_t { kUnmap, kLeave };
object::Ref<iommufd::DmabufPages> map_file(const object::Ref<DmaBuf>& buffer, iommu::Domain& domain,
                                           AtEnd at_end) {
  auto pages = iommufd::DmabufPages::create(buffer, /*start=*/0, /*writable=*/true,
                                            /*address_hint=*/0);
  if (!pages) return nullptr;
  iommufd::DmabufPages& made = **pages;
  {
    const Lock lock(made.mutex());
    TEEIO_CHECK(made.map(domain, kIova, 0, kPageSize, iommu::Prot::kReadWrite).has_value(),
                "a page is mapped into an empty domain");
  }
  if (at_end == AtEnd::kUnmap) {
    const Lock lock(made.mutex());
    made.unmap(domain, kIova, 0, kPageSize);
  }
  return std::move(*pages);
}

void map_file_against_revoke(const Config&) {
  std::optional<SmallIommu> small;
  {
    const Unexplored set_up;
    small.emplace();
  }
  Owner owner;
  object::Ref<DmaBuf> buffer = owner.exported();
  object::Ref<iommufd::DmabufPages> pages;
  Task mapper =
      Task::spawn("mapper", [&] { pages = map_file(buffer, *small->domain, AtEnd::kLeave); });
  Task revoker = Task::spawn("revoker", [&] { buffer->revoke(); });
  mapper.join();
  revoker.join();
  TEEIO_CHECK(!small->domain->translate(kIova).has_value(),
              "a BAR is revoked and DMA through an IOAS still reaches it");
  if (pages) {
    const Lock lock(pages->mutex());
    pages->unmap(*small->domain, kIova, 0, kPageSize);
  }
  pages.reset();
  buffer.reset();
  const Unexplored end;
  small.reset();
}

void unmap_against_revoke(const Config&) {
  std::optional<SmallIommu> small;
  {
    const Unexplored set_up;
    small.emplace();
  }
  Owner owner;
  object::Ref<DmaBuf> buffer = owner.exported();
  Task mapper =
      Task::spawn("mapper", [&] { (void)map_file(buffer, *small->domain, AtEnd::kUnmap); });
  Task revoker = Task::spawn("revoker", [&] {
    buffer->revoke();
    buffer->restore();
  });
  mapper.join();
  revoker.join();
  buffer.reset();
  const Unexplored end;
  small.reset();
}

}  // namespace

void add_dma_buf_scenarios(std::vector<MachineScenario>& all) {
  all.push_back({.name = "dma-buf/revoke-against-transfers",
                 .description = "a revoke waits until the importer that uses the memory has let go",
                 .body = revoke_against_transfers});
  all.push_back({.name = "dma-buf/revoke-twice-against-transfers",
                 .description = "so does a second revoke, after the memory was given back",
                 .body = revoke_twice_against_transfers});
  all.push_back({.name = "dma-buf/map-file-against-revoke",
                 .description = "IOAS_MAP_FILE of a BAR against its revoke",
                 .body = map_file_against_revoke});
  all.push_back({.name = "dma-buf/unmap-against-revoke",
                 .description = "the end of a mapped BAR's IOAS against revoke and un-revoke",
                 .body = unmap_against_revoke});
}

}  // namespace teeio::explore
