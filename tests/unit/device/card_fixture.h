#pragma once

#include <gtest/gtest.h>

#include <map>
#include <utility>
#include <vector>

#include "device/dma_descriptor.h"
#include "device/dma_engine_card.h"
#include "device/tdi.h"
#include "spdm/channel.h"
#include "wire/ide_km.h"
#include "wire/tdisp_messages.h"

namespace teeio::device::testing {

/// 1 MiB of memory from address 0, a second one that only T=1 reaches, and a
/// record of the interrupt messages.
class FakePort final : public hw::DmaPort {
 public:
  static constexpr std::size_t kSize = 1 << 20;
  Result<void> dma_read(hw::Requester from, hw::TBit t, Iova address,
                        std::span<std::byte> out) override {
    if (out.empty()) ++flushes;
    if (from.pasid) named.push_back(std::to_underlying(*from.pasid));
    TEEIO_TRY(check(address, out.size()));
    std::ranges::copy(ByteView(memory(t)).subspan(raw(address), out.size()), out.begin());
    return {};
  }
  Result<void> dma_write(hw::Requester from, hw::TBit t, Iova address, ByteView in) override {
    if (raw(address) >= 0xfee0'0000 && raw(address) < 0xfef0'0000) {
      messages.push_back({from.rid, Reader(in).le<std::uint32_t>(), t});
      return {};
    }
    if (from.pasid) named.push_back(std::to_underlying(*from.pasid));
    TEEIO_TRY(check(address, in.size()));
    std::ranges::copy(in, memory(t).begin() + static_cast<std::ptrdiff_t>(raw(address)));
    return {};
  }
  Bytes& memory(hw::TBit t) { return t == hw::TBit::kTrusted ? trusted : shared; }

  struct Message {
    std::uint16_t rid;
    std::uint32_t data;
    hw::TBit t;
  };
  Bytes shared = Bytes(kSize);
  Bytes trusted = Bytes(kSize);
  std::vector<Message> messages;
  std::vector<std::uint32_t> named;  ///< PASIDs of requests that had one
  unsigned flushes = 0;              ///< reads of no bytes

 private:
  static Result<void> check(Iova address, std::size_t size) {
    if (raw(address) + size > kSize) return fail(Errno::kFault, "no memory there");
    return {};
  }
};

/// Drives a card as a host would: config space, DOE mailbox, BARs.
template <class Card>
class TeeCardTest : public ::testing::Test {
 protected:
  static constexpr Bdf kPf{0, 1, 0, 0};
  static constexpr std::uint8_t kStream = 3;
  static constexpr unsigned kPfIndex = 0, kVfIndex = 1;

  template <class... More>
  explicit TeeCardTest(const typename Card::Options& options, More&&... more)
      : card(trace, options, std::forward<More>(more)...) {
    trace.keep_events(true);
    for (hw::PciFunction* function : card.functions()) function->attach(port);
  }

  hw::PciFunction& function(unsigned index) { return *card.functions().at(index); }
  TdiState state(unsigned index) { return card.tdi(index).state(); }

  std::uint32_t config(unsigned index, unsigned offset, unsigned size = 4) {
    return function(index).config_read(static_cast<std::uint16_t>(offset), size);
  }
  void set_config(unsigned index, unsigned offset, std::uint32_t value, unsigned size = 4) {
    function(index).config_write(static_cast<std::uint16_t>(offset), size, value);
  }
  unsigned capability(unsigned index, unsigned id) {
    for (unsigned at = config(index, 0x34, 1); at != 0; at = config(index, at + 1, 1))
      if (config(index, at, 1) == id) return at;
    ADD_FAILURE() << "no capability " << id;
    return 0;
  }
  unsigned extended_capability(unsigned index, unsigned id) {
    for (unsigned at = 0x100; at != 0; at = config(index, at) >> 20U)
      if ((config(index, at) & 0xffffU) == id) return at;
    ADD_FAILURE() << "no extended capability " << id;
    return 0;
  }

