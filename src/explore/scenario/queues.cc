// Queues that iommufd gives programs, on the mock IOMMU of its selftests: of page requests, of a
// vIOMMU's events and of its commands. Each may go while something comes to it.

#include <array>
#include <optional>
#include <span>

#include "abi/iommufd_test.h"
#include "base/check.h"
#include "explore/scenario/stage.h"
#include "explore/scenario/themes.h"
#include "explore/scenario/with_size.h"

namespace teeio::explore {
namespace {

using machine::Config;

constexpr std::uint32_t kSelftestType =
    0xdeadbeef;                                   ///< IOMMU_VIOMMU_TYPE_SELFTEST, and its queues'
constexpr std::uint32_t kEventType = 0xbeefdead;  ///< IOMMU_VEVENTQ_TYPE_SELFTEST
constexpr std::uint32_t kHwptData = 0xdead;       ///< IOMMU_HWPT_DATA_SELFTEST
constexpr std::uint64_t kQueueIova = 0x100'0000;  ///< of what the mock maps

/// An iommufd with a mock function, on an HWPT that others can nest in.
class MockBench {
 public:
  explicit MockBench(Vmm& vmm) : vmm_(vmm) {
    vmm_.iommufd = vmm_.open("/dev/iommu").value_or(-1);
    auto alloc = with_size<abi::iommu_ioas_alloc>();
    TEEIO_CHECK(call(IOMMU_IOAS_ALLOC, alloc).has_value(), "no IOAS");
    ioas = alloc.out_ioas_id;
    auto made = op(abi::IOMMU_TEST_OP_MOCK_DOMAIN_FLAGS, ioas);
    TEEIO_CHECK(call(IOMMU_TEST_CMD, made).has_value(), "no mock function");
    stdev = made.words[0];
    device = made.words[2];
    parent = hwpt(ioas, abi::IOMMU_HWPT_ALLOC_NEST_PARENT);
  }
  template <class T>
  Result<std::int64_t> call(std::uint32_t command, T& arg) {
    return vmm_.ioctl(vmm_.iommufd, command, arg);
  }
  static abi::iommu_test_cmd op(std::uint32_t number, std::uint32_t id) {
    auto cmd = with_size<abi::iommu_test_cmd>();
    cmd.op = number;
    cmd.id = id;
    return cmd;
  }
  /// A nested one: of the parent, or of a vIOMMU; with the queue of its faults, if it has one.
  std::uint32_t nested(std::uint32_t pt, std::optional<std::uint32_t> queue = std::nullopt) {
    constexpr std::uint32_t kFaultIdValid = 4;  // IOMMU_HWPT_FAULT_ID_VALID
    const std::array<std::uint32_t, 2> data{0xbadbeef, 0};
    return hwpt(pt, queue ? kFaultIdValid : 0, queue.value_or(0), std::as_bytes(std::span(data)));
  }
  Result<std::int64_t> replace(std::uint32_t pt) {
    auto cmd = op(abi::IOMMU_TEST_OP_MOCK_DOMAIN_REPLACE, stdev);
    cmd.words[0] = pt;
    return call(IOMMU_TEST_CMD, cmd);
  }
  [[nodiscard]] Vmm& vmm() { return vmm_; }

  std::uint32_t ioas = 0, stdev = 0, device = 0, parent = 0;

 private:
  std::uint32_t hwpt(std::uint32_t pt, std::uint32_t flags, std::uint32_t queue = 0,
                     ByteView data = {}) {
    auto alloc = with_size<abi::iommu_hwpt_alloc>();
    alloc.flags = flags;
    alloc.dev_id = device;
    alloc.pt_id = pt;
    alloc.fault_id = queue;
    if (!data.empty()) {
      alloc.data_type = kHwptData;
      alloc.data_len = static_cast<std::uint32_t>(data.size());
      alloc.data_uptr = vmm_.store(data);
    }
    TEEIO_CHECK(call(IOMMU_HWPT_ALLOC, alloc).has_value(), "no HWPT");
    return alloc.out_hwpt_id;
  }

