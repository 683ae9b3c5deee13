// IOMMU_TEST_CMD of kernels with CONFIG_IOMMUFD_TEST. Source: Linux
// drivers/iommu/iommufd/selftest.c, iommufd_test().

#include "abi/iommufd_test.h"

#include <fcntl.h>

#include "entry/copy.h"
#include "entry/iommufd_handlers.h"
#include "host/iommufd/fault_queue.h"
#include "host/iommufd/mock/access_file.h"
#include "host/iommufd/mock/bench.h"

namespace teeio::entry {
namespace {

using TestArg = abi::iommu_test_cmd;

/// One operation on its way.
struct TestCall {
  Call& call;
  mock::Bench& bench;
  TestArg& arg;

  [[nodiscard]] iommufd::Context& iommufd() const { return context(call); }
  [[nodiscard]] mm::UserMemory& memory() const { return call.memory(); }
  [[nodiscard]] std::int32_t fd() const { return static_cast<std::int32_t>(arg.id); }
  [[nodiscard]] Result<void> respond() const {
    return copy_struct_out(call.memory(), call.argument, arg, arg.size);
  }
};

Result<std::int64_t> add_device(const TestCall& test) {
  const bool has_flags = test.arg.op == abi::IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS;
  TEEIO_ASSIGN(const auto device, test.bench.add_device(test.iommufd(), test.arg.id,
                                                        has_flags ? test.arg.words[3] : 0));
  test.arg.words[0] = device.stdev_id;
  test.arg.words[1] = device.hwpt_id;
  test.arg.words[2] = device.idev_id;
  auto out = test.respond();
  if (!out) {
    (void)test.iommufd().destroy(device.stdev_id);
    return std::unexpected(out.error());
  }
  return 0;
}

Result<std::int64_t> create_access(const TestCall& test) {
  TEEIO_ASSIGN(auto file, test.bench.create_access(test.iommufd(), test.arg.id, test.arg.words[1]));
  TEEIO_TRY(test.respond());  // what can fail, before there is a descriptor
  TEEIO_ASSIGN(const std::int32_t fd,
               test.call.caller.install(std::move(file), O_RDWR | O_CLOEXEC));
  test.arg.words[0] = static_cast<std::uint32_t>(fd);
  TEEIO_TRY(test.respond());
  return 0;
}

Result<std::int64_t> access_pages(const TestCall& test) {
  constexpr std::uint32_t kWrite = 1;  // MOCK_FLAGS_ACCESS_WRITE
  auto& pages = test.arg.access_pages;
  if ((pages.flags & ~kWrite) != 0) return fail(Errno::kOpNotSupp, "unknown flag of a test access");
  TEEIO_ASSIGN(const auto file, mock::Bench::access(test.call.caller, test.fd()));
  TEEIO_ASSIGN(pages.out_access_pages_id,
               file->pin(test.memory(), pages.iova, pages.length, pages.uptr, pages.flags != 0));
  auto out = test.respond();
  if (!out) {
    (void)file->unpin(pages.out_access_pages_id);
    return std::unexpected(out.error());
  }
  return 0;
}

Result<std::int64_t> access_rw(const TestCall& test) {
  constexpr std::uint32_t kWrite = 1, kSlowPath = 4;  // MOCK_ACCESS_RW_*
  const auto& rw = test.arg.access_rw;
  if ((rw.flags & ~(kWrite | kSlowPath)) != 0)
    return fail(Errno::kOpNotSupp, "unknown flag of a test access");
  TEEIO_ASSIGN(const auto file, mock::Bench::access(test.call.caller, test.fd()));
  if ((rw.flags & kWrite) != 0)
    TEEIO_TRY(file->write(test.memory(), rw.iova, rw.length, rw.uptr));
  else
    TEEIO_TRY(file->read(test.memory(), rw.iova, rw.length, rw.uptr));
  return 0;
}

Result<std::int64_t> set_dirty(const TestCall& test) {
  auto& dirty = test.arg.dirty;
  TEEIO_ASSIGN(dirty.out_nr_dirty, test.bench.set_dirty(test.iommufd(), test.memory(),
                                                        {.hwpt_id = test.arg.id,
                                                         .iova = dirty.iova,
                                                         .length = dirty.length,
                                                         .page_size = dirty.page_size,
                                                         .bitmap = dirty.uptr}));
  TEEIO_TRY(test.respond());
  return 0;
}

Result<std::int64_t> trigger_fault(const TestCall& test) {
  const auto& fault = test.arg.trigger_iopf;
  TEEIO_TRY(test.bench.trigger_fault(test.iommufd(), fault.dev_id,
                                     {.pasid = fault.pasid,
                                      .group = fault.grpid,
                                      .permission = fault.perm,
                                      .address = fault.addr}));
  return 0;
}

/// Both of a PASID, and MOCK_DOMAIN_REPLACE, whose only word is the page table.
Result<std::int64_t> change_attachment(const TestCall& test) {
  const bool whole = test.arg.op == abi::IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE;
  std::uint32_t& pt_id = test.arg.words[whole ? 0 : 1];
  const std::uint32_t pasid = whole ? iommufd::kNoPasid : test.arg.words[0];
  if (test.arg.op != abi::IOMMU_TEST_OP_PASID_ATTACH) {
    TEEIO_ASSIGN(pt_id, test.bench.replace(test.iommufd(), test.arg.id, pt_id, pasid));
    TEEIO_TRY(test.respond());
    return 0;
  }
  TEEIO_ASSIGN(pt_id, test.bench.attach_pasid(test.iommufd(), test.arg.id, pt_id, pasid));
  auto out = test.respond();
  if (!out) {
    (void)test.bench.detach_pasid(test.iommufd(), test.arg.id, pasid);
    return std::unexpected(out.error());
  }
  return 0;
}

Result<std::int64_t> get_buffer(const TestCall& test) {
  TEEIO_ASSIGN(auto file, test.bench.make_buffer(test.arg.words[0]));
  return test.call.caller.install(std::move(file), test.arg.words[1] & (O_ACCMODE | O_CLOEXEC));
}

/// Those that answer with nothing but success.
Result<void> simple(const TestCall& test) {
  const TestArg& arg = test.arg;
  constexpr std::uint32_t kLeastMemory = 12;
  switch (arg.op) {
    case abi::IOMMU_TEST_OP_ADD_RESERVED:
      return test.bench.add_reserved(test.iommufd(), arg.id, arg.longs[0], arg.longs[1]);
    case abi::IOMMU_TEST_OP_MD_CHECK_MAP:
      return test.bench.check_map(test.iommufd(), test.memory(), arg.id, arg.longs[0], arg.longs[1],
                                  arg.longs[2]);
    case abi::IOMMU_TEST_OP_MD_CHECK_REFS:
      return test.bench.check_refs(test.memory(), arg.check_refs.uptr, arg.check_refs.length,
                                   arg.check_refs.refs);
    case abi::IOMMU_TEST_OP_MD_CHECK_IOTLB:
      return test.bench.check_iotlb(test.iommufd(), arg.id, arg.words[0], arg.words[1]);
    case abi::IOMMU_TEST_OP_DEV_CHECK_CACHE:
      return test.bench.check_cache(test.iommufd(), arg.id, arg.words[0], arg.words[1]);
    case abi::IOMMU_TEST_OP_ACCESS_REPLACE_IOAS: {
      TEEIO_ASSIGN(const auto file, mock::Bench::access(test.call.caller, test.fd()));
      return file->replace(arg.words[0]);
    }
    case abi::IOMMU_TEST_OP_DESTROY_ACCESS_PAGES: {
      TEEIO_ASSIGN(const auto file, mock::Bench::access(test.call.caller, test.fd()));
      return file->unpin(arg.words[0]);
    }
    case abi::IOMMU_TEST_OP_SET_TEMP_MEMORY_LIMIT:
      // pages.c, __batch_init(): an element is a run of pages. Here any mapping's pages are
      // one run, so that each limit that is allowed is kept.
      if (arg.words[0] < kLeastMemory) return fail(Errno::kInval, "too little for one page");
      return {};
    case abi::IOMMU_TEST_OP_TRIGGER_VEVENT:
      return test.bench.trigger_event(test.iommufd(), arg.words[0]);
    case abi::IOMMU_TEST_OP_PASID_DETACH:
      return test.bench.detach_pasid(test.iommufd(), arg.id, arg.words[0]);
    case abi::IOMMU_TEST_OP_PASID_CHECK_HWPT:
      return test.bench.check_pasid(test.iommufd(), arg.id, arg.words[0], arg.words[1]);
    case abi::IOMMU_TEST_OP_DMABUF_REVOKE:
      return test.bench.revoke_buffer(test.call.caller, static_cast<std::int32_t>(arg.words[0]),
                                      arg.words[1] != 0);
    default:
      return fail(Errno::kOpNotSupp, "unknown test operation");
  }
}

}  // namespace

Result<std::int64_t> ioctl_iommufd_test(Call& call) {
  if (call.host.bench == nullptr)
    return fail(Errno::kNoTty, "as a kernel without CONFIG_IOMMUFD_TEST: see iommufd_mock");
  TEEIO_ASSIGN(TestArg arg,
               copy_struct_in<TestArg>(call.memory(), call.argument, TEEIO_END_OF(TestArg, last)));
  const TestCall test{call, *call.host.bench, arg};
  switch (arg.op) {
    case abi::IOMMU_TEST_OP_MOCK_DOMAIN:
    case abi::IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS:
      return add_device(test);
    case abi::IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE:
    case abi::IOMMU_TEST_OP_PASID_ATTACH:
    case abi::IOMMU_TEST_OP_PASID_REPLACE:
      return change_attachment(test);
    case abi::IOMMU_TEST_OP_CREATE_ACCESS:
      return create_access(test);
    case abi::IOMMU_TEST_OP_ACCESS_PAGES:
      return access_pages(test);
    case abi::IOMMU_TEST_OP_ACCESS_RW:
      return access_rw(test);
    case abi::IOMMU_TEST_OP_DIRTY:
      return set_dirty(test);
    case abi::IOMMU_TEST_OP_TRIGGER_IOPF:
      return trigger_fault(test);
    case abi::IOMMU_TEST_OP_DMABUF_GET:
      return get_buffer(test);
    default:
      TEEIO_TRY(simple(test));
      return 0;
  }
}

}  // namespace teeio::entry
