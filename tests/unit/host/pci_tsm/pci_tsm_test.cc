// The PCI/TSM core against Linux drivers/pci/tsm.c: what is refused, and in which
// order a driver's operations run.

#include "host/pci_tsm/pci_tsm.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "host/kvm/kvm.h"
#include "hw/capabilities.h"
#include "hw/find_capability.h"
#include "unit/host/test_mailbox.h"

namespace teeio::tsm {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

template <class T>
Errno error_of(const Result<T>& result) {
  EXPECT_FALSE(result.has_value()) << "the call succeeded";
  return result.has_value() ? Errno{} : result.error().code;
}

class FakeFunction final : public hw::PciFunction {
 public:
  FakeFunction(Bdf at, bool tee_io, FakeFunction* pf, bool mailbox = true) : bdf_(at), pf_(pf) {
    hw::add_endpoint_header(config_, {.vendor = 0x1af4, .device = 1}, bars_);
    hw::add_pci_express(config_, {.tee_io = tee_io});
    if (tee_io && mailbox) mailbox_.emplace(config_);
  }
  /// Function 0 of a card whose mailbox names that.
  FakeFunction(Bdf at, const hw::TestMailbox::Names& names) : bdf_(at), pf_(nullptr) {
    hw::add_endpoint_header(config_, {.vendor = 0x1af4, .device = 1}, bars_);
    hw::add_pci_express(config_, {.tee_io = true});
    mailbox_.emplace(config_, names);
  }
  /// A switch's upstream port with a DSM.
  FakeFunction(Bdf at, std::uint8_t first_bus, std::uint8_t last_bus) : bdf_(at), pf_(nullptr) {
    hw::add_bridge_header(config_, {.identity = {.vendor = 0x1af4, .device = 2},
                                    .primary = at.bus,
                                    .secondary = first_bus,
                                    .subordinate = last_bus,
                                    .memory = {},
                                    .prefetchable = {}});
    hw::add_pci_express(config_, {.type = hw::ExpressType::kUpstreamPort, .tee_io = true});
    mailbox_.emplace(config_);
  }
  [[nodiscard]] Bdf bdf() const override { return bdf_; }
  std::uint32_t config_read(std::uint16_t offset, unsigned size) override {
    return mailbox_ ? mailbox_->read(offset, size) : config_.read(offset, size);
  }
  void config_write(std::uint16_t offset, unsigned size, std::uint32_t value) override {
    if (mailbox_) mailbox_->write(offset, size, value);
  }
  [[nodiscard]] hw::TestMailbox& mailbox() { return *mailbox_; }
  [[nodiscard]] const std::array<hw::Bar, hw::kBarCount>& bars() const override { return bars_; }
  void reset(hw::ResetKind) override {}
  [[nodiscard]] hw::PciFunction* physical_function() override { return pf_; }
  void attach(hw::DmaPort&) override {}

 private:
  const Bdf bdf_;
  FakeFunction* const pf_;
  std::array<hw::Bar, hw::kBarCount> bars_{};
  hw::ConfigSpace config_;
  std::optional<hw::TestMailbox> mailbox_;
};

using Log = std::vector<std::string>;

/// Writes down what it is asked, in order.
class FakeDriver final : public Driver {
 public:
  explicit FakeDriver(Log& log) : log_(log) {}
  [[nodiscard]] std::string_view name() const override { return "fake"; }
  [[nodiscard]] std::string_view platform_device() const override { return "faux/fake_host"; }
  [[nodiscard]] TvmArch arch() const override { return TvmArch::kTdx; }
  Result<void> connect(hw::PciFunction& pf0) override { return step("connect", pf0); }
  void disconnect(hw::PciFunction& pf0) override { (void)step("disconnect", pf0); }
  Result<void> bind(hw::PciFunction& function, const Tdi& tdi, kvm::Vm&) override {
    last_tdi = tdi;
    return step("bind", function);
  }
  void unbind(hw::PciFunction& function, const Tdi&, kvm::Vm&,
              TeardownHandlers& handlers) override {
    (void)step("unbind", function);
    handlers.disable_mmio();
    handlers.recover_mmio();
  }
  GuestOutcome guest_request(hw::PciFunction& function, const Tdi&, kvm::Vm&,
                             const GuestRequest&) override {
    if (auto done = step("request", function); !done) return {std::unexpected(done.error()), 42};
    return {Bytes{}, 42};
  }