  Vmm& vmm_;
};

Config with_mock(const Config& design) {
  Config mock = design;
  mock.iommufd_mock = true;
  return mock;
}

// --- Page requests ---

class FaultBench {
 public:
  explicit FaultBench(Vmm& vmm) : mock_(vmm) {
    auto queue = with_size<abi::iommu_fault_alloc>();
    TEEIO_CHECK(mock_.call(IOMMU_FAULT_QUEUE_ALLOC, queue).has_value(), "no queue");
    queue_ = static_cast<int>(queue.out_fault_fd);
    nested_ = mock_.nested(mock_.parent, queue.out_fault_id);
    TEEIO_CHECK(mock_.replace(nested_).has_value(), "the function takes no nested HWPT");
  }
  Result<std::int64_t> fault() {
    auto cmd = MockBench::op(abi::IOMMU_TEST_OP_TRIGGER_IOPF, 0);
    cmd.trigger_iopf.dev_id = mock_.device;
    cmd.trigger_iopf.grpid = 5;
    return mock_.call(IOMMU_TEST_CMD, cmd);
  }
  Result<std::int64_t> leave() { return mock_.replace(mock_.parent); }
  Result<void> close_queue() { return mock_.vmm().close(queue_); }
  void read_queue() {
    abi::iommu_hwpt_pgfault fault{};
    (void)mock_.vmm().pread(queue_, 0, writable_bytes_of(fault));
  }

