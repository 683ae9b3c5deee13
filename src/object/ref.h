#pragma once

#include <cstddef>
#include <type_traits>
#include <utility>

#include "schedule/atomic.h"
#include "schedule/quarantine.h"

namespace teeio::object {

/// Base of everything that is shared by reference.
///
/// Lifetime: starts with one reference, its maker's; last_put() runs when the
/// last one is dropped, and deletes the object unless a class says otherwise.
class Counted : public schedule::Quarantined {
 public:
  Counted(const Counted&) = delete;
  Counted& operator=(const Counted&) = delete;

  /// Precondition: the caller holds a reference.
  void add_ref() { refs_.increment(); }
  /// As Linux's get_file_active(): false once the last reference is gone.
  [[nodiscard]] bool add_ref_unless_zero() { return refs_.increment_not_zero(); }
  void drop_ref() {
    if (refs_.decrement()) last_put();
  }
  /// For diagnostics and assertions; stale at once.
  [[nodiscard]] std::uint32_t refs() const { return refs_.load(); }

 protected:
  Counted() : refs_(1) {}
  virtual ~Counted() = default;
  virtual void last_put() { delete this; }

 private:
  schedule::RefCount refs_;
};

/// An owning reference; null only when default-made or moved from.
template <class T>
class Ref {
 public:
  Ref() = default;
  Ref(std::nullptr_t) {}  // NOLINT(google-explicit-constructor): reads as a pointer
  /// Takes over a reference that the caller holds.
  [[nodiscard]] static Ref adopt(T* object) {
    Ref ref;
    ref.object_ = object;
    return ref;
  }
  /// Takes a further reference. Precondition: somebody holds one.
  [[nodiscard]] static Ref share(T& object) {
    object.add_ref();
    return adopt(&object);
  }
  Ref(const Ref& other) : object_(other.object_) {
    if (object_ != nullptr) object_->add_ref();
  }
  Ref(Ref&& other) noexcept : object_(std::exchange(other.object_, nullptr)) {}
  template <class U>
    requires std::is_convertible_v<U*, T*>
  Ref(Ref<U> other) : object_(other.leak()) {}  // NOLINT(google-explicit-constructor)
  Ref& operator=(Ref other) noexcept {
    std::swap(object_, other.object_);
    return *this;
  }
  ~Ref() {
    if (object_ != nullptr) object_->drop_ref();
  }

  [[nodiscard]] T* get() const { return object_; }
  T& operator*() const { return *object_; }
  T* operator->() const { return object_; }
  explicit operator bool() const { return object_ != nullptr; }
  bool operator==(const Ref& other) const { return object_ == other.object_; }
  void reset() { *this = Ref(); }
  /// Gives the reference up without dropping it.
  [[nodiscard]] T* leak() { return std::exchange(object_, nullptr); }

 private:
  T* object_ = nullptr;
};

/// Makes an object whose constructor is public.
template <class T, class... Args>
[[nodiscard]] Ref<T> make_ref(Args&&... args) {
  return Ref<T>::adopt(new T(std::forward<Args>(args)...));
}

}  // namespace teeio::object