  bool refuse = false;
  Tdi last_tdi;

 private:
  Result<void> step(std::string what, hw::PciFunction& function) {
    log_.push_back(what + " " + function.bdf().str().substr(8));
    if (refuse) return fail(Errno::kIo, "the firmware refuses");
    return {};
  }
  Log& log_;
};

/// VFIO's part.
class FakeOwner final : public TeardownHandlers {
 public:
  explicit FakeOwner(Log& log) : log_(log) {}
  void disable_mmio() override { log_.push_back("disable_mmio"); }
  void recover_mmio() override { log_.push_back("recover_mmio"); }
  void set_bound(bool bound) override { log_.push_back(bound ? "hands off" : "hands on"); }

 private:
  Log& log_;
};

/// How often a program was told to have written to a mailbox.
struct MailboxTouches final : object::TraceSink {
  void on_event(const object::Event& event) override {
    if (event.fact == object::Fact::kHostTouched &&
        event.a == static_cast<std::uint64_t>(object::HostTouch::kMailbox))
      ++told;
  }
  unsigned told = 0;
};

/// A card with two VFs, and a card without TEE-I/O.
class PciTsmTest : public testing::Test {
 protected:
  static constexpr Bdf kPf{.bus = 1};
  static constexpr Bdf kVf0{.bus = 1, .function = 1};
  static constexpr Bdf kVf1{.bus = 1, .function = 2};
  static constexpr Bdf kOther{.bus = 2};

  PciTsmTest() {
    for (FakeFunction* function : {&pf_, &vf0_, &vf1_, &plain_}) tsm_.add_function(*function);
    EXPECT_EQ(tsm_.register_tsm(driver_), 0U);
  }
  void connect() { ASSERT_TRUE(tsm_.connect(kPf, "tsm0").has_value()); }
  object::File* vm() { return vm_.get(); }

