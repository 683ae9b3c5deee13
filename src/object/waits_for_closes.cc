#include "object/waits_for_closes.h"

#include "schedule/task.h"

namespace teeio::object {
namespace {

schedule::TaskLocal<CloseWaiter*> t_close_waiter;

}  // namespace

void set_close_waiter(CloseWaiter* waiter) { t_close_waiter.set(waiter); }

WaitsForCloses::WaitsForCloses() : waiter_(t_close_waiter.get()) {
  if (waiter_ != nullptr) waiter_->begin_wait();
}

WaitsForCloses::~WaitsForCloses() {
  if (waiter_ != nullptr) waiter_->end_wait();
}

}  // namespace teeio::object
