#pragma once

#include <algorithm>
#include <functional>
#include <iterator>
#include <map>
#include <utility>
#include <vector>

#include "base/check.h"
#include "base/result.h"
#include "host/pci_tsm/ide.h"
#include "hw/pci_function.h"
#include "hw/root_port.h"
#include "schedule/mutex.h"

namespace teeio::tsm {

/// Of a driver's root ports the one above a function; null: none. `port_of` gives the
/// hw::RootPort* of an entry.
template <class Port, class PortOf = std::identity>
[[nodiscard]] const Port* port_above(const std::vector<Port>& ports, hw::PciFunction& function,
                                     PortOf port_of = {}) {
  const std::uint8_t bus = function.bdf().bus;
  const auto at = std::ranges::find_if(ports, [&](const Port& port) {
    hw::RootPort* const root = std::invoke(port_of, port);
    return bus >= root->secondary_bus() && bus <= root->subordinate_bus();
  });
  return at == ports.end() ? nullptr : &*at;
}

/// The cards that a driver has connected, by their function 0, where the DSM is. `Card` has a
/// `pf0`.
///
/// Locking: none; it changes only under pci_tsm_rwsem (write).
template <class Card>
class Cards {
 public:
  /// Driver::connect(): what `steps(card)` has done when it fails, `undo(card)` takes back.
  template <class Steps, class Undo>
  Result<void> connect(Card card, Steps steps, Undo undo) {
    const Bdf at = card.pf0->bdf();
    Card& made = cards_.emplace(at, std::move(card)).first->second;
    Result<void> done = steps(made);
    if (done) return done;
    undo(made);
    cards_.erase(at);
    return done;
  }
  /// Driver::disconnect().
  template <class Undo>
  void disconnect(const hw::PciFunction& pf0, Undo undo) {
    const auto at = cards_.find(pf0.bdf());
    TEEIO_CHECK(at != cards_.end(), "a card is disconnected that was not connected");
    undo(at->second);
    cards_.erase(at);
  }

  /// Precondition: the card is connected.
  [[nodiscard]] Card& of(const hw::PciFunction& pf0) {
    const auto at = cards_.find(pf0.bdf());
    TEEIO_CHECK(at != cards_.end(), "the card is not connected");
    return at->second;
  }
  /// Whose stream the function's requester ID is in. A card's begin with PF0's: of those that
  /// begin no later only the last can have it.
  [[nodiscard]] Card* with_stream_of(const hw::PciFunction& function) {
    const Bdf bdf = function.bdf();
    const auto after = cards_.upper_bound(bdf);
    if (after == cards_.begin()) return nullptr;
    auto& [first, card] = *std::prev(after);
    return first.domain == bdf.domain && bdf.rid() <= rid_range(*card.pf0).last ? &card : nullptr;
  }
  /// Whose device the function is of, or the PF of that VF: for streams that take every
  /// requester.
  [[nodiscard]] Card* with_device_of(hw::PciFunction& function) {
    const hw::PciFunction* const physical = function.physical_function();
    Bdf home = physical != nullptr ? physical->bdf() : function.bdf();
    home.function = 0;
    const auto at = cards_.find(home);
    return at == cards_.end() ? nullptr : &at->second;
  }

  [[nodiscard]] auto begin() const { return cards_.begin(); }
  [[nodiscard]] auto end() const { return cards_.end(); }

 private:
  std::map<Bdf, Card> cards_;
};

/// The functions that a driver has bound, with what it keeps of each.
///
/// Locking: its own, for looking up; what is kept is under the DSM's lock.
template <class Bound>
class BoundFunctions {
 public:
  void add(Bdf function, Bound bound) TEEIO_EXCLUDES(lock_) {
    const schedule::Lock lock(lock_);
    bound_.emplace(function, std::move(bound));
  }
  /// Preconditions of the next two: it was added.
  [[nodiscard]] Bound& of(Bdf function) TEEIO_EXCLUDES(lock_) {
    const schedule::Lock lock(lock_);
    const auto at = bound_.find(function);
    TEEIO_CHECK(at != bound_.end(), "the driver has not bound the function");
    return at->second;
  }
  Bound take(Bdf function) TEEIO_EXCLUDES(lock_) {
    const schedule::Lock lock(lock_);
    const auto at = bound_.find(function);
    TEEIO_CHECK(at != bound_.end(), "a function is unbound that the driver did not bind");
    Bound bound = std::move(at->second);
    bound_.erase(at);
    return bound;
  }

 private:
  schedule::Mutex lock_{schedule::Rank::kLeaf};
  std::map<Bdf, Bound> bound_ TEEIO_GUARDED_BY(lock_);
};

}  // namespace teeio::tsm