  /// One exchange through the mailbox's registers.
  Bytes exchange(ByteView object) {
    const unsigned doe = extended_capability(kPfIndex, 0x2e);
    Reader r(object);
    while (!r.rest().empty()) set_config(kPfIndex, doe + 0x10, r.le<std::uint32_t>());
    set_config(kPfIndex, doe + 0x08, 0x8000'0000);
    Writer answer;
    while ((config(kPfIndex, doe + 0x0c) & 0x8000'0000U) != 0) {
      answer.le(config(kPfIndex, doe + 0x14));
      set_config(kPfIndex, doe + 0x14, 0);
    }
    return answer.take();
  }
  void connect() {
    const unsigned ide = extended_capability(kPfIndex, 0x30);
    set_config(kPfIndex, ide + 0x1c, 0x0801);  // association valid
    set_config(kPfIndex, ide + 0x10, kStream << 24U | 1U);
    while (auto object = channel->connect_request())
      if (!channel->connect_response(exchange(*object))) break;
    for (unsigned sub = 0; sub < 3; ++sub)
      for (const auto direction : {wire::IdeDirection::kRx, wire::IdeDirection::kTx}) {
        const auto selector =
            wire::IdeKeySelector::make(0, direction, static_cast<wire::IdeSubStream>(sub));
        send(wire::Protocol::kIdeKm,
             wire::encode_ide_km(wire::IdeKmKeyProg{kStream, selector, 0, wire::IdeKey{}}));
        send(wire::Protocol::kIdeKm, wire::encode_ide_km(wire::IdeKmKSetGo{kStream, selector, 0}));
      }
  }
  Bytes send(wire::Protocol protocol, ByteView message) {
    return channel->open(protocol, exchange(channel->seal(protocol, message).value())).value();
  }
  wire::TdispBody tdisp(unsigned index, const wire::TdispBody& request) {
    const auto id = wire::TdispFunctionId::of(function(index).bdf());
    const Bytes answer = send(wire::Protocol::kTdisp, wire::encode_tdisp({id, request}));
    return wire::decode_tdisp(answer).value().body;
  }
  void lock(unsigned index, std::uint16_t flags = 0) {
    if (!channel->connected()) connect();
    const auto answer = tdisp(index, wire::TdispLockInterface{flags, kStream, 0, 0});
    nonce = std::get<wire::TdispLockInterfaceResponse>(answer).nonce;
  }
  void run(unsigned index, std::uint16_t flags = 0) {
    lock(index, flags);
    tdisp(index, wire::TdispStartInterface{nonce});
    ASSERT_EQ(state(index), TdiState::kRun);
  }
  void stop(unsigned index) { tdisp(index, wire::TdispStopInterface{}); }
  void enable_bus_master(unsigned index) { set_config(index, 0x04, 0x0006, 2); }

  hw::MmioTarget& bar(unsigned index, unsigned number, hw::TBit t = hw::TBit::kShared) {
    return t == hw::TBit::kShared ? *function(index).bars().at(number).target
                                  : *function(index).private_bar(number);
  }
  std::uint32_t mmio(unsigned index, unsigned number, std::uint64_t offset,
                     hw::TBit t = hw::TBit::kShared) {
    std::uint32_t value = 0;
    bar(index, number, t).mmio_read(offset, writable_bytes_of(value));
    return value;
  }
  void set_mmio(unsigned index, unsigned number, std::uint64_t offset, std::uint32_t value,
                hw::TBit t = hw::TBit::kShared) {
    bar(index, number, t).mmio_write(offset, bytes_of(value));
  }

  object::Trace trace;
  FakePort port;
  Card card;
  const std::unique_ptr<spdm::RequesterChannel> channel = spdm::make_plain_requester();
  wire::TdispNonce nonce{};
};

class CardTest : public TeeCardTest<DmaEngineCard> {
 protected:
  explicit CardTest(unsigned pasid_bits = 0)
      : TeeCardTest(
            {.pf = kPf, .vfs = 2, .window = Hpa{0x20'0000'0000}, .pasid_bits = pasid_bits}) {}
};

}  // namespace teeio::device::testing