 private:
  MockBench mock_;
  std::uint32_t nested_ = 0;
  int queue_ = -1;
};

void queue_close_against_fault(const Config& design) {
  const Config mock = with_mock(design);
  Stage stage(mock, Stage::Card::kAsAtBoot);
  FaultBench bench(stage.vmm());
  stage.play({{"fault", [&] { (void)bench.fault(); }},
              {"closer", [&] { (void)bench.close_queue(); }},
              {"detacher", [&] { (void)bench.leave(); }}});
}

void queue_read_against_fault(const Config& design) {
  const Config mock = with_mock(design);
  Stage stage(mock, Stage::Card::kAsAtBoot);
  FaultBench bench(stage.vmm());
  stage.play({{"fault", [&] { (void)bench.fault(); }},
              {"reader", [&] { bench.read_queue(); }},
              {"detacher", [&] { (void)bench.leave(); }}});
}

/// The queue's id and its descriptor are there before the call returns.
void queue_alloc_against_its_end(const Config& design) {
  const Config mock = with_mock(design);
  Stage stage(mock, Stage::Card::kAsAtBoot);
  MockBench bench(stage.vmm());
  Vmm& vmm = bench.vmm();
  const std::uint32_t next = bench.parent + 1;
  const int lowest_free = vmm.dup(vmm.iommufd).value_or(-1);
  must(vmm.close(lowest_free));
  auto queue = with_size<abi::iommu_fault_alloc>();
  stage.play({{"maker", [&] { (void)bench.call(IOMMU_FAULT_QUEUE_ALLOC, queue); }},
              {"ender", [&] {
                 (void)vmm.close(lowest_free);
                 (void)vmm.destroy(next);
               }}});
  TEEIO_CHECK(queue.out_fault_id == next, "the queue has another id");
}

// --- A vIOMMU's queues ---

/// A vIOMMU with the function's vDEVICE, and a page of its nest parent's.
class ViommuBench {
 public:
  explicit ViommuBench(Vmm& vmm) : mock(vmm) {
    auto viommu = with_size<abi::iommu_viommu_alloc>();
    viommu.type = kSelftestType;
    viommu.dev_id = mock.device;
    viommu.hwpt_id = mock.parent;
    TEEIO_CHECK(mock.call(IOMMU_VIOMMU_ALLOC, viommu).has_value(), "no vIOMMU");
    id = viommu.out_viommu_id;
    const std::uint32_t nested = mock.nested(id);
    auto vdevice = with_size<abi::iommu_vdevice_alloc>();
    vdevice.viommu_id = id;
    vdevice.dev_id = mock.device;
    vdevice.virt_id = 0x99;
    TEEIO_CHECK(mock.call(IOMMU_VDEVICE_ALLOC, vdevice).has_value(), "no vDEVICE");
    TEEIO_CHECK(mock.replace(nested).has_value(), "the function takes no nested HWPT");
    auto map = with_size<abi::iommu_ioas_map>();
    map.flags = abi::IOMMU_IOAS_MAP_FIXED_IOVA | abi::IOMMU_IOAS_MAP_READABLE |
                abi::IOMMU_IOAS_MAP_WRITEABLE;
    map.ioas_id = mock.ioas;
    map.user_va = vmm.memory().map(kPageSize);
    map.length = kPageSize;
    map.iova = kQueueIova;
    TEEIO_CHECK(mock.call(IOMMU_IOAS_MAP, map).has_value(), "no page is mapped");
  }
  Result<int> listen() {
    auto queue = with_size<abi::iommu_veventq_alloc>();
    queue.viommu_id = id;
    queue.type = kEventType;
    queue.veventq_depth = 1;
    TEEIO_TRY(mock.call(IOMMU_VEVENTQ_ALLOC, queue));
    return static_cast<int>(queue.out_veventq_fd);
  }
  void event() {
    auto cmd = MockBench::op(abi::IOMMU_TEST_OP_TRIGGER_VEVENT, 0);
    cmd.words[0] = mock.device;
    (void)mock.call(IOMMU_TEST_CMD, cmd);
  }
  Result<std::uint32_t> command_queue(std::uint32_t index) {
    auto queue = with_size<abi::iommu_hw_queue_alloc>();
    queue.viommu_id = id;
    queue.type = kSelftestType;
    queue.index = index;
    queue.nesting_parent_iova = kQueueIova;
    queue.length = kPageSize;
    TEEIO_TRY(mock.call(IOMMU_HW_QUEUE_ALLOC, queue));
    return queue.out_hw_queue_id;
  }
  Result<void> unmap() {
    auto arg = with_size<abi::iommu_ioas_unmap>();
    arg.ioas_id = mock.ioas;
    arg.iova = kQueueIova;
    arg.length = kPageSize;
    TEEIO_TRY(mock.call(IOMMU_IOAS_UNMAP, arg));
    return {};
  }

