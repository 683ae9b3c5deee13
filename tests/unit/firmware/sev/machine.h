#pragma once

#include <gtest/gtest.h>

#include <functional>

#include "firmware/sev/tio.h"
#include "firmware/sev/tio_messages.h"
#include "unit/firmware/tdx/test_device.h"
#include "wire/doe.h"

namespace teeio::sev {

#define EXPECT_STATUS(expr, wanted) EXPECT_EQ(status_name(expr), status_name(wanted))
#define ASSERT_STATUS(expr) ASSERT_EQ(status_name(expr), "SEV_RET_SUCCESS") << #expr

/// A secure processor with SEV-TIO, a card behind a root port, a guest, and the host's part
/// of every exchange. A test issues the commands itself.
class Machine : public testing::Test {
 protected:
  static constexpr std::uint16_t kRid = 0x100;
  static constexpr std::uint16_t kOtherRid = 0x101;
  static constexpr std::uint16_t kPortNumber = 3;
  static constexpr std::uint8_t kStream = 7;
  static constexpr std::uint32_t kRoot = 0;
  static constexpr Asid kAsid = 5;
  static constexpr std::uint16_t kGuestId = 0x8;
  static constexpr Hpa kBar{0x8000'0000};
  static constexpr std::uint32_t kBarPages = 4;
  static constexpr std::uint16_t kRange = 2;
  static constexpr Gpa kGpa{0xc000'0000};

  /// A BAR's place on the bus; nobody accesses it.
  struct Silent final : hw::MmioTarget {
    void mmio_read(std::uint64_t, std::span<std::byte>) override {}
    void mmio_write(std::uint64_t, ByteView) override {}
  };

  Machine() : Machine(spdm::ChannelSetup{}) {}
  explicit Machine(spdm::ChannelSetup channels)
      : tio(psp, guard,
            {TioPort{.port = &port, .number = kPortNumber, .root = kRoot},
             TioPort{.port = &other_port, .number = 4, .root = 1}},
            std::move(channels)) {
    trace.keep_events(true);
    EXPECT_TRUE(memory.claim_mmio(kBar, kBarPages * kPageSize, bar));
    EXPECT_TRUE(port.configure_stream(
        0, {.stream_id = kStream, .rid_first = 0, .rid_last = 0xffff, .memory = {}}));
    device.report.ranges = {{.first_page = raw(kBar) >> kPageShift,
                             .pages = kBarPages,
                             .attributes = wire::kMmioAttributeUpdatable,
                             .range_id = kRange}};
    snp_init(kInitRmp | kInitTioEnable);
    buffers = {.request = alloc(1, true),
               .response = alloc(1, false),
               .scratch = alloc(1, true),
               .output = alloc(1, true)};
    status_page = firmware_page();
    response_page = firmware_page();
  }

  static hw::RootPort::Options port_options(std::uint8_t device, std::uint8_t bus) {
    return {.bdf = {0, 0, device, 0},
            .header = {.identity = {.vendor = 0x1efe, .device = 1},
                       .primary = 0,
                       .secondary = bus,
                       .subordinate = bus,
                       .memory = {},
                       .io = {},
                       .prefetchable = {}},
            .ide_streams = 2,
            .tee_io = true};
  }

  Status run(std::uint16_t number, const Bytes& buffer) {
    EXPECT_TRUE(memory.write(command_page, buffer));
    return psp.command(number, command_page);
  }
  void snp_init(std::uint32_t flags) {
    EXPECT_STATUS(run(kSnpInitEx, Writer().le(flags).zeros(60).take()), Status::kSuccess);
  }
  Status snp_shutdown() { return run(kSnpShutdownEx, Writer().le(8U).le(0U).take()); }

  Hpa firmware_page() {
    const Hpa page = *memory.alloc_page();
    EXPECT_EQ(rmp.update(page, {.assigned = true, .immutable = true}), RmpStatus::kSuccess);
    return page;
  }
  /// sla_alloc() of the driver.
  Sla alloc(std::size_t pages, bool firmware) {
    const auto one = [&] { return firmware ? firmware_page() : *memory.alloc_page(); };
    if (pages == 1) return Sla::of(one());
    const Hpa list = *memory.alloc_page();
    Writer out;
    for (std::size_t n = 0; n < pages; ++n) out.le(raw(one()));
    EXPECT_TRUE(memory.write(list, out.le(Sla::kEnd).take()));
    return Sla::of(list, true);
  }

  /// A command, once.
  Status issue(TioCommand command, const TioOperands& in) {
    return run(static_cast<std::uint16_t>(command), in.encode(tio_layout(command)));
  }
  /// And the host's part: larger buffers, and objects carried to the device and back.
  Status drive(TioCommand command, TioOperands& in) {
    for (;;) {
      const Status status = issue(command, in);
      if (status == Status::kExpandBufferLengthRequest) {
        expand(in.spdm.scratch);
        expand(in.spdm.output);
        buffers = in.spdm;
        ++expansions;
      } else if (status == Status::kSpdmRequest) {
        carry(in.spdm);
      } else {
        return status;
      }
    }
  }
  void carry(const TioOperands::Spdm& spdm) {
    const auto request = Buffer::open(memory, spdm.request)->object();
    ASSERT_TRUE(request);
    const Bytes answer =
        relay(wire::DoeObject{.type = request->type, .payload = request->data}.encode());
    DataObject response{.id = DataObject::Id::kResponse, .type = request->type, .data = {}};
    if (const auto doe = wire::DoeObject::decode(answer)) {
      response.type = doe->type;
      response.data.assign(doe->payload.begin(), doe->payload.end());
      // sev_tio_continue(): the length is rounded up.
      const std::size_t whole = DataObject::header_size(response.id) + response.data.size();
      response.data.resize(response.data.size() + (32 - whole % 32) % 32);
    }
    EXPECT_TRUE(Buffer::open(memory, spdm.response)->put_object(response));
  }
  void expand(Sla& sla) {
    const auto old = Buffer::open(memory, sla);
    const std::size_t wanted = old->header()->capacity;
    if (wanted > old->size()) sla = alloc(wanted / kPageSize, true);
  }

  TioOperands operands() {
    TioOperands in;
    in.spdm = buffers;
    in.device = device_context;
    in.tdi = tdi_context;
    in.guest = gctx;
    in.status_page = status_page;
    in.request_page = request_page;
    in.response_page = response_page;
    in.device_id = kRid;
    in.root_port_id = kPortNumber;
    in.tc_mask = 1;
    in.stream_ids = {kStream, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    in.function_id = kRid;
    in.guest_device_id = kGuestId;
    in.asid = kAsid;
    return in;
  }
  Status drive(TioCommand command) {
    TioOperands in = operands();
    return drive(command, in);
  }

  GuestContext& make_guest(Hpa page, Asid asid, std::uint32_t vm) {
    GuestContext& made = psp.make_guest(page);
    made.vm = vm;
    made.state = GuestContext::State::kRunning;
    made.asid = asid;
    for (std::size_t n = 0; n < GuestContext::kMessageKeys; ++n)
      made.message_keys.at(n).fill(static_cast<std::byte>(0x40 + n + asid));
    return made;
  }
  void init() { ASSERT_STATUS(drive(TioCommand::kInit)); }
  void create() {
    device_context = alloc(2, true);
    ASSERT_STATUS(drive(TioCommand::kDevCreate));
  }
  void connect() { ASSERT_STATUS(drive(TioCommand::kDevConnect)); }
  void create_tdi() {
    tdi_context = alloc(1, true);
    ASSERT_STATUS(drive(TioCommand::kTdiCreate));
  }
  void bind() { ASSERT_STATUS(drive(TioCommand::kTdiBind)); }
  void start() {
    TioOperands in = operands();
    in.run_flags = kRunForce;
    ASSERT_STATUS(drive(TioCommand::kTdiBind, in));
  }
  /// Up to a TDI that is locked for the guest.
  void up_to_bound() {
    init();
    create();
    connect();
    guest = &make_guest(gctx = firmware_page(), kAsid, 1);
    create_tdi();
    bind();
  }
  void up_to_running() {
    up_to_bound();
    start();
  }

  // The guest's end of messages.
  /// A sealed request in the request page.
  void post(TioMessage type, Bytes payload, std::uint8_t key = 0) {
    const GuestMessage message{.sequence = guest->sequence.at(key) + 1,
                               .type = static_cast<std::uint8_t>(type),
                               .key = key,
                               .payload = std::move(payload)};
    EXPECT_TRUE(memory.write(request_page, message.seal(guest->message_keys.at(key))));
  }
  /// The opened answer; empty when there is none.
  Bytes answer(std::uint8_t key = 0) {
    Bytes page(kPageSize);
    EXPECT_TRUE(memory.read(response_page, page));
    const auto sealed = SealedMessage::decode(page);
    if (!sealed) return {};
    const auto opened = sealed->open(guest->message_keys.at(key));
    return opened ? opened->payload : Bytes{};
  }
  Bytes ask(TioMessage type, Bytes payload) {
    post(type, std::move(payload));
    EXPECT_STATUS(drive(TioCommand::kGuestRequest), Status::kSuccess);
    return answer();
  }
  static Bytes tdi_info_request(std::uint16_t id = kGuestId) {
    return Writer().le(id).zeros(14).take();
  }
  static Bytes sdte_request(const SecureDte& entry, std::uint16_t id = kGuestId) {
    return Writer().le(id).zeros(14).bytes(entry.encode()).take();
  }
  static std::uint16_t status_in(ByteView answer) {
    Reader in(answer);
    in.skip(2);
    return in.le<std::uint16_t>();
  }

  wire::TdiState device_state() { return device.tdis[kRid].state; }
  /// The facts that the firmware reached since `first`, sequence numbers aside.
  std::vector<object::Fact> facts(std::size_t first = 0) {
    std::vector<object::Fact> found;
    for (std::size_t i = first; i < trace.events().size(); ++i) {
      const object::Event& event = trace.events()[i];
      if (event.fact != object::Fact::kNone && event.fact != object::Fact::kSequenceUsed &&
          event.from == object::Lane::kFirmware)
        found.push_back(event.fact);
    }
    return found;
  }

  object::Trace trace;
  hw::PhysicalMemory memory{1U << 24U};
  Silent bar;
  hw::RootPort port{trace, port_options(1, 1)};
  hw::RootPort other_port{trace, port_options(2, 2)};
  tdx::TestDevice device;  ///< speaks to any firmware
  /// How the host carries an object; a test may bend it. Empty: it brings no answer.
  std::function<Bytes(ByteView object)> relay = [this](ByteView object) {
    return device.answer(object);
  };
  Rmp rmp{memory};
  Platform psp{memory, trace, rmp, {}};
  IoGuard guard{trace};
  Tio tio;
  Hpa command_page = *memory.alloc_page();
  Hpa request_page = *memory.alloc_page();
  Hpa status_page{0}, response_page{0}, gctx{0};
  TioOperands::Spdm buffers;
  Sla device_context, tdi_context;
  GuestContext* guest = nullptr;
  unsigned expansions = 0;
};

}  // namespace teeio::sev
