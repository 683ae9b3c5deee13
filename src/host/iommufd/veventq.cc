#include "host/iommufd/veventq.h"

#include <ranges>
#include <vector>

#include "base/bytes.h"
#include "host/iommufd/viommu.h"

namespace teeio::iommufd {
namespace {

/// abi: struct iommufd_vevent_header.
struct Header {
  std::uint32_t flags;
  std::uint32_t sequence;
};
constexpr std::uint32_t kLostEvents = 1;  // IOMMU_VEVENTQ_FLAG_LOST_EVENTS
constexpr std::uint32_t kLastSequence = 0x7fff'ffff;

}  // namespace

Veventq::Veventq(Viommu& viommu, std::uint32_t type, std::uint32_t depth)
    : EventQueue(kType), viommu_(viommu), type_(type), depth_(depth) {
  viommu_.add_user();
}

void Veventq::report(ByteView event) {
  const schedule::Lock lock(lock_);
  if (!deliver_.empty() && deliver_.back().data.empty()) deliver_.pop_back();
  Event added{.sequence = sequence_, .data = {}};
  if (events_ < depth_) {
    added.data.assign(event.begin(), event.end());
    event_bytes_ = event.size();
    ++events_;
  }
  deliver_.push_back(std::move(added));
  sequence_ = (sequence_ + 1) & kLastSequence;
  tell_readiness(true);
}

Result<std::size_t> Veventq::read(std::span<std::byte> out) {
  if (out.size() < sizeof(Header)) return fail(Errno::kInval, "no room for an event's header");
  const schedule::Lock lock(lock_);
  std::size_t done = 0;
  while (!deliver_.empty()) {
    const Event& next = deliver_.front();
    const std::size_t size = sizeof(Header) + next.data.size();
    if (out.size() - done < size) {
      if (done == 0) return fail(Errno::kInval, "no room for the first event");
      break;
    }
    const bool lost = next.data.empty();
    const Header header{.flags = lost ? kLostEvents : 0, .sequence = next.sequence};
    const auto to = out.begin() + static_cast<std::ptrdiff_t>(done);
    std::ranges::copy(bytes_of(header), to);
    std::ranges::copy(next.data, to + sizeof(Header));
    if (!lost) --events_;
    deliver_.pop_front();
    done += size;
  }
  tell_readiness(!deliver_.empty());
  return done;
}

void Veventq::put_back(ByteView records) {
  const schedule::Lock lock(lock_);
  std::vector<Event> events;
  Reader reader(records);
  while (!reader.rest().empty() && reader.ok()) {
    const auto flags = reader.le<std::uint32_t>();
    Event event{.sequence = reader.le<std::uint32_t>(), .data = {}};
    const ByteView data = reader.take((flags & kLostEvents) != 0 ? 0 : event_bytes_);
    event.data.assign(data.begin(), data.end());
    events.push_back(std::move(event));
  }
  for (Event& event : std::views::reverse(events)) {
    // That events were lost stands at the queue's end alone.
    if (event.data.empty() && !deliver_.empty()) continue;
    if (!event.data.empty()) ++events_;
    deliver_.push_front(std::move(event));
  }
  tell_readiness(!deliver_.empty());
}

Result<std::size_t> Veventq::write(ByteView) {
  return fail(Errno::kInval, "a vEVENTQ is read only");
}

void Veventq::destroy() {
  if (linked_) viommu_.forget_veventq(*this);
  viommu_.drop_user();
}

}  // namespace teeio::iommufd
