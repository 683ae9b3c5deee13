#include "schedule/task.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <mutex>
#include <thread>
#include <utility>

#include "base/check.h"
#include "schedule/choice_watch.h"
#include "schedule/held_locks.h"
#include "schedule/monitor.h"
#include "schedule/native_state.h"
#include "schedule/races.h"
#include "schedule/split_mix.h"

namespace teeio::schedule {
namespace {

thread_local Controller* t_controller = nullptr;
thread_local std::uint64_t t_locals[kMaxTaskLocals] = {};
thread_local std::uint32_t t_task = 0;
thread_local std::string_view t_asked_only;  // written while no task runs
thread_local Asked t_asked;
std::atomic<std::uint32_t> g_next_task{1};

/// SplitMix64 under a lock: order of calls, not the thread, decides the number.
struct NativeRandom {
  std::mutex mutex;
  std::uint64_t state = 0x7ee10;
  Chooser chooser;
};

NativeRandom& native_random() {
  static NativeRandom random;
  return random;
}

}  // namespace

Controller* controller() { return t_controller; }
void set_controller(Controller* controller) { t_controller = controller; }

std::uint64_t* task_locals() {
  return t_controller == nullptr ? t_locals : t_controller->task_locals();
}

void clear_task_locals() {
  release_held_storage();
  std::fill_n(task_locals(), kMaxTaskLocals, 0);
}

std::size_t allot_task_local() {
  static std::atomic<std::size_t> next{0};
  const std::size_t slot = next.fetch_add(1);
  TEEIO_CHECK(slot < kMaxTaskLocals, "more task-local variables than slots");
  return slot;
}

struct Task::State {
  std::thread thread;        // native
  std::uint32_t number = 0;  // explored
  Controller* controller = nullptr;
  bool joined = false;
};

Task::Task(std::unique_ptr<State> state) : state_(std::move(state)) {}
Task::Task(Task&&) noexcept = default;
Task& Task::operator=(Task&&) noexcept = default;

Task::~Task() {
  TEEIO_CHECK(state_ == nullptr || state_->joined, "a task is destroyed before it was joined");
}

Task Task::spawn(std::string_view name, std::move_only_function<void()> body) {
  auto state = std::make_unique<State>();
  if (Controller* c = schedule::controller(); c != nullptr) {
    state->controller = c;
    state->number = c->spawn(name, std::move(body));
  } else {
    state->thread = std::thread([body = std::move(body), number = g_next_task++]() mutable {
      t_task = number;
      body();
      release_held_storage();
    });
  }
  return Task(std::move(state));
}

void Task::join() {
  TEEIO_CHECK(state_ != nullptr && !state_->joined, "a task is joined twice");
  state_->joined = true;
  if (state_->controller == nullptr) return state_->thread.join();
  state_->controller->point(
      {OpKind::kJoin, state_->number},
      [](const void* s) {
        const auto* state = static_cast<const State*>(s);
        return state->controller->ended(state->number);
      },
      state_.get());
  ordered_after(place_of_task(state_->number));
}

std::uint32_t current_task() {
  return t_controller == nullptr ? t_task : t_controller->current_task();
}

void yield() {
  Controller* c = controller();
  if (c == nullptr) return std::this_thread::yield();
  c->point({OpKind::kGiveWay, 0}, nullptr, nullptr);
  c->point({OpKind::kYield, 0}, nullptr, nullptr);
}

void pause(std::uint64_t duration_ns) {
  Controller* c = controller();
  if (c == nullptr) return std::this_thread::yield();
  (void)c->point_until(
      {OpKind::kSleep, 0}, [](const void*) { return false; }, nullptr, duration_ns);
}

void told(std::uint64_t stories) {
  if (Controller* c = controller(); c != nullptr) c->told(stories);
}

std::uint64_t now_ns() {
  if (Controller* c = controller(); c != nullptr) return c->now_ns();
  const auto now = std::chrono::steady_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::nanoseconds>(now).count());
}

std::uint64_t random_u64() {
  if (Controller* c = controller(); c != nullptr) return c->random_u64();
  NativeRandom& random = native_random();
  const std::lock_guard lock(random.mutex);
  return split_mix(random.state);
}

void fill_random(std::span<std::byte> out) {
  while (!out.empty()) {
    const std::uint64_t value = random_u64();
    const std::size_t count = std::min(out.size(), sizeof(value));
    std::memcpy(out.data(), &value, count);
    out = out.subspan(count);
  }
}

void set_seed(std::uint64_t seed) {
  const std::lock_guard lock(native_random().mutex);
  native_random().state = seed;
}

NativeState native_state() {
  NativeState state{
      .locals = {}, .random = 0, .monitors = detail::monitors_made(), .asked_only = t_asked_only};
  std::ranges::copy(t_locals, state.locals.begin());
  const std::lock_guard lock(native_random().mutex);
  state.random = native_random().state;
  return state;
}

void set_native_state(const NativeState& state) {
  std::ranges::copy(state.locals, t_locals);
  t_asked_only = state.asked_only;
  detail::set_monitors_made(state.monitors);
  set_seed(state.random);
}

void ask_only(std::string_view what) { t_asked_only = what; }
Asked take_asked() { return std::exchange(t_asked, {}); }

std::uint32_t choose(std::uint32_t count, std::string_view what) {
  if (!t_asked_only.empty() && t_asked_only != what) return 0;
  if (Controller* c = controller(); c != nullptr) {
    const std::uint32_t chosen = c->choose(count, what);
    const Unwatched unwatched;
    ++t_asked.times;
    if (chosen != 0) ++t_asked.other;
    return chosen;
  }
  NativeRandom& random = native_random();
  const std::lock_guard lock(random.mutex);
  if (!random.chooser) return 0;
  const std::uint32_t chosen = random.chooser(count, what);
  TEEIO_CHECK(chosen < count, "a chooser chose what was not offered");
  return chosen;
}

void set_chooser(Chooser chooser) {
  const std::lock_guard lock(native_random().mutex);
  native_random().chooser = std::move(chooser);
}

}  // namespace teeio::schedule
