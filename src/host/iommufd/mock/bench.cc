#include "host/iommufd/mock/bench.h"

#include <algorithm>
#include <vector>

#include "host/iommu/mock/nested.h"
#include "host/iommufd/fault_queue.h"
#include "host/iommufd/hwpt.h"
#include "host/iommufd/mock/access_file.h"
#include "host/iommufd/mock/test_device.h"

namespace teeio::mock {
namespace {

constexpr std::uint32_t kNoDirty = 1;      // MOCK_FLAGS_DEVICE_NO_DIRTY
constexpr std::uint32_t kHasPasid = 4;     // MOCK_FLAGS_DEVICE_PASID
constexpr std::uint32_t kNeedsPin = 1;     // MOCK_FLAGS_ACCESS_CREATE_NEEDS_PIN_PAGES
constexpr std::uint32_t kNumbers = 65536;  // functions of one PCI domain

/// Of the program's memory that is looked at once.
constexpr std::uint64_t kPiece = 4096 * kPageSize;

/// As many of the pages as are looked up at once; where some are not there, the first one, since
/// Linux asks page by page (get_user_pages_fast() of one). Errors: EFAULT.
Result<std::vector<mm::PageId>> pages_at(mm::UserMemory& memory, std::uint64_t address,
                                         std::uint64_t length) {
  auto pages = memory.pages(address, std::min(kPiece, length));
  if (pages || length <= kPageSize) return pages;
  return memory.pages(address, kPageSize);
}

std::unexpected<Error> is_not_so() {
  return fail(Errno::kInval, "the test expects something else");
}

}  // namespace

/// An idevice in use and the mock function behind it.
struct Bench::Bound {
  iommufd::Using<iommufd::Idevice> idevice;
  TestDevice* device;
};

/// The memory behind a test dma-buf (Linux: struct iommufd_test_dma_buf).
class Bench::Buffer final : public dmabuf::Exporter, public hw::WindowTarget {
 public:
  Buffer(Bench& bench, std::uint64_t length) : bench_(bench), bytes_(length) {}
  ~Buffer() override {
    if (base_) bench_.memory_.unmap_window(*base_);
  }
  Result<Hpa> place() {
    TEEIO_ASSIGN(base_, bench_.memory_.map_window(*this, bytes_.size()));
    return *base_;
  }
  [[nodiscard]] Bdf function() const override { return {}; }
  [[nodiscard]] object::File* vm_file() override { return nullptr; }
  void released(dmabuf::DmaBuf& buffer) override {
    std::unique_ptr<Buffer> self;  // ends after the lock
    const schedule::Lock lock(bench_.lock_);
    const auto at = bench_.buffers_.find(&buffer);
    self = std::move(at->second);
    bench_.buffers_.erase(at);
  }
  Result<void> read(std::uint64_t offset, std::span<std::byte> out) override {
    std::copy_n(bytes_.begin() + static_cast<std::ptrdiff_t>(offset), out.size(), out.begin());
    return {};
  }
  Result<void> write(std::uint64_t offset, ByteView in) override {
    std::ranges::copy(in, bytes_.begin() + static_cast<std::ptrdiff_t>(offset));
    return {};
  }
  [[nodiscard]] std::span<std::byte> direct() override { return bytes_; }

