// IOVAs and errors of 15,000 random calls, compared with those that Linux 7.3.4
// gave for the same calls (recorded as a digest of each phase's answers).

#include "unit/host/iommufd/machine.h"

namespace teeio::iommufd {
namespace {

class Calls {
 public:
  enum class Sizes : std::uint8_t { kWholePages, kAny };

  /// 3,000 calls on a fresh list of live mappings, or on the one there is.
  void run(Sizes sizes) {
    for (int i = 0; i < 3000; ++i) {
      if (draw() % 10 < 6)
        map(sizes);
      else if (!live_.empty())
        unmap();
    }
  }
  void fresh_ioas() {
    ioas_ = *ctx_->ioas_alloc(0);
    live_.clear();
  }
  /// FNV-1a of every answer since the last call: errno, then IOVA or length.
  std::uint64_t take_digest() { return std::exchange(digest_, kFnvStart); }

  Context& context() { return *ctx_; }
  ObjectId ioas() const { return ioas_; }

 private:
  static constexpr std::uint64_t kFnvStart = 0xcbf2'9ce4'8422'2325;

  std::uint64_t draw() {
    seed_ = seed_ * 6364136223846793005ULL + 1442695040888963407ULL;
    return seed_ >> 33U;
  }
  void record(const Result<std::uint64_t>& result) {
    const std::uint64_t words[] = {
        result.has_value() ? 0U : static_cast<std::uint64_t>(result.error().code),
        result.value_or(0)};
    for (const std::uint64_t word : words)
      for (unsigned shift = 0; shift < 64; shift += 8)
        digest_ = (digest_ ^ (word >> shift & 0xffU)) * 0x100'0000'01b3;
  }

  void map(Sizes sizes) {
    std::uint64_t va = 0x10'0000 + draw() % 4096 * kPageSize;
    // The order of draws is the recorded program's.
    const std::uint64_t any_length = draw();
    const std::uint64_t most = draw() % 8 == 0 ? 1200 : 20;
    std::uint64_t length = (1 + any_length % most) * kPageSize;
    if (draw() % 5 == 0) va &= ~((std::uint64_t{1} << 21U) - 1);
    if (sizes == Sizes::kAny && draw() % 6 == 0) {
      va += draw() % kPageSize;
      length = 1 + draw() % 9000;
    }
    std::uint32_t flags = kReadWrite;
    std::uint64_t iova = 0;
    if (draw() % 4 == 0) {
      flags = kFixed;
      iova = draw() % 3000 * kPageSize;
      if (sizes == Sizes::kAny && draw() % 5 == 0) iova += draw() % kPageSize;
    }
    const auto mapped = ctx_->ioas_map(m_.program, {ioas_, flags, length, iova}, va);
    record(mapped);
    if (mapped.has_value()) live_.push_back({*mapped, length});
  }

  void unmap() {
    const std::size_t index = draw() % live_.size();
    auto [first, length] = live_[index];
    const bool exact = draw() % 4 != 0;
    if (!exact) {
      if (first > 0x3000) first -= draw() % 3 * kPageSize;
      length += draw() % 5 * kPageSize;
    }
    const auto unmapped = ctx_->ioas_unmap(ioas_, first, length);
    record(unmapped);
    if (unmapped.has_value() && exact) {
      live_[index] = live_.back();
      live_.pop_back();
    }
  }

  Machine m_;
  object::Ref<Context> ctx_ = Context::open(m_.environment);
  ObjectId ioas_ = 0;
  std::vector<std::pair<std::uint64_t, std::uint64_t>> live_;
  std::uint64_t seed_ = 12345;
  std::uint64_t digest_ = kFnvStart;
};

TEST(LinuxIovas, EveryAnswerIsLinuxs) {
  Calls calls;
  calls.fresh_ioas();
  calls.run(Calls::Sizes::kWholePages);
  EXPECT_EQ(calls.take_digest(), 0x1b097472c193aad0U);
  calls.fresh_ioas();
  calls.run(Calls::Sizes::kAny);
  EXPECT_EQ(calls.take_digest(), 0xacdc46d325d10a7U);
  calls.fresh_ioas();
  ASSERT_TRUE(
      calls.context()
          .ioas_allow_iovas(calls.ioas(),
                            {{0x8000, 0x9fff}, {0x20'0000, 0x2f'ffff}, {0x40'0123, 0x90'0000}})
          .has_value());
  calls.run(Calls::Sizes::kWholePages);
  calls.run(Calls::Sizes::kAny);
  EXPECT_EQ(calls.take_digest(), 0x5b7def5bc748f254U);
  calls.fresh_ioas();
  ASSERT_TRUE(calls.context().set_ioas_huge_pages(calls.ioas(), 0).has_value());
  calls.run(Calls::Sizes::kAny);
  EXPECT_EQ(calls.take_digest(), 0x925e0051ee30b4ceU);
}

}  // namespace
}  // namespace teeio::iommufd
