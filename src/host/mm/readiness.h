#pragma once

namespace teeio::mm {

/// What poll(2) of a descriptor says of reading (Linux: a wait queue and f_op->poll).
///
/// Lifetime: owned by the open file's object in host/; made by run/. In-process callers
/// have none.
/// Locking: none of its own; the owner serialises.
class Readiness {
 public:
  virtual ~Readiness() = default;
  /// POLLIN from here on, or no more. Never blocks.
  virtual void set_readable(bool readable) = 0;
};

}  // namespace teeio::mm
