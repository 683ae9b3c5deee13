#pragma once

#include <gtest/gtest.h>

#include <optional>
#include <utility>

#include "device/dsm.h"
#include "spdm/channel.h"
#include "wire/doe.h"

namespace teeio::device::testing {

/// A function with one register BAR, an MSI-X page and memory that may be opened.
class FakeFunction final : public TdiFunction {
 public:
  std::vector<wire::TdispMmioRange> mmio_ranges(bool msix_locked) const override {
    const auto shared = msix_locked ? 0U : unsigned{wire::kMmioNonTeeMemory};
    return {{0xc'0000, 16, 0, 0},
            {0xc'0100, 1, static_cast<std::uint16_t>(wire::kMmioMsixTable | shared), 4},
            {0xc'0200, 4, wire::kMmioAttributeUpdatable, 2}};
  }
  std::uint16_t msix_message_control() const override { return 0x8003; }
  std::optional<std::string_view> configuration_fault() const override { return fault; }
  void scrub() override { ++scrubbed; }
  bool draw_nonce(wire::TdispNonce& nonce) override {
    return entropy && TdiFunction::draw_nonce(nonce);
  }

  std::optional<std::string_view> fault;
  int scrubbed = 0;
  bool entropy = true;
};

/// A DSM with two TDIs, and the firmware's end of its channel->
class DsmTest : public ::testing::Test {
 protected:
  static constexpr Bdf kPf{0, 1, 0, 0};
  static constexpr Bdf kVf{0, 1, 0, 1};
  static constexpr std::uint8_t kStream = 3;  // in block 0, as a host sets it up
  static constexpr unsigned kBlock0 = 0x10c;  // the capability is the only extended one
  static constexpr unsigned kBlockSize = 44;

  DsmTest() {
    trace.keep_events(true);
    set_up_stream(0, kStream);
    dsm.add(tdi);
    dsm.add(vf);
    while (auto object = channel->connect_request())
      if (!channel->connect_response(dsm.answer(*object))) break;
  }

  /// Sends a message's bytes and gives the answer's.
  Result<Bytes> send(wire::Protocol protocol, ByteView message) {
    return channel->open(protocol, dsm.answer(channel->seal(protocol, message).value()));
  }
  wire::TdispBody tdisp(const wire::TdispBody& request, Bdf function = kPf) {
    const Bytes bytes = wire::encode_tdisp({wire::TdispFunctionId::of(function), request});
    return wire::decode_tdisp(send(wire::Protocol::kTdisp, bytes).value()).value().body;
  }
  /// The error code of an answer, nullopt when it is no TDISP_ERROR.
  static std::optional<wire::TdispError> error_in(const wire::TdispBody& answer) {
    const auto* error = std::get_if<wire::TdispErrorResponse>(&answer);
    return error ? std::optional(wire::TdispError{error->code}) : std::nullopt;
  }
  Result<wire::IdeKmMessage> ide(const wire::IdeKmMessage& request) {
    const auto answer = send(wire::Protocol::kIdeKm, wire::encode_ide_km(request));
    if (!answer) return std::unexpected(answer.error());
    return wire::decode_ide_km(*answer);
  }
  wire::KpAckStatus program(const wire::IdeKmKeyProg& request) {
    return wire::KpAckStatus{std::get<wire::IdeKmKpAck>(ide(request).value()).status};
  }

  static std::vector<wire::IdeKeySelector> selectors(unsigned key_set) {
    std::vector<wire::IdeKeySelector> all;
    for (const auto direction : {wire::IdeDirection::kRx, wire::IdeDirection::kTx})
      for (const auto sub : {wire::IdeSubStream::kPosted, wire::IdeSubStream::kNonPosted,
                             wire::IdeSubStream::kCompletion})
        all.push_back(wire::IdeKeySelector::make(key_set, direction, sub));
    return all;
  }
  static wire::IdeKey key(int seed) {
    wire::IdeKey made;
    made.key.fill(static_cast<std::byte>(seed));
    return made;
  }
  void write_ide(unsigned block, unsigned reg, std::uint32_t value) {
    const auto at = static_cast<std::uint16_t>(kBlock0 + block * kBlockSize + reg);
    config.write(at, 4, value);
    dsm.config_written(at);
  }
  void write_control(unsigned block, std::uint8_t stream, bool enable) {
    write_ide(block, 0x04, static_cast<std::uint32_t>(stream) << 24U | (enable ? 1U : 0U));
  }
  /// Association and ID, as Linux's pci_ide_stream_setup() leaves them.
  void set_up_stream(unsigned block, std::uint8_t stream) {
    write_ide(block, 0x0c, 0x0800);
    write_ide(block, 0x10, 0x0801);
    write_control(block, stream, false);
  }
  bool shows_secure(unsigned block) {
    const auto at = static_cast<std::uint16_t>(kBlock0 + block * kBlockSize + 0x08);
    return (config.read(at, 4) & 0xfU) == 2;
  }
  void bring_up_stream(std::uint8_t stream = kStream, unsigned key_set = 0) {
    for (const auto selector : selectors(key_set)) {
      ASSERT_EQ(program({stream, selector, 0, key(selector.raw)}), wire::KpAckStatus::kSuccess);
      ASSERT_TRUE(ide(wire::IdeKmKSetGo{stream, selector, 0}));
    }
    write_control(stream == kStream ? 0 : 1, stream, true);
  }
  wire::TdispNonce lock(Bdf function = kPf, std::uint16_t flags = 0) {
    const auto answer = tdisp(wire::TdispLockInterface{flags, kStream, 0x1000'0000, 0}, function);
    const auto* locked = std::get_if<wire::TdispLockInterfaceResponse>(&answer);
    EXPECT_NE(locked, nullptr);
    return locked ? locked->nonce : wire::TdispNonce{};
  }
  /// Brings PF0's TDI into `state` by requests and violations only.
  wire::TdispNonce bring_to(TdiState state) {
    wire::TdispNonce nonce{};
    if (state == TdiState::kConfigUnlocked) return nonce;
    bring_up_stream();
    nonce = lock();
    if (state == TdiState::kRun) tdisp(wire::TdispStartInterface{nonce});
    if (state == TdiState::kError) tdi.violate("test");
    EXPECT_EQ(tdi.state(), state);
    return nonce;
  }

  object::Trace trace;
  hw::ConfigSpace config;
  FakeFunction pf_function;
  FakeFunction vf_function;
  Tdi tdi{trace, kPf, pf_function};
  Tdi vf{trace, kVf, vf_function};
  Dsm dsm{trace, kPf, config, 2};
  const std::unique_ptr<spdm::RequesterChannel> channel = spdm::make_plain_requester();
};

}  // namespace teeio::device::testing
