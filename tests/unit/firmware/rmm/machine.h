#pragma once

#include <gtest/gtest.h>

#include <functional>

#include "firmware/rmm/device_key.h"
#include "firmware/rmm/rmm.h"
#include "hw/root_port.h"
#include "object/trace.h"
#include "unit/firmware/tdx/test_device.h"
#include "wire/doe.h"

namespace teeio::rmm {

#define EXPECT_RMI(expr, wanted) EXPECT_EQ(code_name((expr).code), code_name(wanted))
#define ASSERT_RMI(expr) ASSERT_EQ(code_name((expr).code), "RMI_SUCCESS") << #expr

/// The end of a communication, as the host sees it.
struct Driven {
  RmiResult result;
  bool stream_wait = false;  ///< the other PDEV is to be driven first
};

/// A realm, a card behind a root port, and the steps that every story begins with. A
/// test calls the commands itself.
class Machine : public testing::Test {
 public:
  static constexpr Bdf kTdi{0, 1, 0, 0};
  static constexpr Bdf kOther{0, 1, 0, 1};
  static constexpr Bdf kPort{0, 0, 1, 0};
  static constexpr Hpa kBar{0x8000'0000};
  static constexpr Hpa kOtherBar{0x8010'0000};
  static constexpr Gpa kIpa{0x4000'0000};
  static constexpr std::uint64_t kId = 9;  ///< the realm's name for the VDEV
  static constexpr std::uint64_t kSid = 0x100;

  /// A BAR's place on the bus; nobody accesses it.
  struct Silent final : hw::MmioTarget {
    void mmio_read(std::uint64_t, std::span<std::byte>) override {}
    void mmio_write(std::uint64_t, ByteView) override {}
  };

  Machine() : Machine(spdm::ChannelSetup{}) {}
  explicit Machine(Settings settings) : Machine(spdm::ChannelSetup{}, std::move(settings)) {}
  explicit Machine(spdm::ChannelSetup channels, Settings settings = {})
      : rmm(memory, trace, {&port}, std::move(channels), std::move(settings)) {
    trace.keep_events(true);
    EXPECT_TRUE(memory.claim_mmio(kBar, 0x10'0000, bar));
    EXPECT_TRUE(memory.claim_mmio(kOtherBar, 0x10'0000, bar));
  }

  static Hpa next(Hpa page) { return page + kPageSize; }
  RmiResult delegate(Hpa page) { return rmm.granule_range_delegate(page, next(page)); }
  RmiResult undelegate(Hpa page) { return rmm.granule_range_undelegate(page, next(page)); }
  Hpa granule() {
    const Hpa page = *memory.alloc_page();
    EXPECT_TRUE(delegate(page).ok());
    return page;
  }
  /// That many granules in a row, the first aligned to them all.
  Hpa run_of(std::uint64_t count) {
    Hpa first = granule();
    while (raw(first) % (count * kPageSize) != 0) first = granule();
    for (std::uint64_t i = 1; i < count; ++i) EXPECT_EQ(granule(), first + i * kPageSize);
    return first;
  }
  /// A page of the host's with those bytes.
  template <class Record>
  Hpa page(const Record& record) {
    EXPECT_TRUE(memory.write(params, record.encode()));
    return params;
  }

  /// Gives a stateful command what it asks for, or takes what it gives, to its end.
  RmiResult finish(RmiResult result) {
    const std::uint64_t operation = result.x1;
    while (result.code == Code::kIncomplete) {
      if (result.memory == MemoryRequest::kDonate) {
        const std::uint64_t wanted = result.x2 >> 2U & 0x3fffU;
        const bool contiguous = (result.x2 >> 16U & 1U) != 0;
        const std::uint64_t each = contiguous ? wanted : 1;
        for (std::uint64_t i = 0; i < wanted / each; ++i)
          EXPECT_TRUE(memory.write_u64(
              list + 8 * i, AddressDescriptor{.base = run_of(each), .count = each}.encode()));
        result = rmm.op_mem_donate(operation, list, wanted / each);
      } else if (result.memory == MemoryRequest::kReclaim) {
        result = rmm.op_mem_reclaim(operation, list, 512);
      } else {
        result = rmm.op_continue(operation);
      }
    }
    return result;
  }

  // Driving.
  void set_enter(const CommEnter& enter) { EXPECT_TRUE(memory.write(data, enter.encode())); }
  CommEnter enter_none() { return {.request = request, .response = response}; }
  CommExit exit() {
    Bytes bytes(CommExit::kSize);
    EXPECT_TRUE(memory.read(data + CommExit::kOffset, bytes));
    return CommExit::decode(bytes);
  }
  void keep(const CommExit& exit) {
    const auto part = [&](Hpa buffer, std::uint64_t offset, std::uint64_t length) {
      Bytes bytes(length);
      EXPECT_TRUE(memory.read(buffer + offset, bytes));
      Bytes& object = cached[static_cast<std::size_t>(exit.object)];
      object.insert(object.end(), bytes.begin(), bytes.end());
    };
    if ((exit.flags & CommExit::kCacheRequest) != 0)
      part(request, exit.cache_request_offset, exit.cache_request_length);
    if ((exit.flags & CommExit::kCacheResponse) != 0)
      part(response, exit.cache_response_offset, exit.cache_response_length);
  }
  Bytes carry(const CommExit& exit) {
    Bytes message(exit.request_length);
    EXPECT_TRUE(memory.read(request, message));
    const auto type = exit.protocol == CommExit::Protocol::kSpdm ? wire::DoeType::kSpdm
                                                                 : wire::DoeType::kSecuredSpdm;
    const Bytes answer =
        relay(wire::DoeObject{wire::kPciSigVendorId, std::to_underlying(type), message}.encode());
    const auto doe = wire::DoeObject::decode(answer);
    return doe ? Bytes(doe->payload.begin(), doe->payload.end()) : Bytes{};
  }
  /// Drives a communication; `lose` says that the host brings no answers.
  Driven drive(const std::function<RmiResult()>& communicate, bool lose = false) {
    CommEnter enter = enter_none();
    for (;;) {
      set_enter(enter);
      const RmiResult step = communicate();
      if (!step.ok()) return {.result = step};
      const CommExit got = exit();
      keep(got);
      if ((got.flags & CommExit::kStreamWait) != 0) return {.result = step, .stream_wait = true};
      if (got.flags == 0) return {.result = step};
      enter = enter_none();
      if ((got.flags & CommExit::kSend) == 0) continue;
      const Bytes answer = lose ? Bytes{} : carry(got);
      enter.status = answer.empty() ? CommEnter::kError : CommEnter::kResponse;
      enter.response_length = answer.size();
      EXPECT_TRUE(memory.write(response, answer));
    }
  }
  RmiResult drive_pdev(bool lose = false) {
    return drive([&] { return rmm.pdev_communicate(pdev, data); }, lose).result;
  }
  RmiResult drive_port() {
    return drive([&] { return rmm.pdev_communicate(rp, data); }).result;
  }
  RmiResult drive_vdev(bool lose = false) { return drive_vdev(vdev, lose); }
  RmiResult drive_vdev(Hpa which, bool lose = false) {
    return drive([&] { return rmm.vdev_communicate(rd, pdev, which, data); }, lose).result;
  }
  /// Both ends of a stream's operation, in turns.
  void drive_stream() {
    ASSERT_RMI(drive_port());
    ASSERT_RMI(drive_pdev());
    ASSERT_RMI(drive_port());
    ASSERT_RMI(drive_pdev());
  }

  // The records of the story.
  PdevParams pdev_params() const {
    return {.flags = PdevParams::make_flags(PdevCategory::kOffChip, true),
            .bridge = Settings::kBridge,
            .id = kTdi.rid(),
            .rid_base = 0x100,
            .rid_top = 0x102};
  }
  PdevParams port_params() const {
    return {.flags = PdevParams::make_flags(PdevCategory::kRootPort, false),
            .bridge = Settings::kBridge,
            .id = kPort.rid()};
  }
  StreamParams stream_params() const { return {.pdev_1 = pdev, .pdev_2 = rp, .stream_id = 5}; }
  VdevParams vdev_params() const {
    return {.id = kId,
            .tdi = kTdi.rid(),
            .range_count = 1,
            .ranges = {{.base = kBar, .top = kBar + 4 * kPageSize}}};
  }
  /// The key of a device that shows none: a point of the curve.
  static PublicKeyParams any_key() {
    constexpr std::uint8_t kGenerator[] = {
        0x04, 0x6b, 0x17, 0xd1, 0xf2, 0xe1, 0x2c, 0x42, 0x47, 0xf8, 0xbc, 0xe6, 0xe5,
        0x63, 0xa4, 0x40, 0xf2, 0x77, 0x03, 0x7d, 0x81, 0x2d, 0xeb, 0x33, 0xa0, 0xf4,
        0xa1, 0x39, 0x45, 0xd8, 0x98, 0xc2, 0x96, 0x4f, 0xe3, 0x42, 0xe2, 0xfe, 0x1a,
        0x7f, 0x9b, 0x8e, 0xe7, 0xeb, 0x4a, 0x7c, 0x0f, 0x9e, 0x16, 0x2b, 0xce, 0x33,
        0x57, 0x6b, 0x31, 0x5e, 0xce, 0xcb, 0xb6, 0x40, 0x68, 0x37, 0xbf, 0x51, 0xf5};
    PublicKeyParams params;
    params.algorithm = 1;
    const auto bytes = std::as_bytes(std::span(kGenerator));
    params.key.assign(bytes.begin(), bytes.end());
    params.key_length = params.key.size();
    return params;
  }

  RmiResult create_rec(Hpa of, Hpa at, const RecParams& how = {}) {
    return finish(rmm.rec_create(of, at, page(how)));
  }

  // The steps of the story.
  void make_realm(bool devices = true) {
    ASSERT_RMI(rmm.realm_create(rd, {.vm = 1, .rtt = rtt, .devices = devices}));
    ASSERT_RMI(create_rec(rd, rec));
    ASSERT_RMI(rmm.realm_activate(rd));
  }
  void make_tables() {
    ASSERT_RMI(rmm.rtt_create(rd, granule(), kIpa, 2));
    ASSERT_RMI(rmm.rtt_create(rd, granule(), kIpa, 3));
  }
  void make_smmu() {
    ASSERT_RMI(finish(rmm.psmmu_activate(Settings::kPsmmu, page(PsmmuParams{}))));
    ASSERT_RMI(finish(rmm.psmmu_st_l2_create(Settings::kPsmmu, kSid)));
  }
  void identify() {
    ASSERT_RMI(finish(rmm.pdev_create(pdev, page(pdev_params()))));
    ASSERT_RMI(drive_pdev());
  }
  /// Up to a PDEV that is READY, and its port's.
  void open() {
    identify();
    const Bytes& chain = cached[static_cast<std::size_t>(CommExit::Object::kCertificate)];
    const PublicKeyParams key = chain.empty() ? any_key() : *device_key(chain);
    ASSERT_RMI(rmm.pdev_set_pubkey(pdev, page(key)));
    ASSERT_RMI(drive_pdev());
    ASSERT_RMI(rmm.pdev_create(rp, page(port_params())));
    ASSERT_RMI(drive_port());
  }
  void stream() {
    const RmiResult connected = rmm.pdev_stream_connect(page(stream_params()));
    ASSERT_RMI(connected);
    handle = connected.x1;
    drive_stream();
    ASSERT_RMI(rmm.pdev_stream_complete(pdev, rp, handle));
  }
  void connect() {
    make_smmu();
    open();
    stream();
  }
  void create_vdev() {
    ASSERT_RMI(rmm.vdev_create(rd, pdev, vdev, page(vdev_params())));
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
  static std::uint64_t one(Hpa address, std::uint8_t level = 3) {
    return AddressDescriptor{.base = address, .count = 1, .level = level}.encode();
  }
  RmiResult dev_map(Gpa ipa, Hpa address) {
    return rmm.rtt_dev_map(rd, vdev, ipa, ipa + kPageSize, {}, one(address));
  }
  RmiResult dev_unmap(Gpa ipa) { return rmm.rtt_dev_unmap(rd, ipa, ipa + kPageSize, {}); }
  void map(std::uint64_t page) {
    const Hpa address = kBar + page * kPageSize;
    ASSERT_RMI(delegate(address));
    ASSERT_RMI(dev_map(kIpa + page * kPageSize, address));
  }
  /// The realm's call is completed with the VDEV that it means; gives why it came back.
  RecExit complete() {
    EXPECT_TRUE(rmm.vdev_complete(rec, vdev).ok());
    return static_cast<RecExit>(rmm.rec_enter(rec).x1);
  }
  Nonces nonces() {
    (void)rmm.rsi_vdev_get_info(rec, kId, 0);
    (void)complete();
    const VdevInfo info = rmm.rsi_info(rec);
    return {info.lock_nonce, info.measurements_nonce, info.report_nonce};
  }
  RsiResult enable_dma() {
    (void)rmm.rsi_vdev_dma_enable(rec, kId, nonces());
    (void)complete();
    return rmm.rsi_result(rec);
  }
  /// The realm asks for device memory, up to where the host is to map it.
  void ask(Gpa base, Gpa top, Hpa pa) {
    const Nonces now = nonces();
    (void)rmm.rsi_vdev_validate_mapping(
        rec, {.vdev_id = kId, .base = base, .top = top, .pa = pa, .nonces = now});
    ASSERT_EQ(complete(), RecExit::kDevMemMap);
  }
  /// Up to a VDEV that is UNLOCKED, LOCKED, or STARTED with its second page mapped.
  void unlocked() {
    make_realm();
    make_tables();
    connect();
    create_vdev();
  }
  void locked() {
    unlocked();
    lock();
  }
  void run() {
    locked();
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
                    {.bdf = kPort,
                     .header = {.identity = {.vendor = 0x1efe, .device = 1},
                                .primary = 0,
                                .secondary = 1,
                                .subordinate = 1,
                                .memory = {},
                                .io = {},
                                .prefetchable = {}},
                     .ide_streams = 2,
                     .tee_io = true}};
  tdx::TestDevice device;  ///< speaks to any firmware
  /// How the host carries an object; a test may bend it.
  std::function<Bytes(ByteView object)> relay = [this](ByteView object) {
    return device.answer(object);
  };
  Rmm rmm;
  Hpa params = *memory.alloc_page();
  Hpa list = *memory.alloc_page();
  Hpa data = *memory.alloc_page();
  Hpa request = *memory.alloc_page();
  Hpa response = *memory.alloc_page();
  Hpa rd = granule();
  Hpa rtt = granule();
  Hpa pdev = granule();
  Hpa rp = granule();
  Hpa vdev = granule();
  Hpa rec = granule();
  std::uint64_t handle = 0;
  Bytes cached[4];
};

}  // namespace teeio::rmm
