#include "firmware/sev/io_guard.h"

#include <gtest/gtest.h>

#include <array>

#include "firmware/sev/fenced_mmio.h"

namespace teeio::sev {
namespace {

TEST(SecureDte, WhatAGuestWritesComesBack) {
  const SecureDte entry{.valid = true,
                        .read = true,
                        .write = true,
                        .vmpl = 2,
                        .vtom_enabled = true,
                        .vtom = Gpa{std::uint64_t{2} << 40U}};
  const auto decoded = SecureDte::decode(entry.encode());
  ASSERT_TRUE(decoded);
  EXPECT_EQ(*decoded, entry);
  EXPECT_EQ(*SecureDte::decode(Bytes(SecureDte::kSize)), SecureDte{});
}

// The guest's own bits have the places that struct sdte of AMD's guest driver gives them.
TEST(SecureDte, ItsBitsAreWhereLinuxHasThem) {
  Bytes bytes(SecureDte::kSize);
  bytes[0] = std::byte{0x01};   // v
  bytes[7] = std::byte{0x60};   // ir, iw
  bytes[30] = std::byte{0x02};  // vmpl 1
  bytes[40] = std::byte{0x01};  // vtom_en
  bytes[42] = std::byte{0x10};  // vtom
  const auto entry = SecureDte::decode(bytes);
  ASSERT_TRUE(entry);
  EXPECT_TRUE(entry->valid && entry->read && entry->write && entry->vtom_enabled);
  EXPECT_EQ(entry->vmpl, 1U);
  EXPECT_EQ(entry->vtom, Gpa{std::uint64_t{1} << 40U});
}

TEST(SecureDte, EachOtherBitIsRefused) {
  const SecureDte own{.valid = true,
                      .read = true,
                      .write = true,
                      .vmpl = 3,
                      .vtom_enabled = true,
                      .vtom = Gpa{0x000f'ffff'ffe0'0000}};
  const Bytes all = own.encode();
  for (std::size_t bit = 0; bit < SecureDte::kSize * 8; ++bit) {
    Bytes one(SecureDte::kSize);
    one[bit / 8] = static_cast<std::byte>(1U << bit % 8);
    EXPECT_EQ(SecureDte::decode(one).has_value(), (all[bit / 8] & one[bit / 8]) != std::byte{0})
        << bit;
  }
  EXPECT_FALSE(SecureDte::decode(Bytes(SecureDte::kSize - 1)));
}

TEST(IoGuardTest, AFenceIsUpByDefaultAndAnErrorClosesItForOneRootAndAsid) {
  object::Trace trace;
  IoGuard guard(trace);
  EXPECT_EQ(guard.fence(0, 5), Fence::kDefault);
  guard.violation(0, 0x100, 5, "not open");
  EXPECT_EQ(guard.fence(0, 5), Fence::kDefault) << "nothing ran";
  for (const std::uint32_t root : {0U, 1U}) guard.open(root, 5);
  guard.open(0, 6);
  guard.violation(0, 0x100, 5, "a page is gone");
  EXPECT_EQ(guard.fence(0, 5), Fence::kError);
  EXPECT_EQ(guard.offender(0, 5), 0x100);
  EXPECT_TRUE(guard.passes(1, 5));
  EXPECT_TRUE(guard.passes(0, 6));
  guard.violation(0, 0x101, 5, "another");
  EXPECT_EQ(guard.offender(0, 5), 0x100) << "the first is remembered";
  guard.open(0, 5);
  EXPECT_TRUE(guard.passes(0, 5));
  guard.forget(5);
  EXPECT_EQ(guard.fence(1, 5), Fence::kDefault);
}

TEST(IoGuardTest, BehindAFenceMmioReadsOnesAndForgetsWrites) {
  struct Register final : hw::MmioTarget {
    void mmio_read(std::uint64_t, std::span<std::byte> out) override { out[0] = value; }
    void mmio_write(std::uint64_t, ByteView in) override { value = in[0]; }
    std::byte value{3};
  } device;
  object::Trace trace;
  IoGuard guard(trace);
  FencedMmio bar(guard, 0, 0x100, device);
  std::array<std::byte, 1> byte{};
  guard.assign(0x100, 5);
  bar.mmio_read(0, byte);
  EXPECT_EQ(byte[0], std::byte{3}) << "a fence by default is the device's own business";
  guard.open(0, 5);
  guard.violation(0, 0x101, 5, "another function of the guest");
  bar.mmio_read(0, byte);
  EXPECT_EQ(byte[0], std::byte{0xff});
  byte[0] = std::byte{9};
  bar.mmio_write(0, byte);
  EXPECT_EQ(device.value, std::byte{3});
  guard.assign(0x100, 0);
  bar.mmio_write(0, byte);
  EXPECT_EQ(device.value, std::byte{9});
}

TEST(IoGuardTest, EveryChangeHasANewGeneration) {
  object::Trace trace;
  IoGuard guard(trace);
  std::uint64_t last = guard.generation();
  const auto moved = [&] { return std::exchange(last, guard.generation()) != last; };
  guard.write(0x100, {.valid = true, .asid = 5});
  EXPECT_TRUE(moved());
  ASSERT_TRUE(guard.entry(0x100));
  guard.open(0, 5);
  EXPECT_TRUE(moved());
  guard.violation(0, 0x100, 5, "a page is gone");
  EXPECT_TRUE(moved());
  guard.write(0x100, {});
  EXPECT_TRUE(moved());
  EXPECT_EQ(guard.entry(0x100), std::nullopt);
  EXPECT_EQ(guard.entries(), 0U);
}

}  // namespace
}  // namespace teeio::sev
