#include "host/dmabuf/dmabuf.h"

#include <gtest/gtest.h>

#include <functional>

#include "base/check.h"
#include "explore/depth_first.h"
#include "explore/exploration.h"
#include "schedule/task.h"

namespace teeio::dmabuf {
namespace {

using object::Ref;

class TestExporter final : public Exporter {
 public:
  Bdf function() const override { return {0, 1, 0, 0}; }
  object::File* vm_file() override { return nullptr; }
  void released(DmaBuf&) override { ++releases; }
  int releases = 0;
};

class TestImporter final : public Importer {
 public:
  bool revocable() const override { return can_revoke; }
  bool peer2peer() const override { return p2p; }
  void invalidated(Attachment& attachment) override {
    ++notices;
    if (unmap_at_once && mapped) {
      attachment.buffer().resv().assert_held();
      attachment.buffer().unmap(attachment);
      mapped = false;
    }
  }
  bool can_revoke = true, p2p = true, unmap_at_once = true, mapped = false;
  int notices = 0;
};

class DmaBufTest : public testing::Test {
 protected:
  Ref<DmaBuf> make(DmaBuf::State state = DmaBuf::State::kAvailable) {
    return DmaBuf::create(exporter, {{Hpa{0x8000'0000}, 0x2000}, {Hpa{0x8001'0000}, 0x1000}},
                          state);
  }
  static Result<std::span<const PhysRange>> map(DmaBuf& buffer, Attachment& attachment) {
    const schedule::Lock lock(buffer.resv());
    return buffer.map(attachment);
  }
  static void unmap(DmaBuf& buffer, Attachment& attachment) {
    const schedule::Lock lock(buffer.resv());
    buffer.unmap(attachment);
  }
  TestExporter exporter;
  TestImporter importer;
};

TEST_F(DmaBufTest, ImportersThatCannotGiveItBackAreRefused) {
  auto buffer = make();
  importer.can_revoke = false;
  EXPECT_EQ(buffer->attach(importer).error().code, Errno::kOpNotSupp);
  importer.can_revoke = true;
  importer.p2p = false;
  EXPECT_EQ(buffer->attach(importer).error().code, Errno::kOpNotSupp);
}

TEST_F(DmaBufTest, ARevokedBufferTakesNoAttachmentAndNoMapping) {
  auto buffer = make();
  Attachment* early = *buffer->attach(importer);
  buffer->revoke();
  TestImporter late;
  EXPECT_EQ(buffer->attach(late).error().code, Errno::kNoDev);
  EXPECT_EQ(map(*buffer, *early).error().code, Errno::kNoDev);
  {
    const schedule::Lock lock(buffer->resv());
    EXPECT_EQ(buffer->lookup(*early, 0).error().code, Errno::kNoDev);
    EXPECT_EQ(buffer->single_range(*early).error().code, Errno::kNoDev);
  }
  buffer->detach(*early);
}

TEST_F(DmaBufTest, ADeviceWithoutMemoryEnabledExportsRevoked) {
  auto buffer = make(DmaBuf::State::kRevoked);
  EXPECT_EQ(buffer->attach(importer).error().code, Errno::kNoDev);
  buffer->restore();
  Attachment* attachment = *buffer->attach(importer);
  EXPECT_TRUE(map(*buffer, *attachment).has_value());
  unmap(*buffer, *attachment);
  buffer->detach(*attachment);
}

TEST_F(DmaBufTest, MapGivesTheRangesInOrder) {
  auto buffer = make();
  Attachment* attachment = *buffer->attach(importer);
  const auto ranges = *map(*buffer, *attachment);
  ASSERT_EQ(ranges.size(), 2U);
  EXPECT_EQ(ranges[1], (PhysRange{Hpa{0x8001'0000}, 0x1000}));
  unmap(*buffer, *attachment);
  buffer->detach(*attachment);
}

TEST_F(DmaBufTest, LookupFindsTheByteAcrossRangesAndRefusesBeyond) {
  auto buffer = make();
  Attachment* attachment = *buffer->attach(importer);
  {
    const schedule::Lock lock(buffer->resv());
    EXPECT_EQ(*buffer->lookup(*attachment, 0x1800), (PhysRange{Hpa{0x8000'1800}, 0x800}));
    EXPECT_EQ(*buffer->lookup(*attachment, 0x2004), (PhysRange{Hpa{0x8001'0004}, 0xffc}));
    EXPECT_EQ(buffer->lookup(*attachment, 0x3000).error().code, Errno::kInval);
    EXPECT_EQ(buffer->single_range(*attachment).error().code, Errno::kOpNotSupp);
  }
  buffer->detach(*attachment);
}

TEST_F(DmaBufTest, RevokeTellsEachImporterOnceAndIsIdempotent) {
  auto buffer = make();
  Attachment* attachment = *buffer->attach(importer);
  ASSERT_TRUE(map(*buffer, *attachment).has_value());
  importer.mapped = true;
  buffer->revoke();
  buffer->revoke();
  EXPECT_EQ(importer.notices, 1);
  EXPECT_FALSE(importer.mapped);
  buffer->detach(*attachment);
}

/// Runs two tasks in every order.
void explore(const std::function<void()>& scenario) {
  explore::DepthFirst strategy(explore::DepthFirst::Reduction::kSleepSets);
  const explore::Exploration result = explore::run_schedules(strategy, scenario, 100'000);
  if (result.bad) ADD_FAILURE() << explore::to_text(*result.bad);
  EXPECT_TRUE(result.exhausted);
}

// vfio_pci_dma_buf_move() returned before importers had stopped, once.
TEST(DmaBufRace, RevokeReturnsOnlyAfterTheLastImporterHasUnmapped) {
  explore([] {
    TestExporter exporter;
    TestImporter slow;
    slow.unmap_at_once = false;
    auto buffer = DmaBuf::create(exporter, {{Hpa{0x8000'0000}, 0x1000}}, DmaBuf::State::kAvailable);
    Attachment* attachment = *buffer->attach(slow);
    bool in_use = false;
    auto importer = schedule::Task::spawn("importer", [&] {
      {
        const schedule::Lock lock(buffer->resv());
        if (!buffer->map(*attachment).has_value()) return;
        in_use = true;
      }
      const schedule::Lock lock(buffer->resv());
      in_use = false;
      buffer->unmap(*attachment);
    });
    auto revoker = schedule::Task::spawn("revoker", [&] {
      buffer->revoke();
      TEEIO_CHECK(!in_use, "a revoke is over while an importer uses the memory");
    });
    importer.join();
    revoker.join();
    buffer->detach(*attachment);
  });
}

// The flag flipped while an attach had already passed its check, once.
TEST(DmaBufRace, AnAttachIsBeforeTheRevokeAndHearsOfItOrIsRefused) {
  explore([] {
    TestExporter exporter;
    TestImporter importer;
    auto buffer = DmaBuf::create(exporter, {{Hpa{0x8000'0000}, 0x1000}}, DmaBuf::State::kAvailable);
    Attachment* attachment = nullptr;
    auto attacher = schedule::Task::spawn("attacher", [&] {
      if (auto made = buffer->attach(importer); made.has_value()) attachment = *made;
    });
    auto revoker = schedule::Task::spawn("revoker", [&] { buffer->revoke(); });
    attacher.join();
    revoker.join();
    TEEIO_CHECK((attachment != nullptr) == (importer.notices == 1),
                "an attachment misses the revoke");
    if (attachment != nullptr) buffer->detach(*attachment);
  });
}

// An un-revoke that did not arm its completion again broke the next revoke.
TEST_F(DmaBufTest, RestoreArmsTheNextRevoke) {
  auto buffer = make();
  Attachment* attachment = *buffer->attach(importer);
  for (int round = 0; round < 3; ++round) {
    ASSERT_TRUE(map(*buffer, *attachment).has_value());
    importer.mapped = true;
    buffer->revoke();
    EXPECT_FALSE(importer.mapped);
    EXPECT_EQ(map(*buffer, *attachment).error().code, Errno::kNoDev);
    buffer->restore();
  }
  buffer->detach(*attachment);
}

TEST_F(DmaBufTest, APinDoesNotHoldUpARevoke) {
  auto buffer = make();
  Attachment* attachment = *buffer->attach(importer);
  {
    const schedule::Lock lock(buffer->resv());
    buffer->pin(*attachment);
  }
  buffer->revoke();
  {
    const schedule::Lock lock(buffer->resv());
    buffer->unpin(*attachment);
  }
  buffer->detach(*attachment);
}

TEST_F(DmaBufTest, TheExporterHearsOfTheLastClose) {
  auto buffer = make();
  Ref<DmaBuf> second = buffer;
  buffer.reset();
  EXPECT_EQ(exporter.releases, 0);
  second.reset();
  EXPECT_EQ(exporter.releases, 1);
}

TEST_F(DmaBufTest, AnOrphanStaysRevokedAndReleasesAlone) {
  auto buffer = make();
  buffer->orphan();
  buffer->restore();
  EXPECT_EQ(buffer->attach(importer).error().code, Errno::kNoDev);
  buffer.reset();
  EXPECT_EQ(exporter.releases, 0);
}

}  // namespace
}  // namespace teeio::dmabuf
