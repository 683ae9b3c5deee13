#pragma once

#include <gtest/gtest.h>

#include <array>
#include <memory>
#include <vector>

#include "base/bytes.h"
#include "device/dma_engine_card.h"
#include "firmware/sev/launch.h"
#include "firmware/sev/platform.h"
#include "firmware/sev/tio_operands.h"
#include "host/pci_tsm/doe.h"
#include "hw/find_capability.h"
#include "object/trace.h"
#include "serve/secure_processor/card.h"
#include "wire/doe.h"

namespace teeio::secure_processor {

/// What a kernel's module does with the function: registers and memory of its BARs, nothing
/// else. Pages are taken in order and not given back.
class Host {
 public:
  static constexpr std::uint32_t kPort = 1;

  explicit Host(device::DsmSpdm words = {}) : sessions_(words.sessions) {
    trace.keep_events(true);
    card = std::make_unique<device::DmaEngineCard>(
        trace, device::DmaEngineCard::Options{
                   .pf = {.bus = 1}, .window = Hpa{0x3800'0000'0000}, .spdm = std::move(words)});
    teeio::spdm::ChannelSetup channels;
    channels.sessions = sessions_;
    processor = std::make_unique<Card>(trace, Bdf{.device = 8}, make_ports(), channels);
    memory_on();
  }

  void memory_on() { processor->function().config_write(hw::kCommand, 2, 2); }
  [[nodiscard]] const hw::Bar& bar(std::size_t number) const {
    return processor->function().bars().at(number);
  }
  std::uint32_t get(std::uint64_t offset) {
    std::array<std::byte, 4> bytes{};
    bar(0).target->mmio_read(offset, bytes);
    return Reader(bytes).le<std::uint32_t>();
  }
  std::uint32_t get(Register reg) { return get(static_cast<std::uint64_t>(reg)); }
  void put(std::uint64_t offset, std::uint32_t value) {
    bar(0).target->mmio_write(offset, Writer().le(value).take());
  }
  void put(Register reg, std::uint32_t value) { put(static_cast<std::uint64_t>(reg), value); }

  [[nodiscard]] std::uint64_t base() {
    return get(Register::kMemoryLow) | std::uint64_t{get(Register::kMemoryHigh)} << 32U;
  }
  Bytes peek(std::uint64_t address, std::size_t size) {
    Bytes out(size);
    bar(2).target->mmio_read(address - base(), out);
    return out;
  }
  void poke(std::uint64_t address, ByteView in) { bar(2).target->mmio_write(address - base(), in); }

  std::uint32_t rmp_update(std::uint64_t page, std::uint32_t how) {
    put(Register::kPageLow, static_cast<std::uint32_t>(page));
    put(Register::kPageHigh, static_cast<std::uint32_t>(page >> 32U));
    put(Register::kRmpUpdate, how);
    return get(Register::kRmpUpdate);
  }
  std::uint64_t page(bool firmware) {
    const std::uint64_t at = base() + next_++ * kPageSize;
    if (firmware) (void)rmp_update(at, kRmpAssigned | kRmpImmutable);
    return at;
  }
  /// The pages lie one behind another; their list is the page before them.
  sev::Sla buffer(std::size_t pages, bool firmware) {
    const std::uint64_t list = page(false);
    Writer entries;
    for (std::size_t n = 1; n <= pages; ++n) entries.le(list + n * kPageSize);
    poke(list, entries.le(sev::Sla::kEnd).take());
    for (std::size_t n = 1; n <= pages; ++n) {
      const std::uint64_t at = page(false);
      if (n == 1) poke(at, Writer().le(static_cast<std::uint32_t>(pages * kPageSize)).take());
      if (firmware) (void)rmp_update(at, kRmpAssigned | kRmpImmutable);
    }
    return sev::Sla::of(Hpa{list}, true);
  }

  sev::Status command(std::uint16_t number, ByteView buffer) {
    const std::uint64_t at = base();  // the first page is for command buffers
    poke(at, buffer);
    put(Register::kBufferLow, static_cast<std::uint32_t>(at));
    put(Register::kBufferHigh, static_cast<std::uint32_t>(at >> 32U));
    put(Register::kCommand, std::uint32_t{number} << kCommandShift);
    const std::uint32_t response = get(Register::kCommand);
    EXPECT_NE(response & kResponse, 0U);
    return static_cast<sev::Status>(response & 0xffffU);
  }
  sev::Status init() {
    return command(sev::kSnpInitEx,
                   Writer().le(sev::kInitRmp | sev::kInitTioEnable).zeros(60).take());
  }
  /// Until it is over: what talks to the device goes through its mailbox.
  sev::Status tio(sev::TioCommand number, sev::TioOperands in = {}) {
    in.device = device;
    in.spdm = spdm;
    if (raw(in.status_page) == 0) in.status_page = Hpa{status_page};
    for (;;) {
      const sev::Status status =
          command(static_cast<std::uint16_t>(number), in.encode(sev::tio_layout(number)));
      if (status != sev::Status::kSpdmRequest) return status;
      carry();
    }
  }
  void carry() {
    const std::uint64_t request = raw(spdm.request.page()) + kPageSize;
    const std::uint64_t response = raw(spdm.response.page()) + kPageSize;
    const auto object = sev::DataObject::decode(ByteView(peek(request, kPageSize)).subspan(64));
    ASSERT_TRUE(object);
    const wire::DoeObject question{.type = object->type, .payload = object->data};
    const auto answer = tsm::doe_exchange(*card->functions().front(), question.encode());
    ASSERT_TRUE(answer) << answer.error().why;
    const auto doe = wire::DoeObject::decode(*answer);
    ASSERT_TRUE(doe);
    const Bytes bytes = sev::DataObject{.id = sev::DataObject::Id::kResponse,
                                        .type = object->type,
                                        .data = Bytes(doe->payload.begin(), doe->payload.end())}
                            .encode();
    poke(response, Writer()
                       .le(std::uint32_t{kPageSize})
                       .le(static_cast<std::uint32_t>((bytes.size() + 31) / 32 * 32))
                       .zeros(56)
                       .bytes(bytes)
                       .take());
  }

