#include "explore/reduction/world.h"

#include <array>
#include <map>
#include <utility>

#include "schedule/atomic.h"
#include "schedule/condition.h"
#include "schedule/monitor.h"
#include "schedule/mutex.h"
#include "schedule/quarantine.h"
#include "schedule/task.h"

namespace teeio::reduction {
namespace {

using namespace schedule;  // NOLINT: every primitive is used

constexpr int kStories = 2;

/// What a monitor guards, and what stands for it.
struct Guard {
  void lock(Guards guards, bool whole) TEEIO_NO_THREAD_SAFETY_ANALYSIS {
    if (guards == Guards::kMutexes) return mutex.lock();
    whole ? monitor.lock() : monitor.lock_by_parts();
  }
  void unlock(Guards guards) TEEIO_NO_THREAD_SAFETY_ANALYSIS {
    guards == Guards::kMutexes ? mutex.unlock() : monitor.unlock();
  }

  Monitor monitor{Rank::kUnranked};
  Mutex mutex{Rank::kUnranked};
  std::array<int, kParts> parts{};
};

struct Object : Quarantined {
  explicit Object(std::uint32_t holds) : count(holds) {}
  Mutex mutex{Rank::kUnranked};
  Guard guard;
  Atomic<int> flag{0};
  RefCount count;
  int value = 0;
};

/// All that tasks share. After a finding it is kept, as the tasks are.
struct World {
  World(const Program& program, Guards stand_ins)
      : guards(stand_ins),
        count{RefCount(program.counts[0]), RefCount(program.counts[1])},
        object(new Object(program.holds)) {}

  const Guards guards;
  Guard guard[2];
  Mutex mutex[2] = {Mutex{Rank::kUnranked}, Mutex{Rank::kUnranked}};
  RwMutex rw{Rank::kUnranked};
  Condition condition[2];
  Atomic<int> flag[2];
  RefCount count[2];
  Object* object;
  bool object_gone = false;
  int guarded[2] = {0, 0};
  int written = 0;
  bool told = false;
  std::map<std::string, std::string> seen;  ///< by the name of a task
  std::array<std::string, kStories> stories;
};

World* g_kept = nullptr;

TaskLocal<std::uint64_t>& local() {
  static TaskLocal<std::uint64_t> slot;
  return slot;
}

/// One task at its steps.
class Actor {
 public:
  /// `name` is the same in every order: "a", and "a1" for its second child.
  Actor(World& world, std::string name)
      : world_(world), name_(std::move(name)), seen_(world.seen[name_]) {
    for (const char c : name_) mine_ = mine_ * 5 + (c & 0x1f);
  }

  void perform(const std::vector<Step>& steps) TEEIO_NO_THREAD_SAFETY_ANALYSIS {
    for (const Step& step : steps) perform(step);
  }
  void join_late() {
    for (Task& task : late_) task.join();
    late_.clear();
  }