  MockBench mock;
  std::uint32_t id = 0;
};

void listen_twice(const Config& design) {
  const Config mock = with_mock(design);
  Stage stage(mock, Stage::Card::kAsAtBoot);
  ViommuBench bench(stage.vmm());
  Result<int> first, second;
  stage.play(
      {{"first", [&] { first = bench.listen(); }}, {"second", [&] { second = bench.listen(); }}});
  TEEIO_CHECK(first.has_value() != second.has_value(),
              "a vIOMMU has two queues of one kind of events, or none");
}

void event_against_queue(const Config& design) {
  const Config mock = with_mock(design);
  Stage stage(mock, Stage::Card::kAsAtBoot);
  ViommuBench bench(stage.vmm());
  stage.play({{"device", [&] { bench.event(); }}, {"program", [&] {
                                                     const auto fd = bench.listen();
                                                     if (fd) must(bench.mock.vmm().close(*fd));
                                                   }}});
}

/// Both pin the same page.
void command_queue_twice(const Config& design) {
  const Config mock = with_mock(design);
  Stage stage(mock, Stage::Card::kAsAtBoot);
  ViommuBench bench(stage.vmm());
  Result<std::uint32_t> first, second;
  stage.play({{"first", [&] { first = bench.command_queue(0); }},
              {"second", [&] { second = bench.command_queue(0); }}});
  TEEIO_CHECK(first.has_value() != second.has_value(),
              "a vIOMMU has two command queues of one index, or none");
}

/// The mock's queues are of a row, each of which needs the one before it.
void command_queue_against_the_one_before(const Config& design) {
  const Config mock = with_mock(design);
  Stage stage(mock, Stage::Card::kAsAtBoot);
  ViommuBench bench(stage.vmm());
  const auto before = bench.command_queue(0);
  TEEIO_CHECK(before.has_value(), "no command queue");
  Result<std::uint32_t> made;
  Result<void> destroyed;
  stage.play({{"maker", [&] { made = bench.command_queue(1); }},
              {"destroyer", [&] { destroyed = bench.mock.vmm().destroy(*before); }}});
  TEEIO_CHECK(made.has_value() != destroyed.has_value(),
              "a queue stands on one that has gone, or neither was done");
}

/// Its pages are pinned, or are gone before.
void command_queue_against_unmap(const Config& design) {
  const Config mock = with_mock(design);
  Stage stage(mock, Stage::Card::kAsAtBoot);
  ViommuBench bench(stage.vmm());
  Result<std::uint32_t> made;
  Result<void> unmapped;
  stage.play({{"maker", [&] { made = bench.command_queue(0); }},
              {"unmapper", [&] { unmapped = bench.unmap(); }}});
  TEEIO_CHECK(made.has_value() != unmapped.has_value(),
              "a queue's pages were unmapped beneath it, or neither was done");
}

/// A queue goes before its vIOMMU.
void command_queue_against_destroy(const Config& design) {
  const Config mock = with_mock(design);
  Stage stage(mock, Stage::Card::kAsAtBoot);
  ViommuBench bench(stage.vmm());
  Result<std::uint32_t> made;
  stage.play({{"maker", [&] { made = bench.command_queue(0); }},
              {"destroyer", [&] { (void)bench.mock.vmm().destroy(bench.id); }}});
  if (made) must(bench.mock.vmm().destroy(*made));
}

}  // namespace

void add_queue_scenarios(std::vector<MachineScenario>& all) {
  // The mock IOMMU is the same beside each firmware, which has no part in it.
  const auto add = [&](std::string name, std::string description, void (*body)(const Config&)) {
    all.push_back({.name = std::move(name),
                   .description = std::move(description),
                   .body = body,
                   .firmware = {machine::TsmKind::kTdx}});
  };
  add("fault-queue/close-against-fault",
      "a fault queue's close, a page request, and the device's detach", queue_close_against_fault);
  add("fault-queue/read-against-fault", "a fault queue is read while a request comes and goes",
      queue_read_against_fault);
  add("fault-queue/alloc-against-its-end",
      "IOMMU_FAULT_QUEUE_ALLOC against the close and the destruction of what it gives",
      queue_alloc_against_its_end);
  add("viommu-queue/listen-twice", "two IOMMU_VEVENTQ_ALLOC of one kind: exactly one is made",
      listen_twice);
  add("viommu-queue/event-against-its-queue", "an event while its queue comes and goes",
      event_against_queue);
  add("viommu-queue/commands-twice", "two IOMMU_HW_QUEUE_ALLOC of one index: exactly one is made",
      command_queue_twice);
  add("viommu-queue/commands-against-the-one-before",
      "IOMMU_HW_QUEUE_ALLOC against IOMMU_DESTROY of the queue before it",
      command_queue_against_the_one_before);
  add("viommu-queue/commands-against-unmap",
      "IOMMU_HW_QUEUE_ALLOC against IOAS_UNMAP of the queue's pages", command_queue_against_unmap);
  add("viommu-queue/commands-against-destroy",
      "IOMMU_HW_QUEUE_ALLOC against IOMMU_DESTROY of its vIOMMU", command_queue_against_destroy);
}

}  // namespace teeio::explore
