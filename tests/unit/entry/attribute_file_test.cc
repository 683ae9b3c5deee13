#include "entry/attribute_file.h"

#include <fcntl.h>
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <memory>

#include "host/mm/plain_files.h"

namespace teeio::entry {
namespace {

class AttributeFileTest : public testing::Test {
 protected:
  AttributeFileTest() { fill(); }

  void fill() {
    sysfs::NodeList list;
    list.directory("/sys/d");
    list.link("/sys/link", "/sys/d");
    list.text("/sys/d/ro", 0444, [this]() -> Result<std::string> {
      return "shown " + std::to_string(++shows) + "\n";
    });
    list.text("/sys/d/wo", 0200, {}, [this](std::string_view text) -> Result<void> {
      stored = text;
      if (text.starts_with("bad")) return fail(Errno::kBusy, "busy");
      return {};
    });
    list.binary(
        "/sys/d/bin", 0644, 16,
        [](std::uint64_t offset, std::span<std::byte> out) -> Result<std::size_t> {
          std::memset(out.data(), static_cast<int>(offset), out.size());
          return out.size();
        },
        [this](std::uint64_t, ByteView in) -> Result<std::size_t> {
          written = in.size();
          return in.size();
        },
        [this](mm::MappedFile&, std::uint64_t offset, std::uint64_t length) -> Result<void> {
          if (offset + length > 16) return fail(Errno::kInval, "beyond the end");
          mapped = true;
          return {};
        },
        [this](mm::MappedFile&) { mapped = false; });
    tree.replace(tree.begin_view(), list.take());
  }
  std::string open_error(const char* path, int flags) {
    auto file = AttributeFile::open(tree, path, static_cast<std::uint32_t>(flags));
    return file ? "ok" : std::string(errno_name(file.error().code));
  }
  object::Ref<object::File> open(const char* path, int flags) {
    return AttributeFile::open(tree, path, static_cast<std::uint32_t>(flags)).value();
  }
  static AttributeFile& as_file(const object::Ref<object::File>& file) {
    return static_cast<AttributeFile&>(*file);
  }
  static std::string read(const object::Ref<object::File>& file, std::uint64_t offset) {
    std::array<std::byte, 64> bytes{};
    const auto length = as_file(file).read(offset, bytes);
    if (!length) return std::string(errno_name(length.error().code));
    std::string text(*length, '\0');
    std::memcpy(text.data(), bytes.data(), *length);
    return text;
  }
  static ByteView view(std::string_view text) { return std::as_bytes(std::span(text)); }