  Log log_;
  FakeDriver driver_{log_};
  FakeOwner owner_{log_};
  MailboxTouches touches_;
  object::Trace trace_;
  hw::PhysicalMemory memory_{std::uint64_t{16} << 20U};
  kvm::Kvm kvm_{memory_, nullptr, trace_};
  object::Ref<object::File> vm_ = *kvm_.create_vm(0, 1);
  object::Ref<object::File> other_vm_ = *kvm_.create_vm(0, 1);
  FakeFunction pf_{kPf, true, nullptr};
  FakeFunction vf0_{kVf0, false, &pf_};
  FakeFunction vf1_{kVf1, false, &pf_};
  FakeFunction plain_{kOther, false, nullptr};
  PciTsm tsm_{trace_};
};

// --- connect_store() and disconnect_store() ---

TEST_F(PciTsmTest, ConnectTakesOnlyTheNameOfATsm) {
  for (const std::string_view bad : {"", "tsm", "tsmX", "0", "TSM0", " tsm0", "tsm+-1", "tsm- 1"})
    EXPECT_EQ(error_of(tsm_.connect(kPf, bad)), Errno::kInval) << bad;
  // Numbers for sscanf(), of TSMs that there are not.
  for (const std::string_view other : {"tsm1", "tsm-1", "tsm+1", "tsm 1", "tsm1x"})
    EXPECT_EQ(error_of(tsm_.connect(kPf, other)), Errno::kNxio) << other;
  EXPECT_THAT(log_, IsEmpty());
  EXPECT_TRUE(tsm_.connect(kPf, "tsm0\n").has_value());
}

TEST_F(PciTsmTest, ConnectTwiceIsBusyWhateverTheName) {
  connect();
  EXPECT_EQ(error_of(tsm_.connect(kPf, "tsm0")), Errno::kBusy);
  EXPECT_EQ(error_of(tsm_.connect(kPf, "tsm7")), Errno::kBusy);
  EXPECT_EQ(error_of(tsm_.connect(kPf, "nonsense")), Errno::kInval);
}

TEST_F(PciTsmTest, FunctionWithoutDsmCannotConnect) {
  EXPECT_EQ(error_of(tsm_.connect(kOther, "tsm0")), Errno::kNxio);
  EXPECT_EQ(error_of(tsm_.connect(kVf0, "tsm0")), Errno::kNxio);
  EXPECT_FALSE(tsm_.is_pf0(kOther));
  EXPECT_FALSE(tsm_.is_pf0(kVf0));
  EXPECT_TRUE(tsm_.is_pf0(kPf));
}

TEST_F(PciTsmTest, ConnectThatTheDriverRefusesLeavesNothing) {
  driver_.refuse = true;
  EXPECT_EQ(error_of(tsm_.connect(kPf, "tsm0")), Errno::kIo);
  EXPECT_EQ(tsm_.connected_to(kPf), "");
  EXPECT_FALSE(tsm_.is_managed(kVf0));
  driver_.refuse = false;
  connect();
}

// pci_tsm_pf0_constructor(): no probe, no connect of the driver.
TEST_F(PciTsmTest, ACardWithoutMailboxIsNoDsmToConnect) {
  FakeFunction mute({.bus = 3}, true, nullptr, false);
  tsm_.add_function(mute);
  EXPECT_TRUE(tsm_.is_pf0(mute.bdf()));
  EXPECT_EQ(error_of(tsm_.connect(mute.bdf(), "tsm0")), Errno::kNxio);
  EXPECT_THAT(log_, IsEmpty());
}

// pci_doe_cache_features(): each index once, in real exchanges, when the function is found.
TEST_F(PciTsmTest, DiscoveryAsksTheMailboxWhatItSpeaks) {
  EXPECT_THAT(tsm_.doe_features(kPf), ElementsAre(kDoeDiscovery, kDoeCma, DoeFeature{kPciSig, 2}));
  EXPECT_EQ(pf_.mailbox().asked, 3U);
  EXPECT_THAT(tsm_.doe_features(kVf0), IsEmpty());
  EXPECT_THAT(tsm_.doe_features(kOther), IsEmpty());
  connect();
  EXPECT_EQ(pf_.mailbox().asked, 3U) << "nobody asks again";
}

// pci_find_doe_mailbox(): a mailbox that has no CMA, or whose discovery fails, is none for a DSM.
TEST_F(PciTsmTest, AMailboxWithoutCmaIsNoDsmToConnect) {
  std::uint8_t bus = 3;
  const auto connect_to = [&](const hw::TestMailbox::Names& names, std::size_t features) {
    FakeFunction card({.bus = bus++}, names);
    tsm_.add_function(card);
    EXPECT_EQ(tsm_.doe_features(card.bdf()).size(), features);
    const auto connected = tsm_.connect(card.bdf(), "tsm0");
    tsm_.device_removed(card.bdf());
    return connected ? Errno{} : connected.error().code;
  };
  EXPECT_EQ(connect_to({.types = {0, 1}}, 2), Errno{});
  log_.clear();
  EXPECT_EQ(connect_to({.types = {0, 2}}, 2), Errno::kNxio);
  EXPECT_EQ(connect_to({.types = {0, 1}, .answers_as = 1}, 0), Errno::kNxio)
      << "an answer of another protocol";
  EXPECT_EQ(connect_to({.types = {0, 1}, .longer = true}, 0), Errno::kNxio)
      << "an answer of another size";
  EXPECT_EQ(connect_to({.types = {0, 1}, .then = 1}, 0), Errno::kNxio) << "no last index";
  EXPECT_THAT(log_, IsEmpty());
}

// The mailbox of a connected DSM has one owner: a program's write to it is a finding, to
// anything else, and before or after, it is none.
TEST_F(PciTsmTest, AProgramsWriteToTheMailboxOfAConnectedDsmIsTold) {
  MailboxTouches& sink = touches_;
  trace_.add_sink(sink);
  const std::uint16_t at = *hw::find_extended_capability(pf_, hw::kExtendedDoe);
  const auto write = [&](unsigned reg) {
    tsm_.program_wrote_config(pf_, static_cast<std::uint16_t>(at + reg));
  };
  write(0x08);
  EXPECT_EQ(sink.told, 0U) << "not connected";
  connect();
  for (const unsigned reg : {0x00U, 0x04U, 0x0cU, 0x18U}) write(reg);
  EXPECT_EQ(sink.told, 0U) << "header, capabilities, status, behind it";
  for (const unsigned reg : {0x08U, 0x10U, 0x14U}) write(reg);
  EXPECT_EQ(sink.told, 3U);
  tsm_.program_wrote_config(vf0_, static_cast<std::uint16_t>(at + 8));
  EXPECT_EQ(sink.told, 3U) << "a function without a mailbox";
  ASSERT_TRUE(tsm_.disconnect(kPf, "tsm0"));
  write(0x08);
  EXPECT_EQ(sink.told, 3U);
}

// is_pci_tsm_pf0(), find_dsm_dev(), pci_tsm_walk_fns().
TEST_F(PciTsmTest, AnUpstreamPortsDsmManagesWhatIsBelowItsSwitch) {
  FakeFunction upstream({.bus = 5}, 6, 8);
  FakeFunction below({.bus = 7}, false, nullptr);
  FakeFunction own_dsm({.bus = 8}, true, nullptr);
  FakeFunction elsewhere({.bus = 9}, false, nullptr);
  for (FakeFunction* function : {&upstream, &below, &own_dsm, &elsewhere})
    tsm_.add_function(*function);
  EXPECT_TRUE(tsm_.is_pf0(upstream.bdf()));
  ASSERT_TRUE(tsm_.connect(upstream.bdf(), "tsm0").has_value());
  EXPECT_EQ(tsm_.dsm_of(below.bdf()), upstream.bdf().str());
  EXPECT_FALSE(tsm_.is_managed(own_dsm.bdf()));
  EXPECT_FALSE(tsm_.is_managed(elsewhere.bdf()));
  FakeFunction late({.bus = 7, .function = 1}, false, nullptr);
  tsm_.add_function(late);
  EXPECT_EQ(tsm_.dsm_of(late.bdf()), upstream.bdf().str());
  ASSERT_TRUE(tsm_.bind(below.bdf(), vm(), 1).has_value());
  log_.clear();
  ASSERT_TRUE(tsm_.disconnect(upstream.bdf(), "tsm0").has_value());
  EXPECT_EQ(log_, Log({"unbind 00.0", "disconnect 00.0"}));
  EXPECT_FALSE(tsm_.is_managed(below.bdf()));
}

TEST_F(PciTsmTest, DisconnectUnbindsEachFunctionAfterItsVirtualOnes) {
  // Function 1 of the card, and a VF of each physical function, in another order on the bus.
  FakeFunction pf1({.bus = 3, .function = 1}, true, nullptr);
  FakeFunction pf0({.bus = 3}, true, nullptr);
  FakeFunction vf_of_0({.bus = 3, .function = 2}, false, &pf0);
  FakeFunction vf_of_1({.bus = 3, .function = 3}, false, &pf1);
  const auto all = {&pf0, &pf1, &vf_of_0, &vf_of_1};
  for (FakeFunction* function : all) tsm_.add_function(*function);
  ASSERT_TRUE(tsm_.connect(pf0.bdf(), "tsm0").has_value());
  for (FakeFunction* function : all) ASSERT_TRUE(tsm_.bind(function->bdf(), vm(), 1).has_value());
  log_.clear();
  ASSERT_TRUE(tsm_.disconnect(pf0.bdf(), "tsm0").has_value());
  EXPECT_EQ(log_,
            Log({"unbind 00.3", "unbind 00.1", "unbind 00.2", "unbind 00.0", "disconnect 00.0"}));
}

TEST_F(PciTsmTest, ConnectManagesEveryFunctionOfTheCard) {
  connect();
  for (const Bdf bdf : {kPf, kVf0, kVf1}) {
    EXPECT_EQ(tsm_.connected_to(bdf), "tsm0");
    EXPECT_EQ(tsm_.dsm_of(bdf), kPf.str());
    EXPECT_EQ(tsm_.bound_to(bdf), "");
  }
  EXPECT_FALSE(tsm_.is_managed(kOther));
}

TEST_F(PciTsmTest, DisconnectWantsTheNameOfTheConnectedTsm) {
  EXPECT_EQ(error_of(tsm_.disconnect(kPf, "tsm0")), Errno::kNxio);
  connect();
  EXPECT_EQ(error_of(tsm_.disconnect(kPf, "tsm1")), Errno::kInval);
  EXPECT_EQ(error_of(tsm_.disconnect(kPf, "tsm0 ")), Errno::kInval);
  EXPECT_TRUE(tsm_.disconnect(kPf, "tsm0\n").has_value());
  EXPECT_EQ(error_of(tsm_.disconnect(kPf, "tsm0")), Errno::kNxio);
}

TEST_F(PciTsmTest, DisconnectUnbindsAllInReverseThenFunctionZero) {
  connect();
  for (const Bdf bdf : {kPf, kVf0, kVf1}) ASSERT_TRUE(tsm_.bind(bdf, vm(), 1).has_value());
  log_.clear();
  ASSERT_TRUE(tsm_.disconnect(kPf, "tsm0").has_value());
  EXPECT_THAT(log_, ElementsAre("unbind 00.2", "unbind 00.1", "unbind 00.0", "disconnect 00.0"));
  EXPECT_FALSE(tsm_.is_managed(kVf0));
}

// --- pci_tsm_bind() ---

TEST_F(PciTsmTest, BindNeedsAVmAndAContext) {
  EXPECT_EQ(error_of(tsm_.bind(kPf, vm(), 1)), Errno::kInval);
  connect();
  EXPECT_EQ(error_of(tsm_.bind(kPf, nullptr, 1)), Errno::kInval);
  EXPECT_EQ(error_of(tsm_.bind(kOther, vm(), 1)), Errno::kInval);
  EXPECT_EQ(error_of(tsm_.bind(Bdf{.bus = 9}, vm(), 1)), Errno::kInval);
}

TEST_F(PciTsmTest, BindTwiceToOneVmDoesNothingAlsoUnderAnotherId) {
  connect();
  ASSERT_TRUE(tsm_.bind(kVf0, vm(), 1).has_value());
  log_.clear();
  EXPECT_TRUE(tsm_.bind(kVf0, vm(), 1).has_value());
  EXPECT_TRUE(tsm_.bind(kVf0, vm(), 2).has_value());
  EXPECT_THAT(log_, IsEmpty());
  EXPECT_EQ(driver_.last_tdi.tdi_id, 1U);
}

TEST_F(PciTsmTest, BindToAnotherVmIsBusyUntilUnbound) {
  connect();
  ASSERT_TRUE(tsm_.bind(kVf0, vm(), 1).has_value());
  EXPECT_EQ(error_of(tsm_.bind(kVf0, other_vm_.get(), 1)), Errno::kBusy);
  tsm_.unbind(kVf0);
  EXPECT_TRUE(tsm_.bind(kVf0, other_vm_.get(), 1).has_value());
}

TEST_F(PciTsmTest, TwoFunctionsOfACardGoToTwoVms) {
  connect();
  ASSERT_TRUE(tsm_.bind(kVf0, vm(), 1).has_value());
  ASSERT_TRUE(tsm_.bind(kVf1, other_vm_.get(), 1).has_value());
  tsm_.unbind(kVf0);
  EXPECT_EQ(tsm_.bound_to(kVf0), "");
  EXPECT_EQ(tsm_.bound_to(kVf1), "tsm0");
}

TEST_F(PciTsmTest, OwnerTakesItsHandsOffBeforeTheDriverBinds) {
  connect();
  tsm_.set_handlers(kVf0, &owner_);
  log_.clear();
  ASSERT_TRUE(tsm_.bind(kVf0, vm(), 1).has_value());
  EXPECT_THAT(log_, ElementsAre("hands off", "bind 00.1"));
  log_.clear();
  tsm_.unbind(kVf0);
  EXPECT_THAT(log_, ElementsAre("unbind 00.1", "disable_mmio", "recover_mmio", "hands on"));
}

TEST_F(PciTsmTest, BindThatTheDriverRefusesGivesTheDeviceBack) {
  connect();
  tsm_.set_handlers(kVf0, &owner_);
  log_.clear();
  driver_.refuse = true;
  EXPECT_EQ(error_of(tsm_.bind(kVf0, vm(), 1)), Errno::kIo);
  EXPECT_THAT(log_, ElementsAre("hands off", "bind 00.1", "hands on"));
  EXPECT_EQ(tsm_.bound_to(kVf0), "");
  driver_.refuse = false;
  EXPECT_TRUE(tsm_.bind(kVf0, other_vm_.get(), 1).has_value());
}

// --- pci_tsm_unbind() ---

TEST_F(PciTsmTest, UnbindTwiceOrOfAnythingIsNoError) {
  tsm_.unbind(kPf);
  tsm_.unbind(Bdf{.bus = 9});
  connect();
  tsm_.unbind(kVf0);
  ASSERT_TRUE(tsm_.bind(kVf0, vm(), 1).has_value());
  log_.clear();
  tsm_.unbind(kVf0);
  tsm_.unbind(kVf0);
  EXPECT_THAT(log_, ElementsAre("unbind 00.1"));
}

// --- pci_tsm_guest_req() ---

TEST_F(PciTsmTest, GuestRequestWithoutABindIsRefused) {
  const GuestRequest request{
      .op = RequestOp::kReadObject, .arch = TvmArch::kTdx, .payload = {}, .response_limit = 0};
  const GuestOutcome unconnected = tsm_.guest_request(kVf0, request);
  EXPECT_EQ(error_of(unconnected.payload), Errno::kNxio);
  EXPECT_EQ(unconnected.tsm_code, 0U);
  connect();
  EXPECT_EQ(error_of(tsm_.guest_request(kVf0, request).payload), Errno::kNxio);
  ASSERT_TRUE(tsm_.bind(kVf0, vm(), 1).has_value());
  const GuestOutcome bound = tsm_.guest_request(kVf0, request);
  EXPECT_TRUE(bound.payload.has_value());
  EXPECT_EQ(bound.tsm_code, 42U);
}

TEST_F(PciTsmTest, GuestRequestOfAnotherArchitectureDoesNotReachTheDriver) {
  connect();
  ASSERT_TRUE(tsm_.bind(kVf0, vm(), 1).has_value());
  log_.clear();
  EXPECT_EQ(error_of(tsm_.guest_request(kVf0, {.op = RequestOp::kReadObject,
                                               .arch = TvmArch::kCca,
                                               .payload = {},
                                               .response_limit = 0})
                         .payload),
            Errno::kInval);
  EXPECT_THAT(log_, IsEmpty());
}

TEST_F(PciTsmTest, GuestRequestThatFailsStillGivesTheFirmwaresCode) {
  connect();
  ASSERT_TRUE(tsm_.bind(kVf0, vm(), 1).has_value());
  driver_.refuse = true;
  const GuestOutcome refused = tsm_.guest_request(
      kVf0,
      {.op = RequestOp::kReadObject, .arch = TvmArch::kTdx, .payload = {}, .response_limit = 0});
  EXPECT_EQ(error_of(refused.payload), Errno::kIo);
  EXPECT_EQ(refused.tsm_code, 42U);
}

// --- Departures ---

TEST_F(PciTsmTest, RemovalOfAVfUnbindsItAlone) {
  connect();
  ASSERT_TRUE(tsm_.bind(kVf0, vm(), 1).has_value());
  ASSERT_TRUE(tsm_.bind(kVf1, vm(), 2).has_value());
  log_.clear();
  tsm_.device_removed(kVf0);
  EXPECT_THAT(log_, ElementsAre("unbind 00.1"));
  EXPECT_EQ(tsm_.bound_to(kVf1), "tsm0");
  EXPECT_EQ(error_of(tsm_.bind(kVf0, vm(), 1)), Errno::kInval);
  tsm_.device_removed(kVf0);  // a second time does nothing
}

TEST_F(PciTsmTest, RemovalOfTheDsmDisconnectsTheWholeCard) {
  connect();
  ASSERT_TRUE(tsm_.bind(kVf1, vm(), 1).has_value());
  log_.clear();
  tsm_.device_removed(kPf);
  EXPECT_THAT(log_, ElementsAre("unbind 00.2", "disconnect 00.0"));
  EXPECT_FALSE(tsm_.is_managed(kVf1));
  EXPECT_EQ(error_of(tsm_.connect(kPf, "tsm0")), Errno::kNoDev);
}

TEST_F(PciTsmTest, UnregisteredTsmDisconnectsItsCardsAndIsGone) {
  connect();
  ASSERT_TRUE(tsm_.bind(kVf0, vm(), 1).has_value());
  log_.clear();
  tsm_.unregister_tsm(0);
  EXPECT_THAT(log_, ElementsAre("unbind 00.1", "disconnect 00.0"));
  EXPECT_THAT(tsm_.tsms(), IsEmpty());
  EXPECT_EQ(error_of(tsm_.connect(kPf, "tsm0")), Errno::kNxio);
}

TEST_F(PciTsmTest, UnregisteringOneTsmLeavesTheCardsOfAnother) {
  FakeDriver second{log_};
  EXPECT_EQ(tsm_.register_tsm(second), 1U);
  ASSERT_TRUE(tsm_.connect(kPf, "tsm1").has_value());
  tsm_.unregister_tsm(0);
  EXPECT_EQ(tsm_.connected_to(kPf), "tsm1");
  EXPECT_EQ(tsm_.register_tsm(driver_), 0U);  // the lowest number that is free
}

}  // namespace
}  // namespace teeio::tsm
