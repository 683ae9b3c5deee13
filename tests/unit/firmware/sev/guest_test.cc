// Guest messages, MMIO and the fence.
#include "firmware/sev/guest_message.h"
#include "firmware/sev/sla.h"
#include "firmware/sev/tio_operands.h"
#include "unit/firmware/sev/machine.h"

namespace teeio::sev {
namespace {

using object::Fact;

class Guest : public Machine {
 protected:
  void SetUp() override { up_to_running(); }

  struct Validate {
    std::uint16_t id = kGuestId;
    Gpa base = kGpa;
    std::uint32_t pages = kBarPages;
    std::uint32_t offset = 0;
    std::uint16_t flags = kValidated;
    std::uint16_t range = kRange;
  };
  MmioValidateStatus validate(const Validate& v, bool* changed = nullptr) {
    const Bytes request = Writer()
                              .le(v.id)
                              .zeros(14)
                              .le(raw(v.base))
                              .le(v.pages)
                              .le(v.offset)
                              .le(v.flags)
                              .le(v.range)
                              .zeros(12)
                              .take();
    const Bytes response = ask(TioMessage::kMmioValidateRequest, request);
    EXPECT_EQ(response.size(), 48U);
    if (changed != nullptr) *changed = (response.at(32) & std::byte{1}) != std::byte{0};
    return static_cast<MmioValidateStatus>(status_in(response));
  }
  void give_bar(Asid asid = kAsid, Gpa gpa = kGpa) {
    for (std::uint32_t n = 0; n < kBarPages; ++n)
      ASSERT_EQ(rmp.update(kBar + n * kPageSize,
                           {.assigned = true, .asid = asid, .gpa = gpa + n * kPageSize}),
                RmpStatus::kSuccess);
  }
  SdteWriteStatus write_sdte(const SecureDte& entry, std::uint16_t id = kGuestId) {
    return static_cast<SdteWriteStatus>(
        status_in(ask(TioMessage::kSdteWriteRequest, sdte_request(entry, id))));
  }
  std::uint64_t fence_word() {
    EXPECT_STATUS(drive(TioCommand::kAsidFenceStatus), Status::kSuccess);
    return *memory.read_u64(status_page);
  }
};

TEST_F(Guest, ASealedMessageIsOpenedByItsKeyAlone) {
  const GuestMessage message{.sequence = 9, .type = 19, .key = 1, .payload = Bytes(20)};
  const std::array<std::byte, 32> key{std::byte{7}};
  const auto sealed = SealedMessage::decode(message.seal(key));
  ASSERT_TRUE(sealed);
  const auto opened = sealed->open(key);
  ASSERT_TRUE(opened);
  EXPECT_EQ(opened->payload, message.payload);
  EXPECT_EQ(opened->type, 19);
  EXPECT_FALSE(sealed->open({}));
}

TEST_F(Guest, AMessageIsGoodOnce) {
  EXPECT_FALSE(ask(TioMessage::kTdiInfoRequest, tdi_info_request()).empty());
  EXPECT_EQ(guest->sequence.at(0), 2U);
  EXPECT_STATUS(drive(TioCommand::kGuestRequest), Status::kInvalidParam) << "replayed";
  EXPECT_FALSE(ask(TioMessage::kTdiInfoRequest, tdi_info_request()).empty());
  EXPECT_EQ(guest->sequence.at(0), 4U);
  EXPECT_EQ(guest->sequence.at(1), 0U) << "each key counts for itself";
}

TEST_F(Guest, AnUnknownMessageIsRefused) {
  post(TioMessage{99}, Bytes(16));
  EXPECT_STATUS(drive(TioCommand::kGuestRequest), Status::kInvalidParam);
  post(TioMessage::kTdiInfoRequest, Bytes(15));
  EXPECT_STATUS(drive(TioCommand::kGuestRequest), Status::kInvalidParam);
}

TEST_F(Guest, ATdiThatIsNotTheGuestsIsInvalidToIt) {
  EXPECT_EQ(status_in(ask(TioMessage::kTdiInfoRequest, tdi_info_request(0x77))), 1U);
  // Another guest's message, brought with this TDI.
  const Hpa other = firmware_page();
  const Hpa mine = std::exchange(gctx, other);
  guest = &make_guest(other, kAsid + 1, 2);
  EXPECT_EQ(status_in(ask(TioMessage::kTdiInfoRequest, tdi_info_request())), 1U);
  EXPECT_EQ(write_sdte({.valid = true}), SdteWriteStatus::kInvalidTdi);
  EXPECT_EQ(guard.entry(kRid), std::nullopt);
  gctx = mine;
}

TEST_F(Guest, AfterTheUnbindMessagesSayUnbound) {
  ASSERT_STATUS(drive(TioCommand::kTdiUnbind));
  EXPECT_EQ(status_in(ask(TioMessage::kTdiInfoRequest, tdi_info_request())), 2U);
  EXPECT_EQ(write_sdte({.valid = true}), SdteWriteStatus::kNotBound);
  EXPECT_EQ(validate({}), MmioValidateStatus::kTdiUnbound);
}

TEST_F(Guest, ASdteHasTheFirmwaresAsid) {
  const std::size_t before = trace.events().size();
  EXPECT_EQ(write_sdte({.valid = true, .read = true, .vtom_enabled = true, .vtom = Gpa{1U << 30U}}),
            SdteWriteStatus::kSuccess);
  const auto entry = guard.entry(kRid);
  ASSERT_TRUE(entry);
  EXPECT_EQ(entry->asid, kAsid);
  EXPECT_EQ(entry->guest_device_id, kGuestId);
  EXPECT_FALSE(entry->write);
  EXPECT_EQ(write_sdte({}), SdteWriteStatus::kSuccess);
  EXPECT_EQ(guard.entry(kRid), std::nullopt);
  EXPECT_EQ(facts(before), (std::vector{Fact::kTrustedDmaOn, Fact::kTrustedDmaOff}));
}

TEST_F(Guest, ASdteWithBitsThatAreNotTheGuestsIsRefused) {
  Bytes request = sdte_request({.valid = true});
  request.at(16 + 24) = std::byte{1};  // asid
  EXPECT_EQ(status_in(ask(TioMessage::kSdteWriteRequest, request)),
            static_cast<std::uint16_t>(SdteWriteStatus::kReserved));
}

TEST_F(Guest, MmioIsValidatedWhereTheReportAndTheRmpAgree) {
  give_bar();
  bool changed = false;
  EXPECT_EQ(validate({}, &changed), MmioValidateStatus::kSuccess);
  EXPECT_TRUE(changed);
  for (std::uint32_t n = 0; n < kBarPages; ++n)
    EXPECT_EQ(rmp.check_guest(kAsid, kGpa + n * kPageSize, kBar + n * kPageSize, RmpAccess::kWrite),
              std::nullopt);
  EXPECT_EQ(validate({}, &changed), MmioValidateStatus::kSuccess);
  EXPECT_FALSE(changed);
  EXPECT_EQ(validate({.flags = 0}, &changed), MmioValidateStatus::kSuccess);
  EXPECT_TRUE(changed);
  EXPECT_EQ(rmp.state(kBar), PageState::kGuestInvalid);
}

TEST_F(Guest, EachWrongMmioHasItsStatus) {
  EXPECT_EQ(validate({}), MmioValidateStatus::kNotAssigned);
  give_bar(kAsid + 1);
  EXPECT_EQ(validate({}), MmioValidateStatus::kNotAssigned) << "another guest's";
  give_bar(kAsid, kGpa + kPageSize);
  EXPECT_EQ(validate({}), MmioValidateStatus::kNotMapped) << "the host swapped pages";
  give_bar();
  EXPECT_EQ(validate({.id = 0x77}), MmioValidateStatus::kInvalidTdi);
  EXPECT_EQ(validate({.range = 5}), MmioValidateStatus::kNotReported);
  EXPECT_EQ(validate({.pages = kBarPages + 1}), MmioValidateStatus::kOutOfRange);
  EXPECT_EQ(validate({.pages = 0}), MmioValidateStatus::kOutOfRange);
  EXPECT_EQ(validate({.pages = 1, .offset = 8}), MmioValidateStatus::kOutOfRange);
  EXPECT_EQ(validate({.base = kGpa + 8, .pages = 1}), MmioValidateStatus::kOutOfRange);
  EXPECT_EQ(validate({.pages = kBarPages, .offset = kPageSize}), MmioValidateStatus::kOutOfRange);
  EXPECT_EQ(validate({.base = kGpa + kPageSize, .pages = 1, .offset = kPageSize}),
            MmioValidateStatus::kSuccess);
  EXPECT_EQ(validate({}), MmioValidateStatus::kNotUniform);
  EXPECT_EQ(validate({.flags = kValidated | kForceValidated}), MmioValidateStatus::kSuccess);
}

TEST_F(Guest, WhatTheHostTakesBackIsNoLongerValidated) {
  give_bar();
  ASSERT_EQ(validate({}), MmioValidateStatus::kSuccess);
  ASSERT_EQ(rmp.update(kBar, {}), RmpStatus::kSuccess);
  give_bar();
  EXPECT_EQ(validate({.pages = 1}), MmioValidateStatus::kSuccess);
  EXPECT_EQ(rmp.check_guest(kAsid, kGpa + kPageSize, kBar + kPageSize, RmpAccess::kRead),
            RmpFault::kNotValidated);
}

TEST_F(Guest, MmioConfigReadsAndChangesAnAttribute) {
  const auto config = [&](std::uint32_t word, bool write) {
    return ask(TioMessage::kMmioConfigRequest,
               Writer().le(kGuestId).zeros(2).le(word).le(std::uint32_t{write}).zeros(4).take());
  };
  const std::uint32_t range = std::uint32_t{kRange} << 16U;
  const Bytes read = config(range, false);
  ASSERT_EQ(read.size(), 16U);
  EXPECT_EQ(status_in(read), 0U);
  EXPECT_EQ(Reader(ByteView(read).subspan(4)).le<std::uint32_t>(),
            range | wire::kMmioAttributeUpdatable);
  EXPECT_EQ(status_in(config(std::uint32_t{9} << 16U, false)),
            static_cast<std::uint16_t>(MmioConfigStatus::kNotReported));
  device.answer_instead = wire::TdispSetMmioAttributeResponse{};
  EXPECT_EQ(status_in(config(range | wire::kMmioNonTeeMemory, true)), 0U);
  device.refuse_all = true;
  device.answer_instead.reset();
  EXPECT_EQ(status_in(config(range | wire::kMmioNonTeeMemory, true)),
            static_cast<std::uint16_t>(MmioConfigStatus::kCouldNotChange));
}

TEST_F(Guest, AFenceIsSeenAndLiftedWhenItsCauseIsGone) {
  EXPECT_EQ(fence_word(), 0U);
  guard.violation(kRoot, kRid, kAsid, "a page is gone");
  EXPECT_EQ(fence_word(), 1U | 3U << 2U);
  EXPECT_STATUS(drive(TioCommand::kAsidFenceClear), Status::kInUse);
  ASSERT_STATUS(drive(TioCommand::kTdiUnbind));
  EXPECT_STATUS(drive(TioCommand::kAsidFenceClear), Status::kSuccess);
  EXPECT_EQ(fence_word(), 0U);
}

TEST_F(Guest, ATdiThatStartsUnderAFenceDoesNotLiftIt) {
  guard.violation(kRoot, kRid, kAsid, "a page is gone");
  ASSERT_STATUS(drive(TioCommand::kTdiUnbind));
  bind();
  start();
  EXPECT_EQ(guard.fence(kRoot, kAsid), Fence::kError);
}

TEST(GuestMessageHeader, IsAllThereAndNamesAKeyThatThereIs) {
  constexpr std::size_t kKeyAt = 0x3c;  // MSG_VMPCK
  const std::array<std::byte, 32> key{};
  Bytes page = GuestMessage{.sequence = 1, .type = 5, .key = 3, .payload = {}}.seal(key);
  page.resize(GuestMessage::kHeaderSize);
  EXPECT_TRUE(SealedMessage::decode(page));
  const auto shorter = SealedMessage::decode(ByteView(page).first(page.size() - 1));
  ASSERT_FALSE(shorter);
  EXPECT_EQ(shorter.error().code, Errno::kInval);
  page[kKeyAt] = std::byte{GuestContext::kMessageKeys};
  EXPECT_FALSE(SealedMessage::decode(page));
}

TEST(TioStatusOfTheFirmware, HasAtLeastWhatLinuxReads) {
  Bytes status = TioStatus{.flags = TioStatus::kEnabled}.encode();
  status[0] = std::byte{48};
  EXPECT_TRUE(TioStatus::decode(status));
  status[0] = std::byte{47};
  const auto shorter = TioStatus::decode(status);
  ASSERT_FALSE(shorter);
  EXPECT_EQ(shorter.error().code, Errno::kFault);
}

TEST(DataObjectOfABuffer, IsNoShorterThanItsHeaderAndNoLongerThanTheBuffer) {
  constexpr std::size_t kLengthAt = 4;
  Bytes object = DataObject{.id = DataObject::Id::kReport, .data = Bytes(4)}.encode();
  ASSERT_TRUE(DataObject::decode(object));
  const auto whole = object[kLengthAt];
  for (const std::size_t wrong :
       {DataObject::header_size(DataObject::Id::kReport) - 1, object.size() + 1}) {
    object[kLengthAt] = static_cast<std::byte>(wrong);
    const auto decoded = DataObject::decode(object);
    ASSERT_FALSE(decoded) << wrong;
    EXPECT_EQ(decoded.error().code, Errno::kInval);
  }
  object[kLengthAt] = whole;
  EXPECT_TRUE(DataObject::decode(object));
}

}  // namespace
}  // namespace teeio::sev
