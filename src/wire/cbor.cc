#include "wire/cbor.h"

#include <limits>
#include <utility>

namespace teeio::wire {
namespace {

constexpr unsigned kMajorShift = 5;
constexpr unsigned kInfoMask = 0x1f;
constexpr unsigned kInline = 24;     ///< arguments below stand in the head itself
constexpr unsigned kLastSized = 27;  ///< 24 to 27: 1, 2, 4, 8 bytes follow

}  // namespace

Cbor& Cbor::head(CborMajor major, std::uint64_t argument) {
  const unsigned log2 = argument <= 0xff          ? 0U
                        : argument <= 0xffff      ? 1U
                        : argument <= 0xffff'ffff ? 2U
                                                  : 3U;
  const bool is_inline = argument < kInline;
  const unsigned info = is_inline ? static_cast<unsigned>(argument) : kInline + log2;
  out_.le(static_cast<std::uint8_t>(unsigned{std::to_underlying(major)} << kMajorShift | info));
  for (unsigned i = is_inline ? 0 : 1U << log2; i > 0; --i)
    out_.le(static_cast<std::uint8_t>(argument >> 8U * (i - 1)));
  return *this;
}

CborMajor CborReader::next() const {
  if (in_.empty()) return CborMajor::kSimple;
  return static_cast<CborMajor>(std::to_integer<unsigned>(in_[0]) >> kMajorShift);
}

ByteView CborReader::take(std::uint64_t count) {
  if (count > in_.size()) return broken(), ByteView{};
  const ByteView taken = in_.first(static_cast<std::size_t>(count));
  in_ = in_.subspan(taken.size());
  return taken;
}

CborReader::Head CborReader::head() {
  const ByteView first = take(1);
  if (first.empty()) return {};
  const auto octet = std::to_integer<unsigned>(first[0]);
  Head head{static_cast<CborMajor>(octet >> kMajorShift), octet & kInfoMask};
  if (head.argument < kInline) return head;
  // 28 to 30 are reserved; 31 is an indefinite length, which no token has.
  if (head.argument > kLastSized) return broken(), Head{};
  const ByteView more = take(std::uint64_t{1} << (head.argument - kInline));
  head.argument = 0;
  for (const std::byte one : more)
    head.argument = head.argument << 8U | std::to_integer<std::uint64_t>(one);
  return head;
}

std::uint64_t CborReader::head_of(CborMajor major) {
  const Head found = head();
  if (!ok_ || found.major != major) return broken(), 0;
  return found.argument;
}

std::int64_t CborReader::integer() {
  const bool negative = next() == CborMajor::kNegative;
  const std::uint64_t value = head_of(negative ? CborMajor::kNegative : CborMajor::kUnsigned);
  if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()))
    return broken(), 0;
  const auto number = static_cast<std::int64_t>(value);
  return negative ? -1 - number : number;
}

ByteView CborReader::bytes() { return take(head_of(CborMajor::kBytes)); }

std::string_view CborReader::text() {
  const ByteView chars = take(head_of(CborMajor::kText));
  return {reinterpret_cast<const char*>(chars.data()), chars.size()};
}

std::size_t CborReader::count_of(CborMajor major, unsigned items_each) {
  const std::uint64_t count = head_of(major);
  if (count > in_.size() / items_each) return broken(), 0;
  return static_cast<std::size_t>(count);
}

std::size_t CborReader::array() { return count_of(CborMajor::kArray, 1); }
std::size_t CborReader::map() { return count_of(CborMajor::kMap, 2); }
std::uint64_t CborReader::tag() { return head_of(CborMajor::kTag); }

void CborReader::skip(unsigned depth) {
  if (depth > kDeepest) return broken();
  const Head found = head();
  std::uint64_t inside = 0;
  switch (found.major) {
    case CborMajor::kBytes:
    case CborMajor::kText:
      (void)take(found.argument);
      return;
    case CborMajor::kArray:
      inside = found.argument;
      break;
    case CborMajor::kMap:
      if (found.argument > in_.size()) return broken();
      inside = 2 * found.argument;
      break;
    case CborMajor::kTag:
      inside = 1;
      break;
    case CborMajor::kUnsigned:
    case CborMajor::kNegative:
    case CborMajor::kSimple:
      return;
  }
  for (; inside > 0 && ok_; --inside) skip(depth + 1);
}

}  // namespace teeio::wire