  /// Where stream block 0 of the port is in BAR 0; it has no link streams.
  std::uint64_t port_block() {
    put(Register::kPort, kPort);
    std::uint64_t at = 0x100;
    while ((get(kPortWindow + at) & 0xffffU) != hw::kExtendedIde) at = get(kPortWindow + at) >> 20U;
    return kPortWindow + at + 0x0c;
  }
  [[nodiscard]] hw::PciFunction& pf() const { return *card->functions().front(); }
  void put_card(std::uint16_t offset, std::uint32_t value) const {
    const auto at = *hw::find_extended_capability(pf(), hw::kExtendedIde);
    pf().config_write(static_cast<std::uint16_t>(at + 0x0c + offset), 4, value);
  }
  /// Stream 0 with an association of every requester, at both ends.
  void set_up_streams() {
    const std::uint64_t block = port_block();
    put(block + 0x0c, 0xffffU << 8U);
    put(block + 0x10, 1);
    put(block + 0x04, 1U << 9U);
    put_card(0x0c, 0xffffU << 8U);
    put_card(0x10, 1);
    put_card(0x04, 1U << 22U | 1U << 23U);
  }
  void enable_streams() {
    put(port_block() + 0x04, 1U << 9U | 1U);
    put_card(0x04, 1U << 22U | 1U << 23U | 1U);
    pf().config_write(hw::kCommand, 2, 6);
  }
  /// SNP_INIT_EX, TIO_INIT, pages for everything, TIO_DEV_CREATE.
  void create_device() {
    ASSERT_EQ(init(), sev::Status::kSuccess);
    status_page = page(true);
    ASSERT_EQ(tio(sev::TioCommand::kInit), sev::Status::kSuccess);
    device = buffer(2, true);
    spdm = {buffer(1, true), buffer(1, false), buffer(2, true), buffer(16, true)};
    sev::TioOperands create;
    create.device_id = Bdf{.bus = 1}.rid();
    create.root_port_id = kPort;
    ASSERT_EQ(tio(sev::TioCommand::kDevCreate, create), sev::Status::kSuccess);
  }
  void connect() {
    create_device();
    set_up_streams();
    sev::TioOperands in;
    in.tc_mask = 1;
    in.stream_ids.fill(0xff);
    in.stream_ids[0] = 0;
    ASSERT_EQ(tio(sev::TioCommand::kDevConnect, in), sev::Status::kSuccess);
    enable_streams();
  }
  void create_guest() {
    gctx = page(true);
    ASSERT_EQ(command(sev::kSnpGctxCreate, Writer().le(gctx).take()), sev::Status::kSuccess);
    ASSERT_EQ(
        command(sev::kSnpLaunchStart, Writer().le(gctx).le(sev::kPolicyMustBeOne).zeros(32).take()),
        sev::Status::kSuccess);
    ASSERT_EQ(command(sev::kSnpActivate, Writer().le(gctx).le(1U).take()), sev::Status::kSuccess);
  }
  [[nodiscard]] sev::TioOperands about_tdi() const {
    sev::TioOperands in;
    in.tdi = tdi;
    in.guest = Hpa{gctx};
    in.function_id = Bdf{.bus = 1}.rid();
    in.guest_device_id = 8;
    return in;
  }
  void bind() {
    tdi = buffer(1, true);
    ASSERT_EQ(tio(sev::TioCommand::kTdiCreate, about_tdi()), sev::Status::kSuccess);
    ASSERT_EQ(tio(sev::TioCommand::kTdiBind, about_tdi()), sev::Status::kSuccess);
  }

  object::Trace trace;
  std::unique_ptr<device::DmaEngineCard> card;
  std::unique_ptr<Card> processor;
  sev::Sla device;
  sev::Sla tdi;
  sev::TioOperands::Spdm spdm;
  std::uint64_t status_page = 0;
  std::uint64_t gctx = 0;

 private:
  std::vector<std::unique_ptr<hw::RootPort>> make_ports() {
    std::vector<std::unique_ptr<hw::RootPort>> ports;
    ports.push_back(std::make_unique<hw::RootPort>(
        trace, hw::RootPort::Options{.bdf = {.device = kPort},
                                     .header = {.identity = {.vendor = 0x1efe, .device = 1},
                                                .primary = 0,
                                                .secondary = 1,
                                                .subordinate = 1,
                                                .memory = {},
                                                .io = {},
                                                .prefetchable = {}},
                                     .ide_streams = 2,
                                     .tee_io = true}));
    return ports;
  }
  const bool sessions_;
  std::size_t next_ = 1;  ///< the first page is command()'s
};

}  // namespace teeio::secure_processor
