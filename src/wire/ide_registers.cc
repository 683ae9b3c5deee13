#include "wire/ide_registers.h"

#include "base/check.h"

namespace teeio::wire {
namespace {

constexpr unsigned kLinkCountShift = 13;    ///< three bits, one less
constexpr unsigned kStreamCountShift = 16;  ///< eight bits, one less
constexpr std::uint32_t kCounts = 7U << kLinkCountShift | 0xffU << kStreamCountShift;

/// Registers in order; short() once there were too few.
class Registers {
 public:
  explicit Registers(std::span<const std::uint32_t> in) : in_(in) {}
  std::uint32_t next() {
    if (in_.empty()) {
      short_ = true;
      return 0;
    }
    const std::uint32_t value = in_.front();
    in_ = in_.subspan(1);
    return value;
  }
  [[nodiscard]] bool is_short() const { return short_; }

 private:
  std::span<const std::uint32_t> in_;
  bool short_ = false;
};

IdeSelectiveBlock read_stream(Registers& r) {
  IdeSelectiveBlock block;
  const std::uint32_t addresses = r.next() & 0xfU;
  block.control = r.next();
  block.status = r.next();
  block.rid1 = r.next();
  block.rid2 = r.next();
  for (std::uint32_t i = 0; i < addresses && !r.is_short(); ++i) {
    IdeAddressBlock address;
    address.association1 = r.next();
    address.association2 = r.next();
    address.association3 = r.next();
    block.addresses.push_back(address);
  }
  return block;
}

}  // namespace

std::uint64_t IdeAddressBlock::base() const {
  return static_cast<std::uint64_t>(association3) << 32U | (association1 >> 8U & 0xfffU) << 20U;
}

std::uint64_t IdeAddressBlock::limit() const {
  const std::uint64_t high = association2;
  return high << 32U | (association1 & 0xfff00000U) | 0xfffffU;
}

Result<IdeRegisters> IdeRegisters::decode(std::span<const std::uint32_t> registers) {
  Registers r(registers);
  IdeRegisters out;
  out.capability = r.next();
  out.control = r.next();
  const unsigned links =
      (out.capability & kLink) != 0 ? (out.capability >> kLinkCountShift & 7U) + 1 : 0;
  const unsigned streams =
      (out.capability & kSelective) != 0 ? (out.capability >> kStreamCountShift & 0xffU) + 1 : 0;
  for (unsigned i = 0; i < links && !r.is_short(); ++i) {
    const std::uint32_t control = r.next();
    out.links.push_back({control, r.next()});
  }
  for (unsigned i = 0; i < streams && !r.is_short(); ++i) out.streams.push_back(read_stream(r));
  if (r.is_short()) return fail(Errno::kInval, "IDE capability has fewer registers than it says");
  return out;
}

std::vector<std::uint32_t> IdeRegisters::encode() const {
  TEEIO_CHECK(links.size() <= 8 && streams.size() <= 256, "IDE capability has too many blocks");
  std::uint32_t counted = capability & ~(kCounts | kLink | kSelective);
  if (!links.empty())
    counted |= kLink | static_cast<std::uint32_t>(links.size() - 1) << kLinkCountShift;
  if (!streams.empty())
    counted |= kSelective | static_cast<std::uint32_t>(streams.size() - 1) << kStreamCountShift;
  std::vector<std::uint32_t> out{counted, control};
  for (const IdeLinkBlock& link : links) out.insert(out.end(), {link.control, link.status});
  for (const IdeSelectiveBlock& s : streams) {
    TEEIO_CHECK(s.addresses.size() <= IdeSelectiveBlock::kMaxAddresses, "too many address blocks");
    out.insert(out.end(), {static_cast<std::uint32_t>(s.addresses.size()), s.control, s.status,
                           s.rid1, s.rid2});
    for (const IdeAddressBlock& a : s.addresses)
      out.insert(out.end(), {a.association1, a.association2, a.association3});
  }
  return out;
}

}  // namespace teeio::wire