  sysfs::Tree tree;
  int shows = 0;
  std::string stored;
  std::size_t written = 0;
  bool mapped = false;
};

TEST_F(AttributeFileTest, OpenRefusesWhatTheModeGivesNobody) {
  EXPECT_EQ(open_error("/sys/d/ro", O_RDONLY), "ok");
  EXPECT_EQ(open_error("/sys/d/ro", O_WRONLY), "EACCES");
  EXPECT_EQ(open_error("/sys/d/ro", O_RDWR), "EACCES");
  EXPECT_EQ(open_error("/sys/d/wo", O_RDONLY), "EACCES");
  EXPECT_EQ(open_error("/sys/d/none", O_RDONLY), "ENOENT");
  EXPECT_EQ(open_error("/sys/d", O_RDONLY), "EISDIR");
  EXPECT_EQ(open_error("/sys/link", O_RDONLY | O_NOFOLLOW), "ELOOP");
  EXPECT_EQ(open_error("/sys/d/ro", O_RDONLY | O_DIRECTORY), "ENOTDIR");
}

TEST_F(AttributeFileTest, AReadAtTheStartShowsAnewAndOthersGoOn) {
  const auto file = open("/sys/d/ro", O_RDONLY);
  EXPECT_EQ(read(file, 0), "shown 1\n");
  EXPECT_EQ(read(file, 6), "1\n");
  EXPECT_EQ(read(file, 8), "");
  EXPECT_EQ(read(file, 1000), "");
  EXPECT_EQ(read(file, 0), "shown 2\n");
}

TEST_F(AttributeFileTest, AWriteIsOneStoreOfAtMostAPage) {
  const auto file = open("/sys/d/wo", O_WRONLY);
  EXPECT_EQ(as_file(file).write(99, view("1\n")).value(), 2U);
  EXPECT_EQ(stored, "1\n");
  EXPECT_EQ(as_file(file).write(0, view("bad")).error().code, Errno::kBusy);
  EXPECT_EQ(as_file(file).write(0, view(std::string(5000, 'x'))).value(), 4096U);
  EXPECT_EQ(stored.size(), 4096U);
  stored = "untouched";
  EXPECT_EQ(as_file(file).write(0, {}).value(), 0U);
  EXPECT_EQ(stored, "untouched");
}

// Else each write beside a change of the machine makes all of /sys anew.
TEST_F(AttributeFileTest, OneThatSaysByItselfWhetherItIsThereNeedsNoLookAtTheTree) {
  bool there = true;
  sysfs::NodeList list;
  list.text(
      "/sys/lasting", 0200, {},
      [this](std::string_view text) -> Result<void> {
        stored = text;
        return {};
      },
      [&there] { return there; });
  tree.replace(tree.begin_view(), list.take());
  int looks = 0;
  tree.before_looks([&looks] { ++looks; });
  const auto file = open("/sys/lasting", O_WRONLY);
  EXPECT_EQ(looks, 1) << "to open it";
  EXPECT_TRUE(as_file(file).write(0, view("1\n")).has_value());
  EXPECT_EQ(stored, "1\n");
  there = false;
  EXPECT_EQ(as_file(file).write(0, view("2\n")).error().code, Errno::kNoDev);
  EXPECT_EQ(stored, "1\n");
  EXPECT_EQ(looks, 1);
}

TEST_F(AttributeFileTest, ABinaryAttributeEndsAtItsSize) {
  const auto file = open("/sys/d/bin", O_RDWR);
  EXPECT_EQ(read(file, 14).size(), 2U);
  EXPECT_EQ(read(file, 16), "");
  EXPECT_EQ(as_file(file).write(14, view("1234")).value(), 2U);
  EXPECT_EQ(written, 2U);
  EXPECT_EQ(as_file(file).write(16, view("1")).error().code, Errno::kFBig);
}

TEST_F(AttributeFileTest, AMappingLastsAsLongAsItsFile) {
  {
    const auto file = open("/sys/d/bin", O_RDWR);
    as_file(file).set_mapped_file(std::make_unique<mm::PlainMappedFile>());
    EXPECT_EQ(as_file(file).mmap(8, 16).error().code, Errno::kInval);
    EXPECT_FALSE(mapped);
    ASSERT_TRUE(as_file(file).mmap(8, 8).has_value());
    EXPECT_TRUE(mapped);
  }
  EXPECT_FALSE(mapped);
  const auto text = open("/sys/d/ro", O_RDONLY);
  as_file(text).set_mapped_file(std::make_unique<mm::PlainMappedFile>());
  EXPECT_EQ(as_file(text).mmap(0, 8).error().code, Errno::kNoDev);
}

TEST_F(AttributeFileTest, AnAttributeThatIsGoneIsENODEV) {
  const auto file = open("/sys/d/ro", O_RDONLY);
  EXPECT_EQ(read(file, 0), "shown 1\n");
  tree.replace(tree.begin_view(), {});
  EXPECT_EQ(read(file, 0), "ENODEV");
  EXPECT_EQ(read(file, 3), "ENODEV");
  EXPECT_EQ(as_file(file).mmap(0, 8).error().code, Errno::kNoDev);
  fill();
  EXPECT_EQ(read(file, 0), "shown 2\n");
}

}  // namespace
}  // namespace teeio::entry