 private:
  void saw(const std::string& what) { seen_ += what + ','; }
  void saw(std::int64_t value) { saw(std::to_string(value)); }
  /// What a lock guards: tells the order of its holders.
  void write(int& guarded) { saw(guarded = guarded * 7 % 100'003 + mine_); }

  void perform(const Step& step) TEEIO_NO_THREAD_SAFETY_ANALYSIS {
    const auto at = static_cast<std::size_t>(step.a);
    switch (step.kind) {
      case Kind::kLock:
      case Kind::kTryLock:
      case Kind::kRead:
      case Kind::kWrite:
      case Kind::kTryWrite:
        return lock(step, at);
      case Kind::kLoad:
      case Kind::kStore:
      case Kind::kExchange:
      case Kind::kAdd:
      case Kind::kCompare:
      case Kind::kIf:
        return use_flag(step, world_.flag[at]);
      case Kind::kGet:
      case Kind::kPut:
      case Kind::kGetNotZero:
      case Kind::kPutIfOne:
      case Kind::kCount:
        return use_count(step, world_.count[at]);
      case Kind::kWait:
      case Kind::kWaitFor:
      case Kind::kWaitUntilTold:
      case Kind::kNotify:
        return use_condition(step, at);
      case Kind::kUse:
      case Kind::kLockIn:
      case Kind::kDrop:
      case Kind::kTryHold:
      case Kind::kSectionIn:
        return use_object(step);
      case Kind::kSection:
      case Kind::kPart:
      case Kind::kDecide:
        return enter(step, at);
      default:
        return other(step, at);
    }
  }

  void lock(const Step& step, std::size_t at) TEEIO_NO_THREAD_SAFETY_ANALYSIS {
    const bool tries = step.kind == Kind::kTryLock || step.kind == Kind::kTryWrite;
    if (step.kind == Kind::kRead) {
      world_.rw.lock_shared();
      saw(world_.written);
      perform(step.then);
      saw(world_.written);
      return world_.rw.unlock_shared();
    }
    const bool is_mutex = step.kind == Kind::kLock || step.kind == Kind::kTryLock;
    if (tries && !(is_mutex ? world_.mutex[at].try_lock() : world_.rw.try_lock())) {
      saw("busy");
      return perform(step.otherwise);
    }
    if (!tries) is_mutex ? world_.mutex[at].lock() : world_.rw.lock();
    write(is_mutex ? world_.guarded[at] : world_.written);
    perform(step.then);
    is_mutex ? world_.mutex[at].unlock() : world_.rw.unlock();
  }

  void enter(const Step& step, std::size_t at) {
    const bool whole = step.kind == Kind::kSection;
    Guard& guard = world_.guard[at];
    const bool again = std::exchange(inside_[at], true);
    if (!again) guard.lock(world_.guards, whole);
    const auto what = static_cast<std::size_t>(step.b);
    if (whole)
      for (int& part : guard.parts) write(part);
    else if (step.kind == Kind::kPart)
      use_part(guard, what);
    perform(step.kind != Kind::kDecide || holds(guard, what) ? step.then : step.otherwise);
    inside_[at] = again;
    if (!again) guard.unlock(world_.guards);
  }

  /// What a command asks before it refuses: of the part nothing else is seen.
  bool holds(Guard& guard, std::size_t what) {
    guard.monitor.touch(part(1, what % kParts), Touch::How::kRead);
    const int value = guard.parts[what % kParts];
    const int asked = static_cast<int>(what / kParts);
    const bool answer = asked == 0 ? value == 0 : value % (asked + 1) == 0;
    saw(answer ? "so" : "not");
    return answer;
  }

  void use_part(Guard& guard, std::size_t what) {
    const auto how = static_cast<Touch::How>(what / kParts);
    guard.monitor.touch(part(1, what % kParts), how);
    int& value = guard.parts[what % kParts];
    switch (how) {
      case Touch::How::kRead:
        return saw(value);
      case Touch::How::kUpdate:
        value += 1000;
        return;
      case Touch::How::kWrite:
        return write(value);
    }
  }

  void use_flag(const Step& step, Atomic<int>& flag) {
    switch (step.kind) {
      case Kind::kLoad:
        return saw(flag.load());
      case Kind::kStore:
        return flag.store(step.b);
      case Kind::kExchange:
        return saw(flag.exchange(step.b));
      case Kind::kAdd:
        return saw(flag.fetch_add(step.b));
      case Kind::kCompare: {
        int expected = step.b;
        return saw(flag.compare_exchange(expected, step.b + 1) ? -1 : expected);
      }
      default:
        return perform(flag.load() == step.b ? step.then : step.otherwise);
    }
  }

  void use_count(const Step& step, RefCount& count) {
    switch (step.kind) {
      case Kind::kGet:
        return count.increment();
      case Kind::kPut:
        return saw(count.decrement() ? "last" : "put");
      case Kind::kGetNotZero:
        return saw(count.increment_not_zero() ? "got" : "gone");
      case Kind::kPutIfOne:
        return saw(count.decrement_if_one() ? "one" : "not");
      default:
        return saw(count.load());
    }
  }

  void use_condition(const Step& step, std::size_t at) TEEIO_NO_THREAD_SAFETY_ANALYSIS {
    Mutex& mutex = world_.mutex[at];
    Condition& condition = world_.condition[at];
    if (step.kind == Kind::kNotify) {
      if (step.b == 0) return condition.notify_all();
      const Lock lock(mutex);
      if (at == 0) world_.told = true;
      return condition.notify_all();
    }
    constexpr std::uint64_t kLong = 9;
    const Lock lock(mutex);
    if (step.kind == Kind::kWaitUntilTold) {
      int rounds = 0;
      while (!world_.told && condition.wait_for(mutex, kLong)) ++rounds;
      return saw(rounds * 2 + (world_.told ? 1 : 0));
    }
    if (step.kind == Kind::kWait)
      condition.wait(mutex);
    else
      saw(condition.wait_for(mutex, static_cast<std::uint64_t>(step.b)) ? "notified" : "late");
    write(world_.guarded[at]);
    perform(step.then);
  }

  void use_object(const Step& step) TEEIO_NO_THREAD_SAFETY_ANALYSIS {
    Object& object = *world_.object;
    const auto drop = [&] {
      const bool last = object.count.decrement();
      saw(last ? "last" : "put");
      if (!last) return;
      world_.object_gone = true;
      delete &object;
    };
    switch (step.kind) {
      case Kind::kUse:
        return saw(object.flag.fetch_add(1));
      case Kind::kLockIn:
        object.mutex.lock();
        write(object.value);
        perform(step.then);
        return object.mutex.unlock();
      case Kind::kSectionIn:
        object.guard.lock(world_.guards, true);
        write(object.guard.parts[0]);
        return object.guard.unlock(world_.guards);
      case Kind::kTryHold:
        if (!object.count.increment_not_zero()) return saw("gone");
        return drop();
      default:
        return drop();
    }
  }

  void other(const Step& step, std::size_t at) {
    switch (step.kind) {
      case Kind::kChoose:
        return saw(choose(static_cast<std::uint32_t>(step.a) + 2, "a random program's"));
      case Kind::kIfChosen:
        return perform(choose(2, "a random program's") != 0 ? step.then : step.otherwise);
      case Kind::kSpawn: {
        Task child = start(step.then);
        perform(step.otherwise);
        return child.join();
      }
      case Kind::kLate:
        late_.push_back(start(step.then));
        return;
      case Kind::kJoin:
        return join_late();
      case Kind::kYield:
        return yield();
      case Kind::kRetry: {
        int times = 0;
        for (; world_.flag[at].load() == 0 && times < step.b; ++times) yield();
        return saw(times);
      }
      case Kind::kPause:
        return pause(static_cast<std::uint64_t>(step.b));
      case Kind::kTell:
        schedule::told(std::uint64_t{1} << at);
        world_.stories[at] += name_ + ' ';
        return;
      case Kind::kLocal:
        saw(static_cast<std::int64_t>(local().get()));
        return local().set(local().get() + static_cast<std::uint64_t>(mine_));
      case Kind::kNow:
        return saw(static_cast<std::int64_t>(now_ns()));
      default:
        return saw(static_cast<std::int64_t>(random_u64() & 3U));
    }
  }

  Task start(const std::vector<Step>& steps) {
    const std::string name = name_ + std::to_string(children_++);
    return Task::spawn(name, [&world = world_, name, &steps] {
      Actor actor(world, name);
      actor.perform(steps);
      actor.join_late();
    });
  }

  World& world_;
  const std::string name_;
  std::string& seen_;
  int mine_ = 0;
  int children_ = 0;
  std::array<bool, 2> inside_{};
  std::vector<Task> late_;
};

}  // namespace

std::string run(const Program& program, Guards guards) {
  auto* world = new World(program, guards);
  g_kept = world;
  std::vector<Task> tasks;
  for (std::size_t t = 0; t < program.tasks.size(); ++t)
    tasks.push_back(Task::spawn(std::string(1, static_cast<char>('a' + t)), [=, &program] {
      Actor actor(*world, std::string(1, static_cast<char>('a' + t)));
      actor.perform(program.tasks[t]);
      actor.join_late();
    }));
  Actor main(*world, "m");
  main.perform(program.main);
  main.join_late();
  for (Task& task : tasks) task.join();

  std::string end = seen_so_far();
  Controller* const explored = controller();
  set_controller(nullptr);  // nobody is left to race with
  for (int value : {world->guarded[0], world->guarded[1], world->written, world->flag[0].load(),
                    world->flag[1].load(), static_cast<int>(world->count[0].load()),
                    static_cast<int>(world->count[1].load()), world->guard[0].parts[0],
                    world->guard[0].parts[1], world->guard[1].parts[0], world->guard[1].parts[1]})
    end += ' ' + std::to_string(value);
  if (!world->object_gone) delete world->object;
  delete std::exchange(g_kept, nullptr);
  set_controller(explored);
  return end;
}

std::string seen_so_far() {
  std::string out;
  if (g_kept == nullptr) return out;
  for (const auto& [name, seen] : g_kept->seen) out += name + ':' + seen + '|';
  for (const std::string& story : g_kept->stories) out += story + '/';
  return out;
}

}  // namespace teeio::reduction
