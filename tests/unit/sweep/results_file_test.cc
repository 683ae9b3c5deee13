#include "sweep/results_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "base/files.h"

namespace teeio::sweep {
namespace {

const std::vector<std::string> kCommand = {"vmm"};

std::vector<Variation> two() {
  return {{1, run::parse_injection("kill:open#1:before").value()},
          {2, run::parse_injection("kill:open#1:after").value()}};
}

class ResultsFileTest : public testing::Test {
 protected:
  ~ResultsFileTest() override { std::filesystem::remove(path_); }
  std::expected<ResultsFile, std::string> open() const {
    return ResultsFile::open(path_, kCommand, "", two());
  }
  void append(const std::string& text) const { std::ofstream(path_, std::ios::app) << text; }
  const std::string path_ =
      testing::TempDir() + testing::UnitTest::GetInstance()->current_test_info()->name();
};

TEST_F(ResultsFileTest, GivesBackWhatWasAdded) {
  const Outcome outcome{.status = 7,
                        .killed = {"a SIGSEGV"},
                        .cut_off = "x",
                        .out_of_processes = true,
                        .broken = {{"R1", "c", "w"}},
                        .lost = {"l"},
                        .happened = false,
                        .expectation = "e",
                        .last_words = "\"ü\"",
                        .crash = "s"};
  {
    auto file = open();
    ASSERT_TRUE(file) << file.error();
    EXPECT_TRUE(file->before().empty());
    EXPECT_TRUE(file->add(2, outcome));
  }
  const auto again = open();
  ASSERT_TRUE(again) << again.error();
  ASSERT_EQ(again->before().size(), 1U);
  EXPECT_EQ(again->before().at(2), outcome);
}

TEST_F(ResultsFileTest, ForgetsALineThatWasCutOff) {
  {
    ASSERT_TRUE(open()->add(1, {}));
  }
  append("{\"number\":2,\"outc");
  {
    auto file = open();
    ASSERT_TRUE(file) << file.error();
    EXPECT_EQ(file->before().size(), 1U);
    ASSERT_TRUE(file->add(2, {}));
  }
  EXPECT_EQ(open()->before().size(), 2U);
}

TEST_F(ResultsFileTest, RefusesWhatIsNotItsOwn) {
  {
    ASSERT_TRUE(open());
  }
  EXPECT_FALSE(ResultsFile::open(path_, kCommand, "another machine", two()));
  EXPECT_FALSE(ResultsFile::open(path_, {"other"}, "", two()));
  append("{\"number\":9,\"outcome\":{}}\n");
  EXPECT_FALSE(open()) << "there is no run 9";
  std::ofstream(path_, std::ios::trunc) << "my novel\n";
  EXPECT_FALSE(open());
  EXPECT_EQ(read_file(path_).value(), "my novel\n");
  EXPECT_FALSE(ResultsFile::open("/no-such-folder/x", kCommand, "", two()));
}

TEST_F(ResultsFileTest, IsWrittenByOneSweepAtATime) {
  auto file = open();
  ASSERT_TRUE(file) << file.error();
  const auto second = open();
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().find("another sweep writes it"), std::string::npos) << second.error();
  EXPECT_TRUE(file->add(1, {}));
}

TEST_F(ResultsFileTest, IsReadByOtherShards) {
  ASSERT_TRUE(open()->add(2, {}));
  const auto read = ResultsFile::read(path_, kCommand, "", two());
  ASSERT_TRUE(read) << read.error();
  EXPECT_TRUE(read->contains(2));
  EXPECT_EQ(read->size(), 1U);
  EXPECT_FALSE(ResultsFile::read(path_, kCommand, "another machine", two()));
  EXPECT_FALSE(ResultsFile::read("/no-such-folder/x", kCommand, "", two()));
}

TEST(OutcomeJson, RefusesWhatIsNone) {
  for (const char* text : {"", "{", "[]", "{}", "{\"status\":\"x\"}", "\xff"})
    EXPECT_FALSE(parse_outcome(text)) << text;
  const std::string good = to_json(Outcome{});
  for (const char* status : {"-1", "256", "1e300", "4294967296", "0.5"}) {
    std::string text = good;
    const std::string key = "\"status\":";
    const std::size_t at = text.find(key) + key.size();
    text.replace(at, text.find_first_of(",}", at) - at, status);
    EXPECT_FALSE(parse_outcome(text)) << text;
  }
  const run::Injector::Point point{.kind = run::Injection::Kind::kDevice,
                                   .name = "P",
                                   .fault = schedule::Fault::kLate,
                                   .nth = 3};
  EXPECT_EQ(parse_point(to_json(point)).value(), point);
  EXPECT_FALSE(parse_point("{}"));
  EXPECT_FALSE(parse_point(R"({"kind":9,"name":"P","fault":0,"nth":1})"));
}

}  // namespace
}  // namespace teeio::sweep
