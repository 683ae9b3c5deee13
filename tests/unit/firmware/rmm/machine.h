#pragma once

#include <gtest/gtest.h>

#include <functional>

#include "firmware/rmm/rmm.h"
#include "hw/root_port.h"
#include "object/trace.h"
#include "unit/firmware/tdx/test_device.h"

namespace teeio::rmm {

#define EXPECT_RMI(expr, wanted) EXPECT_EQ(code_name((expr).code), code_name(wanted))
#define ASSERT_RMI(expr) ASSERT_EQ(code_name((expr).code), "RMI_SUCCESS") << #expr

/// A realm, a card behind a root port, and the steps that every story begins
/// with. A test calls the commands itself.
class Machine : public testing::Test {
 protected:
  static constexpr Bdf kTdi{0, 1, 0, 0};
  static constexpr Bdf kOther{0, 1, 0, 1};
  static constexpr Hpa kBar{0x8000'0000};
  static constexpr Hpa kOtherBar{0x8010'0000};
  static constexpr Gpa kIpa{0x4000'0000};
  static constexpr std::uint64_t kId = 9;  ///< the realm's name for the VDEV

  /// A BAR's place on the bus; nobody accesses it.
  struct Silent final : hw::MmioTarget {
    void mmio_read(std::uint64_t, std::span<std::byte>) override {}
    void mmio_write(std::uint64_t, ByteView) override {}
  };

  Machine() : Machine(spdm::ChannelSetup{}) {}
  explicit Machine(spdm::ChannelSetup channels) : rmm(memory, trace, {&port}, std::move(channels)) {
    trace.keep_events(true);
    EXPECT_TRUE(memory.claim_mmio(kBar, 2 * kPageSize, bar));
  }

  Hpa granule() {
    const Hpa page = *memory.alloc_page();
    EXPECT_TRUE(rmm.granule_delegate(page).ok());
    return page;
  }

  /// Drives a communication; `lose` says that the host brings no answers.
  RmiResult drive(const std::function<RmiResult(HostComm)>& communicate, bool lose = false) {
    HostComm host;
    for (;;) {
      const RmiResult step = communicate(host);
      if (!step.ok() || step.x1 == 0) return step;
      host = {.status = HostComm::Status::kError};
      if (lose) continue;
      Bytes object(step.x1);
      EXPECT_TRUE(memory.read(data, object));
      const Bytes answer = relay(object);
      EXPECT_TRUE(memory.write(data, answer));
      host = {.status = HostComm::Status::kResponse, .response_bytes = answer.size()};
    }
  }
  RmiResult drive_pdev(bool lose = false) {
    return drive([&](HostComm host) { return rmm.pdev_communicate(pdev, data, host); }, lose);
  }
  RmiResult drive_vdev(bool lose = false) {
    return drive([&](HostComm host) { return rmm.vdev_communicate(rd, pdev, vdev, data, host); },
                 lose);
  }

  void make_realm() {
    ASSERT_RMI(rmm.realm_create(rd, 1));
    ASSERT_RMI(rmm.rec_create(rd, rec));
    ASSERT_RMI(rmm.realm_activate(rd));
  }
  void connect() {
    ASSERT_RMI(rmm.pdev_create(pdev, {.function = kTdi, .rid_base = 0x100, .rid_top = 0x102}));
    ASSERT_RMI(drive_pdev());
    ASSERT_RMI(rmm.pdev_stream_connect(pdev, port.bdf(), 5));
    ASSERT_RMI(drive_pdev());
  }
  void create_vdev() {
    ASSERT_RMI(rmm.vdev_create(
        rd, pdev, vdev,
        {.tdi = kTdi, .id = kId, .ranges = {{.base = kBar, .top = kBar + 2 * kPageSize}}}));
    ASSERT_RMI(drive_vdev());
  }
  void lock() {
    ASSERT_RMI(rmm.vdev_lock(rd, pdev, vdev));
    ASSERT_RMI(drive_vdev());
  }
  void start() {
    ASSERT_RMI(rmm.vdev_start(rd, pdev, vdev));
    ASSERT_RMI(drive_vdev());
  }
  void map(std::uint64_t page) {
    const Hpa address = kBar + page * kPageSize;
    ASSERT_RMI(rmm.granule_delegate(address));
    ASSERT_RMI(rmm.rtt_dev_map(rd, vdev, kIpa + page * kPageSize, address));
  }
  /// The realm asks for device memory, up to where the host is to map it.
  void ask(Gpa base, Gpa top, Hpa pa) {
    (void)rmm.rsi_vdev_validate_mapping(rec, kId, base, top, pa);
    ASSERT_RMI(rmm.vdev_complete(rec, vdev));
    ASSERT_EQ(rmm.rec_enter(rec).x1, static_cast<std::uint64_t>(RecExit::kDevMemMap));
  }
  /// Up to a VDEV that is STARTED, with its second page mapped.
  void run() {
    make_realm();
    connect();
    create_vdev();
    lock();
    map(1);
    start();
    ASSERT_EQ(vdev_state(), VdevState::kStarted);
  }
  VdevState vdev_state() { return static_cast<VdevState>(rmm.vdev_get_state(vdev).x1); }
  PdevState pdev_state() { return static_cast<PdevState>(rmm.pdev_get_state(pdev).x1); }
  wire::TdiState device_state() { return device.tdis[0x100].state; }

  /// The facts that the firmware reached since `first`, in order.
  std::vector<object::Fact> facts(std::size_t first = 0) {
    std::vector<object::Fact> found;
    for (std::size_t i = first; i < trace.events().size(); ++i)
      if (trace.events()[i].fact != object::Fact::kNone &&
          trace.events()[i].from == object::Lane::kFirmware)
        found.push_back(trace.events()[i].fact);
    return found;
  }

  object::Trace trace;
  hw::PhysicalMemory memory{1U << 24U};
  Silent bar;
  hw::RootPort port{trace,
                    {.bdf = {0, 0, 1, 0},
                     .header = {.identity = {.vendor = 0x1efe, .device = 1},
                                .primary = 0,
                                .secondary = 1,
                                .subordinate = 1,
                                .memory = {},
                                .prefetchable = {}},
                     .ide_streams = 2,
                     .tee_io = true}};
  tdx::TestDevice device;  ///< speaks to any firmware
  /// How the host carries an object; a test may bend it.
  std::function<Bytes(ByteView object)> relay = [this](ByteView object) {
    return device.answer(object);
  };
  Rmm rmm;
  Hpa data = *memory.alloc_page();
  Hpa rd = granule();
  Hpa pdev = granule();
  Hpa vdev = granule();
  Hpa rec = granule();
};

}  // namespace teeio::rmm
