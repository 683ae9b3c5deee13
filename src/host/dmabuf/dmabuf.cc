#include "host/dmabuf/dmabuf.h"

#include <algorithm>
#include <numeric>
#include <ranges>

#include "base/check.h"
#include "schedule/seeded_bug.h"

namespace teeio::dmabuf {
namespace {

std::uint64_t total_length(const std::vector<PhysRange>& ranges) {
  return std::accumulate(ranges.begin(), ranges.end(), std::uint64_t{0},
                         [](std::uint64_t sum, const PhysRange& r) { return sum + r.length; });
}

constexpr std::string_view kRevokedWhy = "the dma-buf is revoked";

}  // namespace

object::Ref<DmaBuf> DmaBuf::create(Exporter& exporter, std::vector<PhysRange> ranges, State state) {
  TEEIO_CHECK(!ranges.empty(), "a dma-buf has at least one range");
  return object::Ref<DmaBuf>::adopt(new DmaBuf(exporter, std::move(ranges), state));
}

DmaBuf::DmaBuf(Exporter& exporter, std::vector<PhysRange> ranges, State state)
    : File(object::FileKind::kDmaBuf),
      ranges_(std::move(ranges)),
      size_bytes_(total_length(ranges_)),
      exporter_(&exporter),
      revoked_(state == State::kRevoked) {}

Result<Attachment*> DmaBuf::attach(Importer& importer) {
  if (!importer.peer2peer())
    return fail(Errno::kOpNotSupp, "the importer cannot reach another device's memory");
  const schedule::Lock lock(resv_);
  if (revoked_) return fail(Errno::kNoDev, kRevokedWhy);
  if (!importer.revocable())
    return fail(Errno::kOpNotSupp, "the importer cannot give the dma-buf back");
  attachments_.push_back(new Attachment(*this, importer));
  return attachments_.back();
}

void DmaBuf::detach(Attachment& attachment) {
  {
    const schedule::Lock lock(resv_);
    attachment.buffer_.resv_.assert_held();
    TEEIO_CHECK(attachment.mappings_ == 0 && attachment.pins_ == 0,
                "a dma-buf attachment ends while it is mapped or pinned");
    TEEIO_CHECK(std::erase(attachments_, &attachment) == 1,
                "a dma-buf attachment ends at another dma-buf");
  }
  delete &attachment;
}

void DmaBuf::pin(Attachment& attachment) {
  attachment.buffer_.resv_.assert_held();
  ++attachment.pins_;
}

void DmaBuf::unpin(Attachment& attachment) {
  attachment.buffer_.resv_.assert_held();
  TEEIO_CHECK(attachment.pins_ != 0, "a dma-buf is unpinned more often than pinned");
  --attachment.pins_;
}

Result<std::span<const PhysRange>> DmaBuf::map(Attachment& attachment) {
  attachment.buffer_.resv_.assert_held();
  if (revoked_) return fail(Errno::kNoDev, kRevokedWhy);
  ++attachment.mappings_;
  ++mappings_;
  return std::span(ranges_);
}

void DmaBuf::unmap(Attachment& attachment) {
  attachment.buffer_.resv_.assert_held();
  TEEIO_CHECK(attachment.mappings_ != 0, "a dma-buf is unmapped more often than mapped");
  --attachment.mappings_;
  if (--mappings_ == 0) unmapped_.notify_all();
}

Result<PhysRange> DmaBuf::single_range(Attachment& /*attachment*/) {
  resv_.assert_held();
  if (revoked_) return fail(Errno::kNoDev, kRevokedWhy);
  if (ranges_.size() != 1)
    return fail(Errno::kOpNotSupp, "a dma-buf of several ranges cannot be mapped into an IOAS");
  return ranges_.front();
}

Result<PhysRange> DmaBuf::lookup(Attachment& /*attachment*/, std::uint64_t offset) {
  resv_.assert_held();
  if (revoked_) return fail(Errno::kNoDev, kRevokedWhy);
  for (const PhysRange& range : ranges_) {
    if (offset < range.length) return PhysRange{range.start + offset, range.length - offset};
    offset -= range.length;
  }
  return fail(Errno::kInval, "offset lies outside the dma-buf");
}

void DmaBuf::invalidate_mappings() {
  // list_add() puts new attachments in front: they are told first.
  for (Attachment* attachment : std::views::reverse(attachments_))
    attachment->importer_.invalidated(*attachment);
}

void DmaBuf::hold() {
  const schedule::Lock lock(resv_);
  if (revoked_) return;
  revoked_ = held_ = true;
  for (Attachment* attachment : attachments_) attachment->importer_.held(*attachment);
}

void DmaBuf::revoke() {
  const schedule::Lock lock(resv_);
  if (revoked_ && !held_) return;
  revoked_ = true;
  held_ = false;
  invalidate_mappings();
  // Linux drops its own count and waits for a completion, both of which it must
  // arm again afterwards; a count under the lock needs neither.
  const bool waits = !schedule::seeded("revoke-does-not-wait") &&
                     !(schedule::seeded("completion-used-up") && completed_);
  while (waits && mappings_ != 0) unmapped_.wait(resv_);
  completed_ = true;
}

void DmaBuf::restore() {
  const schedule::Lock lock(resv_);
  if (!revoked_ || exporter_ == nullptr) return;
  invalidate_mappings();
  revoked_ = held_ = false;
}

void DmaBuf::orphan() {
  revoke();
  const schedule::Lock lock(resv_);
  exporter_ = nullptr;
}

void DmaBuf::release() {
  Exporter* exporter = nullptr;
  {
    const schedule::Lock lock(resv_);
    TEEIO_CHECK(attachments_.empty(), "a dma-buf is released while it has importers");
    exporter = exporter_;
  }
  if (exporter != nullptr) exporter->released(*this);
}

}  // namespace teeio::dmabuf
