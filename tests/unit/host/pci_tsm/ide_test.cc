#include "host/pci_tsm/ide.h"

#include <gtest/gtest.h>

#include <utility>

#include "hw/capabilities.h"
#include "hw/ide_port.h"

namespace teeio::tsm {
namespace {

constexpr std::uint16_t kPortRid = 0x0008;
constexpr std::uint16_t kBlockBytes = 0x14 + 2 * 12;

/// An end point with two selective streams.
class IdeEndpoint final : public hw::PciFunction {
 public:
  IdeEndpoint() {
    hw::add_endpoint_header(config_, {.vendor = 0x1af4, .device = 1}, bars_);
    hw::add_pci_express(config_, {.tee_io = true});
    ide = std::make_unique<hw::IdePort>(config_, 2);
  }
  [[nodiscard]] Bdf bdf() const override { return Bdf{.bus = 1}; }
  std::uint32_t config_read(std::uint16_t offset, unsigned size) override {
    return config_.read(offset, size);
  }
  void config_write(std::uint16_t offset, unsigned size, std::uint32_t value) override {
    config_.write(offset, size, value);
    ide->registers_written();
  }
  [[nodiscard]] const std::array<hw::Bar, hw::kBarCount>& bars() const override { return bars_; }
  void reset(hw::ResetKind) override {}
  [[nodiscard]] hw::PciFunction* physical_function() override { return nullptr; }
  void attach(hw::DmaPort&) override {}

  [[nodiscard]] std::uint16_t reg(unsigned block, unsigned offset) const {
    return static_cast<std::uint16_t>(ide->offset() + 0x0c + block * kBlockBytes + offset);
  }
  [[nodiscard]] std::uint32_t control(unsigned block) { return config_read(reg(block, 4), 4); }
  void run_keys(std::size_t block) {
    const Bytes key(hw::IdePort::kKeyBytes);
    for (const auto direction :
         {hw::IdeKeySlot::Direction::kReceive, hw::IdeKeySlot::Direction::kTransmit})
      for (const auto sub_stream :
           {hw::IdeKeySlot::SubStream::kPosted, hw::IdeKeySlot::SubStream::kNonPosted,
            hw::IdeKeySlot::SubStream::kCompletion}) {
        const hw::IdeKeySlot slot{.direction = direction, .sub_stream = sub_stream};
        EXPECT_TRUE(ide->program_key(block, slot, key).has_value());
        EXPECT_TRUE(ide->go(block, slot).has_value());
      }
  }

  std::unique_ptr<hw::IdePort> ide;

 private:
  hw::ConfigSpace config_;
  std::array<hw::Bar, hw::kBarCount> bars_{};
};

TEST(EndpointStream, IsSetUpAsLinuxDoes) {
  IdeEndpoint card;
  card.config_write(card.reg(0, 0x14), 4, 0xffff'ff01);  // an address that somebody left
  ASSERT_TRUE(setup_endpoint_stream(card, 7, kPortRid).has_value());
  // Stream ID, TEE-limited, configuration requests; not enabled.
  EXPECT_EQ(card.control(0), 0x07800200U);
  EXPECT_EQ(card.config_read(card.reg(0, 0x0c), 4), 0x800U);
  EXPECT_EQ(card.config_read(card.reg(0, 0x10), 4), 0x801U);
  EXPECT_EQ(card.config_read(card.reg(0, 0x14), 4), 0U);
}

TEST(EndpointStream, MayBeTheDefaultOne) {
  IdeEndpoint card;
  ASSERT_TRUE(setup_endpoint_stream(card, 7, kPortRid, DefaultStream::kYes).has_value());
  EXPECT_EQ(card.control(0), 0x07c00200U);
}

TEST(EndpointStream, TakesTheFirstBlockThatIsFree) {
  IdeEndpoint card;
  ASSERT_TRUE(setup_endpoint_stream(card, 7, kPortRid).has_value());
  ASSERT_TRUE(setup_endpoint_stream(card, 9, kPortRid).has_value());
  EXPECT_EQ(card.control(1) >> 24U, 9U);
  EXPECT_EQ(setup_endpoint_stream(card, 11, kPortRid).error().code, Errno::kNoMem);
  teardown_endpoint_stream(card, 7);
  EXPECT_EQ(card.control(0), 0U);
  EXPECT_EQ(card.config_read(card.reg(0, 0x10), 4), 0U);
  EXPECT_EQ(card.control(1) >> 24U, 9U);
  ASSERT_TRUE(setup_endpoint_stream(card, 11, kPortRid).has_value());
  EXPECT_EQ(card.control(0) >> 24U, 11U);
}

TEST(EndpointStream, ThatDoesNotBecomeSecureIsDisabledAgain) {
  IdeEndpoint card;
  EXPECT_EQ(enable_endpoint_stream(card, 7).error().code, Errno::kInval);
  ASSERT_TRUE(setup_endpoint_stream(card, 7, kPortRid).has_value());
  EXPECT_EQ(enable_endpoint_stream(card, 7).error().code, Errno::kNxio);
  EXPECT_EQ(card.control(0) & 1U, 0U);
  card.run_keys(0);
  EXPECT_TRUE(enable_endpoint_stream(card, 7).has_value());
  EXPECT_EQ(card.control(0), 0x07800201U);
  EXPECT_EQ(card.ide->state(0), hw::IdeStreamState::kEnabled);
}

TEST(EndpointStream, NeedsSelectiveStreams) {
  class Plain final : public hw::PciFunction {
   public:
    Plain() { hw::add_endpoint_header(config_, {.vendor = 0x1af4, .device = 1}, bars_); }
    [[nodiscard]] Bdf bdf() const override { return Bdf{.bus = 1}; }
    std::uint32_t config_read(std::uint16_t offset, unsigned size) override {
      return config_.read(offset, size);
    }
    void config_write(std::uint16_t, unsigned, std::uint32_t) override {}
    [[nodiscard]] const std::array<hw::Bar, hw::kBarCount>& bars() const override { return bars_; }
    void reset(hw::ResetKind) override {}
    [[nodiscard]] hw::PciFunction* physical_function() override { return nullptr; }
    void attach(hw::DmaPort&) override {}

   private:
    hw::ConfigSpace config_;
    std::array<hw::Bar, hw::kBarCount> bars_{};
  } plain;
  EXPECT_EQ(setup_endpoint_stream(plain, 7, kPortRid).error().code, Errno::kNxio);
  teardown_endpoint_stream(plain, 7);
}

}  // namespace
}  // namespace teeio::tsm
