#include "firmware/tdx/state.h"
#include "unit/firmware/tdx/machine.h"

// TDISP through the module: what a request holds, who gets its answer, and what an
// answer that is no good leaves behind. Source: intel/tdx-module, branch tdxio,
// tdh_devif_{request,response}.c, tdg_devif_{request,response}.c, tdisp.c.

namespace teeio::tdx {
namespace {

class Request : public Machine {
 protected:
  void SetUp() override {
    connect();
    td = running_td();
    bind(td);
    validate(td);
  }

  LeafResult ask(DevifRequest code) {
    LeafResult result;
    inside(td, [&] { result = module.tdg_devif_request(td.vp, kFunction, code); });
    return result;
  }
  Module::GuestLeafResult take(std::optional<Gpa> buffer = std::nullopt) {
    Module::GuestLeafResult result;
    inside(td, [&] { result = module.tdg_devif_response(td.vp, kFunction, buffer); });
    return result;
  }
  /// The VMM's own request, whose answer it gives with the TD's flag.
  LeafResult answer_to_td(DevifRequest code) {
    const LeafResult asked = module.tdh_devif_request(kFunction, code, OnBehalfOf::kVmm, message);
    if (!asked.ok()) return asked;
    carry();
    return module.tdh_devif_response(kFunction, OnBehalfOf::kTd, message);
  }
  std::uint64_t state() {
    return static_cast<std::uint64_t>(module.state().find_devif(kFunction)->state);
  }
  /// The host's adversary: another lock, of which the guest has seen nothing.
  void lock_again(std::byte nonce) {
    ASSERT_OK(tdisp(DevifRequest::kStop));
    device.next_nonce = nonce;
    ASSERT_OK(tdisp(DevifRequest::kLock));
  }