 private:
  Bench& bench_;
  Bytes bytes_;
  std::optional<Hpa> base_;
};

Bench::Bench(hw::PhysicalMemory& memory, iommufd::PinBook& pins) : memory_(memory), pins_(pins) {}
Bench::~Bench() = default;

Result<Bench::Bound> Bench::bound(iommufd::Context& context, iommufd::ObjectId dev_id) {
  TEEIO_ASSIGN(auto idevice, iommufd::find<iommufd::Idevice>(context.objects(), dev_id));
  auto* const device = dynamic_cast<TestDevice*>(&idevice->device());
  if (device == nullptr) return fail(Errno::kInval, "the device is no mock");
  return Bound{std::move(idevice), device};
}

Result<std::uint32_t> Bench::take_number() {
  const schedule::Lock lock(lock_);
  std::uint32_t number = 0;
  for (const std::uint32_t used : numbers_) {
    if (used != number) break;
    ++number;
  }
  if (number == kNumbers) return fail(Errno::kNoSpc, "there are too many mock functions");
  numbers_.insert(number);
  return number;
}

void Bench::release_number(std::uint32_t number) {
  const schedule::Lock lock(lock_);
  numbers_.erase(number);
}

Result<Bench::Device> Bench::add_device(iommufd::Context& context, iommufd::ObjectId pt_id,
                                        std::uint32_t flags) {
  TEEIO_ASSIGN(auto device, iommufd::NewObject<TestDevice>::reserve(
                                context.objects(), new TestDevice(context, *this)));
  if ((flags & ~(kNoDirty | kHasPasid)) != 0)
    return fail(Errno::kInval, "unknown flag of a mock function");
  TEEIO_TRY(
      device->arrive({.no_dirty = (flags & kNoDirty) != 0, .pasid = (flags & kHasPasid) != 0}));
  TEEIO_ASSIGN(const iommufd::ObjectId hwpt, device->bind_and_attach(pt_id));
  const iommufd::ObjectId idevice = device->idevice().id();
  return Device{.stdev_id = device.commit().id(), .hwpt_id = hwpt, .idev_id = idevice};
}

Result<iommufd::ObjectId> Bench::replace(iommufd::Context& context, iommufd::ObjectId stdev_id,
                                         iommufd::ObjectId pt_id, std::uint32_t pasid) {
  TEEIO_ASSIGN(const auto device, iommufd::find<TestDevice>(context.objects(), stdev_id));
  const schedule::WriteLock lock(device->iopf_rwsem);
  return device->idevice().replace(pt_id, pasid);
}

Result<iommufd::ObjectId> Bench::attach_pasid(iommufd::Context& context, iommufd::ObjectId stdev_id,
                                              iommufd::ObjectId pt_id, std::uint32_t pasid) {
  TEEIO_ASSIGN(const auto device, iommufd::find<TestDevice>(context.objects(), stdev_id));
  const schedule::WriteLock lock(device->iopf_rwsem);
  TEEIO_ASSIGN(const iommufd::ObjectId hwpt, device->idevice().attach(pt_id, pasid));
  device->pasids.insert(pasid);
  return hwpt;
}

Result<void> Bench::detach_pasid(iommufd::Context& context, iommufd::ObjectId stdev_id,
                                 std::uint32_t pasid) {
  TEEIO_ASSIGN(const auto device, iommufd::find<TestDevice>(context.objects(), stdev_id));
  const schedule::WriteLock lock(device->iopf_rwsem);
  device->idevice().detach(pasid);
  return {};
}

Result<void> Bench::check_pasid(iommufd::Context& context, iommufd::ObjectId stdev_id,
                                std::uint32_t pasid, iommufd::ObjectId hwpt_id) {
  TEEIO_ASSIGN(const auto device, iommufd::find<TestDevice>(context.objects(), stdev_id));
  const iommu::Attachable* const attached = iommu_.attached(device->iommu_group(), pasid);
  if (hwpt_id == 0) {
    if (attached != nullptr) return is_not_so();
    return {};
  }
  TEEIO_ASSIGN(iommufd::Object * object, context.objects().get(hwpt_id, iommufd::ObjectType::kAny));
  const iommufd::Using<iommufd::Object> held(context.objects(), *object);
  const iommufd::Hwpt* const hwpt = iommufd::Hwpt::of(*object);
  if (hwpt == nullptr || &hwpt->attachable() != attached) return is_not_so();
  return {};
}

Result<void> Bench::add_reserved(iommufd::Context& context, iommufd::ObjectId ioas_id,
                                 std::uint64_t start, std::uint64_t length) {
  if (length == 0) return fail(Errno::kInval, "length is zero");
  std::uint64_t last = 0;
  if (__builtin_add_overflow(start, length - 1, &last))
    return fail(Errno::kOverflow, "the range passes the last IOVA");
  TEEIO_ASSIGN(const auto ioas, iommufd::find<iommufd::Ioas>(context.objects(), ioas_id));
  return ioas->iopt.reserve_for_all({start, last});
}

Result<void> Bench::check_map(iommufd::Context& context, mm::UserMemory& memory,
                              iommufd::ObjectId hwpt_id, std::uint64_t iova, std::uint64_t length,
                              std::uint64_t address) {
  TEEIO_ASSIGN(const auto hwpt, iommufd::find<iommufd::HwptPaging>(context.objects(), hwpt_id));
  const auto* const domain = dynamic_cast<const Domain*>(&hwpt->domain());
  if (domain == nullptr) return fail(Errno::kInval, "the HWPT is no mock");
  const std::uint64_t page = domain->page_sizes() & (~domain->page_sizes() + 1);
  if (iova % page != 0 || length % page != 0 || address % page != 0 || address + length < address)
    return fail(Errno::kInval, "the range is not aligned to the HWPT's pages");
  std::vector<mm::PageId> pages;
  std::uint64_t begin = address;  // of `pages`
  for (std::uint64_t at = 0; at < length; at += page) {
    if (address + at - begin >= pages.size() * kPageSize) {
      begin = mm::page_base(address + at);
      TEEIO_ASSIGN(pages, pages_at(memory, begin, address + length - begin));
    }
    const auto place = hwpt->ioas().iopt.place(iova + at);
    const auto hpa = domain->translate(Iova{iova + at});
    const mm::PageId& expected = pages.at((address + at - begin) / kPageSize);
    if (!place || !hpa || *hpa != place->address || place->page != expected ||
        raw(*hpa) % kPageSize != (address + at) % kPageSize)
      return is_not_so();
  }
  return {};
}

Result<void> Bench::check_refs(mm::UserMemory& memory, std::uint64_t address, std::uint64_t length,
                               std::uint32_t refs) {
  if (!is_page_aligned(address) || !is_page_aligned(length) || address + length < address)
    return fail(Errno::kInval, "the range is not page aligned");
  for (std::uint64_t at = 0; at < length;) {
    TEEIO_ASSIGN(const auto pages, pages_at(memory, address + at, length - at));
    for (const mm::PageId& page : pages)
      if (pins_.count(page) != refs)
        return fail(Errno::kIo, "a page is pinned more or less often than the test expects");
    at += pages.size() * kPageSize;
  }
  return {};
}

Result<void> Bench::check_iotlb(iommufd::Context& context, iommufd::ObjectId hwpt_id,
                                std::uint32_t index, std::uint32_t value) {
  TEEIO_ASSIGN(const auto hwpt, iommufd::find<iommufd::HwptNested>(context.objects(), hwpt_id));
  const auto* const domain = dynamic_cast<const NestedDomain*>(&hwpt->domain());
  if (domain == nullptr || index >= NestedDomain::kEntries || domain->entry(index) != value)
    return is_not_so();
  return {};
}

Result<void> Bench::check_cache(iommufd::Context& context, iommufd::ObjectId dev_id,
                                std::uint32_t index, std::uint32_t value) {
  TEEIO_ASSIGN(const auto found, bound(context, dev_id));
  if (iommu_.cache(found.device->iommu_group(), index) != value) return is_not_so();
  return {};
}

Result<std::uint64_t> Bench::set_dirty(iommufd::Context& context, mm::UserMemory& memory,
                                       const Dirty& dirty) {
  constexpr std::uint64_t kMaxBits = std::uint64_t{16U << 20U} * 8;
  if (dirty.page_size == 0 || dirty.length == 0 || dirty.iova % dirty.page_size != 0 ||
      dirty.length % dirty.page_size != 0 || dirty.bitmap == 0)
    return fail(Errno::kInval, "the range of dirty pages is none");
  const std::uint64_t bits = dirty.length / dirty.page_size;
  if (bits > kMaxBits) return fail(Errno::kOverflow, "there are too many pages");
  TEEIO_ASSIGN(const auto hwpt,
               iommufd::find<iommufd::HwptPaging>(context.objects(), dirty.hwpt_id));
  auto* const domain = dynamic_cast<Domain*>(&hwpt->domain());
  if (domain == nullptr || !domain->tracking())
    return fail(Errno::kInval, "the HWPT does not track dirty pages now");
  Bytes bitmap((bits + 7) / 8);
  TEEIO_TRY(memory.read(dirty.bitmap, bitmap));
  std::uint64_t count = 0;
  for (std::uint64_t bit = 0; bit < bits; ++bit) {
    if ((bitmap[bit / 8] >> (bit % 8) & std::byte{1}) == std::byte{0}) continue;
    domain->set_dirty(dirty.iova + bit * dirty.page_size);
    ++count;
  }
  return count;
}

Result<void> Bench::trigger_fault(iommufd::Context& context, iommufd::ObjectId dev_id,
                                  const iommufd::PageRequest& request) {
  TEEIO_ASSIGN(const auto found, bound(context, dev_id));
  const schedule::ReadLock lock(found.device->iopf_rwsem);
  (void)found.idevice->report_page_request(request);
  return {};
}

Result<void> Bench::trigger_event(iommufd::Context& context, iommufd::ObjectId dev_id) {
  TEEIO_ASSIGN(const auto found, bound(context, dev_id));
  // Nobody attaches it elsewhere meanwhile, so its vIOMMU stays.
  const schedule::ReadLock lock(found.device->iopf_rwsem);
  return iommu_.trigger_event(found.device->iommu_group());
}

Result<object::Ref<object::File>> Bench::create_access(iommufd::Context& context,
                                                       iommufd::ObjectId ioas_id,
                                                       std::uint32_t flags) {
  if ((flags & ~kNeedsPin) != 0) return fail(Errno::kOpNotSupp, "unknown flag of an access");
  const auto pages =
      (flags & kNeedsPin) != 0 ? iommufd::Access::Pages::kPinned : iommufd::Access::Pages::kCopied;
  TEEIO_ASSIGN(auto file, AccessFile::create(context, ioas_id, pages));
  return object::Ref<object::File>(std::move(file));
}

Result<object::Ref<AccessFile>> Bench::access(mm::Caller& caller, std::int32_t fd) {
  auto file = caller.file(fd);
  if (!file || (*file)->kind() != object::FileKind::kIommuTestAccess)
    return fail(Errno::kBadFd, "the descriptor is no access");
  return object::Ref<AccessFile>::share(static_cast<AccessFile&>(**file));
}

Result<object::Ref<object::File>> Bench::make_buffer(std::uint32_t length) {
  constexpr std::uint64_t kMaxPages = 512;
  const std::uint64_t size = (std::uint64_t{length} + (kPageSize - 1)) & ~(kPageSize - 1);
  if (size == 0 || size > kMaxPages * kPageSize)
    return fail(Errno::kInval, "a test dma-buf has from one to 512 pages");
  auto buffer = std::make_unique<Buffer>(*this, size);
  TEEIO_ASSIGN(const Hpa base, buffer->place());
  auto file = dmabuf::DmaBuf::create(*buffer, {{.start = base, .length = size}},
                                     dmabuf::DmaBuf::State::kAvailable);
  const schedule::Lock lock(lock_);
  buffers_.emplace(file.get(), std::move(buffer));
  return object::Ref<object::File>(std::move(file));
}

Result<void> Bench::revoke_buffer(mm::Caller& caller, std::int32_t fd, bool revoked) {
  TEEIO_ASSIGN(const object::Ref<object::File> file, caller.file(fd));
  if (file->kind() != object::FileKind::kDmaBuf)
    return fail(Errno::kInval, "the descriptor is no dma-buf");
  auto& buffer = static_cast<dmabuf::DmaBuf&>(*file);
  {
    const schedule::Lock lock(lock_);
    if (!buffers_.contains(&buffer)) return fail(Errno::kOpNotSupp, "the dma-buf is no test's");
  }
  if (revoked)
    buffer.revoke();
  else
    buffer.restore();
  return {};
}

}  // namespace teeio::mock
