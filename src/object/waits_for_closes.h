#pragma once

namespace teeio::object {

/// Told that the call of the running task waits until others have closed something, and that
/// it goes on. Installed by who runs calls (run/): a last close waits for calls whose callers
/// are dead, and one that waits for just that close must not be waited for.
class CloseWaiter {
 public:
  virtual ~CloseWaiter() = default;
  virtual void begin_wait() = 0;
  virtual void end_wait() = 0;
};

/// Of the running task; nullptr: nobody wants to know. Lifetime: outlives the task's calls.
void set_close_waiter(CloseWaiter* waiter);

/// A wait for closes, from here to the end of the scope. Scopes do not nest.
class WaitsForCloses {
 public:
  WaitsForCloses();
  ~WaitsForCloses();
  WaitsForCloses(const WaitsForCloses&) = delete;
  WaitsForCloses& operator=(const WaitsForCloses&) = delete;

 private:
  CloseWaiter* const waiter_;
};

}  // namespace teeio::object
