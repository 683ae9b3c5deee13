#include "report/explain.h"

#include <gtest/gtest.h>

#include <functional>

#include "object/trace.h"

namespace teeio::report {
namespace {

using namespace object;

constexpr Bdf kFunction{.domain = 0, .bus = 1, .device = 0, .function = 0};
constexpr std::int32_t kThread = 7;

class ExplainTest : public testing::Test {
 protected:
  ExplainTest() { trace.add_sink(explainer); }

  /// A refused call of the program; `inside` happens in it.
  std::optional<Explainer::Refusal> refuse(
      Lane lane, std::string_view name, const Error& error,
      const std::function<void()>& inside = [] {}) {
    const OriginScope origin({.pid = kThread, .tid = kThread, .fd = 3, .call = name});
    {
      auto call = trace.call(Lane::kVmm, lane, name);
      inside();
      call.refuse(error);
    }
    return explainer.take(kThread, error.why);
  }
  void fact(Fact fact, EventFields fields) {
    trace.fact(Lane::kIommufd, fact, "a state", std::move(fields));
  }

  Trace trace;
  Explainer explainer;
};

TEST_F(ExplainTest, AFileThatWasAddedTooLateIsNamedByTheBindBeforeIt) {
  fact(Fact::kIdeviceCreated, {.function = kFunction, .a = 1});
  const auto refusal =
      refuse(Lane::kIommufd, "IOMMU_VDEVICE_TSM_OP", {Errno::kNoDev, "the vIOMMU has no VM"});
  ASSERT_TRUE(refusal);
  EXPECT_EQ(refusal->seq, 2U);
  EXPECT_EQ(refusal->cause,
            "0000:01:00.0 was bound to its iommufd at event 1, before the VM's file was added: "
            "KVM_DEV_VFIO_FILE_ADD comes first");
}

TEST_F(ExplainTest, ADeviceThatWasOpenedWithItsVmIsNotBlamed) {
  fact(Fact::kIdeviceCreated, {.function = kFunction, .vm = 1, .a = 1});
  EXPECT_EQ(refuse(Lane::kIommufd, "IOMMU_VDEVICE_TSM_OP", {Errno::kNoDev, "the vIOMMU has no VM"})
                ->cause,
            "");
}

TEST_F(ExplainTest, WhatABindForbidsNamesTheBind) {
  fact(Fact::kBound, {.function = kFunction, .vm = 1});
  const Error error{Errno::kBusy, "the device is bound to a VM: unbind it first"};
  const auto reset = [&] {
    return refuse(Lane::kVfio, "VFIO_DEVICE_RESET", error,
                  [&] { auto call = trace.call(Lane::kVfio, "x", {.function = kFunction}); });
  };
  EXPECT_EQ(reset()->cause, "0000:01:00.0 was bound to VM 1 at event 1");
  fact(Fact::kUnbound, {.function = kFunction, .vm = 1});
  EXPECT_EQ(reset()->cause, "");
}

TEST_F(ExplainTest, AnUnboundTdiSaysSinceWhen) {
  const Error error{Errno::kNxio, "the TDI is not bound"};
  fact(Fact::kVdeviceCreated, {.function = kFunction, .a = 1});
  fact(Fact::kIdeviceCreated, {.function = kFunction, .vm = 1, .a = 1});
  EXPECT_EQ(refuse(Lane::kIommufd, "IOMMU_VDEVICE_TSM_REQ", error)->cause,
            "0000:01:00.0 was never bound to a VM");
  fact(Fact::kBound, {.function = kFunction, .vm = 1});
  fact(Fact::kUnbound, {.function = kFunction, .vm = 1});
  EXPECT_EQ(refuse(Lane::kIommufd, "IOMMU_VDEVICE_TSM_REQ", error)->cause,
            "0000:01:00.0 was unbound at event 5");
}

TEST_F(ExplainTest, ADeadVmNamesItsDeath) {
  trace.fact(Lane::kKvm, Fact::kVmDead, "the firmware refused to remove a private page", {.vm = 2});
  EXPECT_EQ(refuse(Lane::kKvm, "KVM_RUN", {Errno::kIo, "the VM is dead (KVM_BUG_ON)"})->cause,
            "VM 2 died at event 1: the firmware refused to remove a private page");
}

TEST_F(ExplainTest, TheFirmwaresOwnReasonComesBeforeAnyOther) {
  fact(Fact::kBound, {.function = kFunction, .vm = 1});
  const auto refusal = refuse(
      Lane::kIommufd, "IOMMU_VDEVICE_TSM_REQ", {Errno::kIo, "TDH.DEVIF.REQUEST failed"}, [&] {
        auto tsm = trace.call(Lane::kHostTsm, "guest_req", {.function = kFunction});
        {
          auto leaf = trace.call(Lane::kFirmware, "TDH.DEVIF.REQUEST");
          leaf.refuse("TDX_OPERAND_INVALID", "the guest has not asked for it");
        }
        tsm.refuse({Errno::kIo, "TDH.DEVIF.REQUEST failed"});
      });
  EXPECT_EQ(refusal->cause,
            "event 4: TDH.DEVIF.REQUEST = TDX_OPERAND_INVALID: the guest has not asked for it");
}

TEST_F(ExplainTest, WhatUndoingFindsIsNoReason) {
  const auto command = [&](std::string_view name, bool refused) {
    auto call = trace.call(Lane::kFirmware, name);
    if (refused) call.refuse("STATUS", "it says no");
  };
  const Error error{Errno::kIo, "the firmware refuses"};
  EXPECT_EQ(refuse(Lane::kIommufd, "bind", error,
                   [&] {
                     command("RETRIED", true);
                     command("RETRIED", false);
                     command("THE_REASON", true);
                     command("UNDO", true);
                   })
                ->cause,
            "event 4: THE_REASON = STATUS: it says no");
}

TEST_F(ExplainTest, ARefusalIsGivenToItsThreadAndItsSentenceOnly) {
  const Error error{Errno::kBusy, "the device is connected already"};
  (void)refuse(Lane::kHostTsm, "sysfs write", error);
  EXPECT_FALSE(explainer.take(kThread, error.why)) << "once";
  const OriginScope origin({.pid = 8, .tid = 8, .fd = 3, .call = "x"});
  trace.call(Lane::kVmm, Lane::kVfio, "x").refuse(error);
  EXPECT_FALSE(explainer.take(kThread, error.why)) << "another thread's";
  EXPECT_FALSE(explainer.take(8, "another sentence"));
}

TEST_F(ExplainTest, ARevokedMappingIsKnownByTheCallThatRevokedIt) {
  trace.fact(Lane::kVfio, Fact::kHostMapped, "BAR mapped", {.function = kFunction, .a = 2});
  {
    auto bind = trace.call(Lane::kVmm, Lane::kHostTsm, "bind", {.function = kFunction});
    trace.fact(Lane::kVfio, Fact::kHostMapRevoked, "BAR mappings revoked",
               {.function = kFunction, .a = 2});
  }
  const auto revoked = explainer.revoked();
  ASSERT_EQ(revoked.size(), 1U);
  EXPECT_EQ(revoked[0].bar, 2U);
  EXPECT_EQ(revoked[0].seq, 3U);
  EXPECT_EQ(revoked[0].by, "bind");
  trace.fact(Lane::kVfio, Fact::kHostMapped, "BAR mapped", {.function = kFunction, .a = 2});
  EXPECT_TRUE(explainer.revoked().empty()) << "it works again";
}

TEST_F(ExplainTest, WhatTheEndOfADeadProcessBringsBackCameTooLate) {
  {
    auto bind = trace.call(Lane::kVmm, Lane::kHostTsm, "bind", {.function = kFunction});
    trace.fact(Lane::kVfio, Fact::kHostMapRevoked, "BAR mappings revoked",
               {.function = kFunction, .a = 2});
  }
  auto release = trace.call(Lane::kVmm, Lane::kIommufd, "iommufd_fops_release");
  trace.fact(Lane::kVfio, Fact::kHostMapped, "BAR mapped", {.function = kFunction, .a = 2});
  EXPECT_EQ(explainer.revoked().size(), 1U);
}

TEST_F(ExplainTest, WhatAReleaseRevokesIsNobodysLoss) {
  {
    auto release = trace.call(Lane::kVmm, Lane::kVfio, "release", {.function = kFunction});
    auto disable = trace.call(Lane::kDevice, "disable and reset", {.function = kFunction});
    trace.fact(Lane::kVfio, Fact::kHostMapRevoked, "BAR mappings revoked",
               {.function = kFunction, .a = 2});
  }
  EXPECT_TRUE(explainer.revoked().empty());
}

}  // namespace
}  // namespace teeio::report
