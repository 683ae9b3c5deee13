#include "host/iommufd/access.h"

#include "base/check.h"
#include "host/iommufd/context.h"

namespace teeio::iommufd {
namespace {

std::unexpected<Error> not_attached() {
  return fail(Errno::kNoEnt, "the access is attached to no IOAS");
}

}  // namespace

Access::Access(Context& context, AccessUser* user, Pages pages)
    : Object(kType), context_(context), user_(user), pages_(pages) {}

Result<Access*> Access::create(Context& context, AccessUser* user, Pages pages) {
  TEEIO_ASSIGN(auto access,
               NewObject<Access>::reserve(context.objects(), new Access(context, user, pages)));
  access->add_user();  // its user's, until end()
  if (user != nullptr) access->context_file_ = object::Ref<object::File>::share(context);
  return &access.commit();
}

void Access::end() {
  const object::DelayedPuts scope;  // the context may go with it
  context_.objects().destroy_user(*this);
}

void Access::destroy() {
  {
    const schedule::Lock lock(ioas_lock_);
    if (ioas_ != nullptr)
      TEEIO_CHECK(change(nullptr).has_value(), "an access ends while another call changes it");
  }
  context_file_.reset();
}

Result<void> Access::attach(ObjectId ioas_id) {
  const schedule::Lock lock(ioas_lock_);
  TEEIO_CHECK(ioas_ == nullptr, "an access is attached twice");
  TEEIO_ASSIGN(const auto ioas, find<Ioas>(context_.objects(), ioas_id));
  return change(ioas.get());
}

Result<void> Access::attach(Ioas& ioas) {
  const schedule::Lock lock(ioas_lock_);
  return change(&ioas);
}

Result<void> Access::replace(ObjectId ioas_id) {
  const schedule::Lock lock(ioas_lock_);
  if (ioas_ == nullptr) return not_attached();
  TEEIO_ASSIGN(const auto ioas, find<Ioas>(context_.objects(), ioas_id));
  return change(ioas.get());
}

Result<void> Access::change(Ioas* ioas) {
  Ioas* const old = ioas_;
  if (old != ioas_unpin_) return fail(Errno::kBusy, "another call changes the access");
  if (old == ioas) return {};
  ioas_ = nullptr;  // nobody pins from here on; unpinning works
  if (ioas != nullptr) {
    if (auto added = ioas->iopt.add_accessor(*this); !added.has_value()) {
      ioas_ = old;
      return added;
    }
    ioas->add_user();
  }
  if (old != nullptr) {
    if (user_ != nullptr) {
      ioas_lock_.unlock();
      user_->unmapping(0, IoPagetable::kLastIova);
      ioas_lock_.lock();
    }
    old->iopt.remove_accessor(*this);
    old->drop_user();
  }
  ioas_ = ioas;
  ioas_unpin_ = ioas;
  return {};
}

IoPagetable::Pin Access::pin_of(std::uint64_t iova, std::uint64_t length, bool write) const {
  return {.iova = iova,
          .length = length,
          .write = write,
          .lock = user_ == nullptr ? IoPagetable::Lock::kYes : IoPagetable::Lock::kNo};
}

Result<std::vector<IoptPages::Place>> Access::pin_pages(std::uint64_t iova, std::uint64_t length,
                                                        bool write) {
  const schedule::Lock lock(ioas_lock_);
  if (ioas_ == nullptr) return not_attached();
  return ioas_->iopt.pin(pin_of(iova, length, write));
}

void Access::unpin_pages(std::uint64_t iova, std::uint64_t length) {
  const schedule::Lock lock(ioas_lock_);
  TEEIO_CHECK(ioas_unpin_ != nullptr, "pages are unpinned through an access without IOAS");
  ioas_unpin_->iopt.unpin(pin_of(iova, length, false));
}

Result<void> Access::read(std::uint64_t iova, std::span<std::byte> out) {
  const schedule::Lock lock(ioas_lock_);
  if (ioas_ == nullptr) return not_attached();
  return ioas_->iopt.read(iova, out);
}

Result<void> Access::write(std::uint64_t iova, ByteView in) {
  const schedule::Lock lock(ioas_lock_);
  if (ioas_ == nullptr) return not_attached();
  return ioas_->iopt.write(iova, in);
}

bool Access::hold() { return user_ != nullptr && context_.objects().lock_object(*this); }

void Access::unmapping(std::uint64_t first, std::uint64_t length) {
  user_->unmapping(first, length);
}

void Access::put() { context_.objects().put(*this); }

}  // namespace teeio::iommufd