  TestTd td;
};

// --- START's nonce ---

TEST_F(Request, StartHasTheNonceOfTheLockUnderWhichTheGuestAsked) {
  ASSERT_OK(ask(DevifRequest::kStart));
  lock_again(std::byte{0x77});
  const LeafResult relayed = relay_guest();
  ASSERT_OK(relayed);
  EXPECT_EQ(relayed.message_code(), 0x7f);  // INVALID_NONCE
  EXPECT_EQ(device.tdis[0x0100].state, wire::TdiState::kConfigLocked);
  validate(td);
  const auto taken = take();
  ASSERT_OK(taken);
  EXPECT_EQ(taken.leaf.message_detail(), 2);  // INVALID_NONCE
  EXPECT_EQ(state(), 1U);
  // Under the lock that the guest now knows it starts.
  ASSERT_OK(guest_tdisp(td, DevifRequest::kStart));
  EXPECT_EQ(state(), 2U);
}

TEST_F(Request, WhatGoesOutIsWhatTheGuestAskedForWithItsCode) {
  ASSERT_OK(ask(DevifRequest::kState));
  const LeafResult asked =
      module.tdh_devif_request(kFunction, DevifRequest::kNone, OnBehalfOf::kTd, message);
  ASSERT_OK(asked);
  EXPECT_EQ(asked.message_code(), 0x85);
}

TEST_F(Request, LockForbidsFirmwareUpdatesWhenTheVmmSaysSo) {
  ASSERT_OK(tdisp(DevifRequest::kStop));
  ASSERT_OK(
      module.tdh_devif_request(kFunction, DevifRequest::kLock, OnBehalfOf::kVmm, message, true));
  carry();
  ASSERT_OK(module.tdh_devif_response(kFunction, OnBehalfOf::kVmm, message));
  EXPECT_EQ(device.tdis[0x0100].lock.flags, wire::kLockNoFirmwareUpdate);
}

TEST_F(Request, InErrorNothingOfTheGuestsIsRelayed) {
  ASSERT_OK(ask(DevifRequest::kState));
  device.tdis[0x0100].state = wire::TdiState::kError;
  ASSERT_OK(tdisp(DevifRequest::kState));
  EXPECT_CODE(relay_guest(), Code::kTdispErrorState);
  ASSERT_OK(tdisp(DevifRequest::kStop));
}

// --- Answers ---

TEST_F(Request, ABadAnswerLeavesTheRequestPendingUntilAGoodOne) {
  device.answers_for = 0x0101;
  EXPECT_CODE(tdisp(DevifRequest::kState), Code::kTdispInvalidMessage);
  EXPECT_CODE(tdisp(DevifRequest::kStop), Code::kTdispOutReq);
  EXPECT_CODE(module.tdh_devif_remove(kFunction), Code::kDevifInvalidState);
  device.answers_for = 0;
  // A plain channel keeps no count: the right answer may still come.
  (void)module.tdh_devif_request(kFunction, DevifRequest::kState, OnBehalfOf::kVmm, message);
  ASSERT_TRUE(memory.write(message, device.answer(last_object)).has_value());
  ASSERT_OK(module.tdh_devif_response(kFunction, OnBehalfOf::kVmm, message));
  ASSERT_OK(tdisp(DevifRequest::kStop));
}

TEST_F(Request, OnceTheStreamIsBlockedAWedgedInterfaceMayGo) {
  device.answers_for = 0x0101;
  EXPECT_CODE(tdisp(DevifRequest::kStop), Code::kTdispInvalidMessage);
  ASSERT_OK(module.tdh_ide_stream_block(kIommu, kStream));
  EXPECT_CODE(tdisp(DevifRequest::kStop), Code::kTdispOutReq);  // the block frees no request
  ASSERT_OK(module.tdh_devif_remove(kFunction));
  EXPECT_CODE(create_devif(td), Code::kIdeStreamInvalidState);  // the card's stream is lost
}

TEST_F(Request, AWedgedRequestOfTheGuestStopsTheVmmToo) {
  ASSERT_OK(ask(DevifRequest::kState));
  relay = [](ByteView object) { return Bytes(object.begin(), object.end()); };
  EXPECT_CODE(relay_guest(), Code::kTdispInvalidMessage);
  EXPECT_CODE(tdisp(DevifRequest::kStop), Code::kTdispOutReq);
}

TEST_F(Request, AnotherAnswerThanTheOneToTheRequestIsTakenForWhatItIs) {
  // The message type is not held against the request's.
  ASSERT_OK(module.tdh_devif_request(kFunction, DevifRequest::kLock, OnBehalfOf::kVmm, message));
  device.answer_instead = wire::TdispInterfaceState{wire::TdiState::kConfigLocked};
  carry();
  const LeafResult taken = module.tdh_devif_response(kFunction, OnBehalfOf::kVmm, message);
  ASSERT_OK(taken);
  EXPECT_EQ(taken.message_code(), 0x05);
}

TEST_F(Request, TheVmmGetsNoReportAndNoStart) {
  for (const wire::TdispBody& body :
       {wire::TdispBody(wire::TdispInterfaceReportPortion{0, device.report.encode()}),
        wire::TdispBody(wire::TdispStartInterfaceResponse{})}) {
    device.answer_instead = body;
    const LeafResult got = tdisp(DevifRequest::kState);
    EXPECT_CODE(got, Code::kOperandInvalid);
    EXPECT_EQ(operand_name(got.status.operand()), "RDX");
    device.answer_instead.reset();
    ASSERT_TRUE(memory.write(message, device.answer(last_object)).has_value());
    ASSERT_OK(module.tdh_devif_response(kFunction, OnBehalfOf::kVmm, message));
  }
}

TEST_F(Request, TheVmmMayHaveItsAnswerCopied) {
  ASSERT_OK(module.tdh_devif_request(kFunction, DevifRequest::kState, OnBehalfOf::kVmm, message));
  carry();
  const Hpa output = page();
  const LeafResult taken = module.tdh_devif_response(kFunction, OnBehalfOf::kVmm, message, output);
  ASSERT_OK(taken);
  Bytes bytes(taken.message_bytes());
  ASSERT_TRUE(memory.read(output, bytes).has_value());
  const auto answer = wire::decode_tdisp(bytes);
  ASSERT_TRUE(answer.has_value());
  EXPECT_EQ(wire::code_of(answer->body), wire::TdispCode::kDeviceInterfaceState);
}

TEST_F(Request, TheTdsAnswerIsNotTheVmms) {
  ASSERT_OK(ask(DevifRequest::kState));
  ASSERT_OK(module.tdh_devif_request(kFunction, DevifRequest::kNone, OnBehalfOf::kTd, message));
  carry();
  EXPECT_CODE(module.tdh_devif_response(kFunction, OnBehalfOf::kVmm, message),
              Code::kTdispInvalidReqSts);
}

// --- The TD's slot ---

TEST_F(Request, TheVmmsAnswerWithTheTdsFlagLandsInTheTdsSlot) {
  ASSERT_OK(answer_to_td(DevifRequest::kState));
  EXPECT_CODE(ask(DevifRequest::kState), Code::kTdispInvalidReqSts);  // PROCESSED
  const auto taken = take();
  ASSERT_OK(taken);
  EXPECT_EQ(taken.leaf.message_code(), 0x05);
  ASSERT_OK(ask(DevifRequest::kState));
}

TEST_F(Request, AStopThatWentToTheTdStopsNothingForTheModule) {
  ASSERT_OK(answer_to_td(DevifRequest::kStop));
  EXPECT_EQ(state(), 1U);
  const auto taken = take();
  EXPECT_CODE(taken.leaf, Code::kOperandInvalid);
  EXPECT_EQ(operand_name(taken.leaf.status.operand()), "RCX");
  // It stays where it is: no other request gets past it.
  EXPECT_CODE(ask(DevifRequest::kState), Code::kTdispInvalidReqSts);
  EXPECT_CODE(take().leaf, Code::kOperandInvalid);
}

TEST_F(Request, ABadAnswerToTheTdStaysInItsSlot) {
  ASSERT_OK(ask(DevifRequest::kState));
  device.answers_for = 0x0101;  // found out only when the TD takes it
  ASSERT_OK(relay_guest());
  for (int tries = 0; tries < 2; ++tries) EXPECT_CODE(take().leaf, Code::kTdispInvalidMessage);
  EXPECT_CODE(ask(DevifRequest::kState), Code::kTdispInvalidReqSts);
}

TEST_F(Request, TheBufferIsWalkedBeforeTheSlotIsLookedAt) {
  EXPECT_EQ(take(kRamGpa).ept_violation, kRamGpa);
  (void)private_page(td, kRamGpa);
  EXPECT_CODE(take(kRamGpa).leaf, Code::kTdispInvalidReqSts);
  EXPECT_CODE(take(kRamGpa + 8).leaf, Code::kOperandInvalid);
}

// --- The report ---

TEST_F(Request, TheReportIsReadOnceALock) {
  ASSERT_OK(guest_tdisp(td, DevifRequest::kReport));
  const LeafResult again = ask(DevifRequest::kReport);
  EXPECT_CODE(again, Code::kOperandInvalid);
  EXPECT_EQ(operand_name(again.status.operand()), "RDX");
  lock_again(std::byte{0x77});
  validate(td);
  ASSERT_OK(guest_tdisp(td, DevifRequest::kReport));
}

TEST_F(Request, TheReportComesInPortionsOneAfterTheOther) {
  device.report_portion = 12;
  EXPECT_CODE(guest_tdisp(td, DevifRequest::kReport).leaf, Code::kTdispInvalidMessage);  // no head
}

TEST_F(Request, EachPortionBeginsWhereTheLastOneEnded) {
  device.report_portion = 16;
  const std::size_t size = device.report.encode().size();
  for (std::size_t read = 0; read < size; read += 16) {
    EXPECT_OK(guest_tdisp(td, DevifRequest::kReport));
    EXPECT_EQ(device.last_report_offset, read);
  }
  EXPECT_CODE(ask(DevifRequest::kReport), Code::kOperandInvalid);
}

TEST_F(Request, ThatThereIsNoReportBeforeTheLockIsTheDevicesToSay) {
  tables_for(td, kRamGpa);
  (void)module.tdh_devifmt_add(kOther, 1, page());
  ASSERT_OK(create_devif(td, kOther));
  inside(td, [&] {
    ASSERT_OK(module.tdg_devif_validate(td.vp, kOther, info_hash));
    EXPECT_OK(module.tdg_devif_request(td.vp, kOther, DevifRequest::kReport));
  });
}

}  // namespace
}  // namespace teeio::tdx
