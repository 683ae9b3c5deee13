#pragma once

#include <array>
#include <cstdint>
#include <utility>
#include <vector>

#include "explore/happens_before.h"
#include "explore/strategy.h"

namespace teeio::explore {

/// All orders, but of those that differ only in moves that commute one: dynamic
/// partial-order reduction with source sets and sleep sets, depth first. Each run
/// shows which moves raced; where two could have come in the other order, some
/// task is tried at the place before them that leads there, unless one that was
/// tried (or sleeps, or waits to be tried) does already. When nothing is left to
/// try, each class of equal orders was run to its end exactly once. A new try is
/// led along the moves that make the reversal, so that it hardly ever turns out
/// to show nothing new.
///
/// Alternatives of choose() are all tried, each with all orders.
///
/// Source: C. Flanagan, P. Godefroid, "Dynamic Partial-Order Reduction for Model
/// Checking Software", POPL 2005; P. Abdulla et al., "Source Sets: A Foundation
/// for Optimal Dynamic Partial Order Reduction", JACM 64(4), 2017. The leading
/// sequences are its wakeup sequences, used as advice only. Blocking: see
/// HappensBefore; that a task waits at the end of a run, before time passes, or
/// where a schedule is given up, races with the lock that it waits for. What a
/// move tells observers, and touches in sections of monitors, is known once the next one is
/// asked for: settle().
class Dpor final : public Strategy {
 public:
  /// A part of the tree of all schedules: those that follow the first schedule up
  /// to decision `depth` and there do `value` instead. See deviations().
  struct Deviation {
    std::uint32_t depth;
    Choice::Kind kind;
    std::uint32_t value;
    bool operator==(const Deviation&) const = default;
  };

  [[nodiscard]] bool begin() override;
  [[nodiscard]] std::uint32_t pick(const Moment& moment) override;
  [[nodiscard]] std::uint32_t choose(std::uint32_t count) override;
  void stuck(std::span<const Candidate> waiting) override;
  void pruned(std::span<const Candidate> waiting) override;
  void told(std::uint64_t stories) override;
  void touched(Touch touch) override;

  /// The run is over. For each pair of moves that it has asked to be tried the other way
  /// round: the number of the primitive that they meet at, 0 for a told story and a retry.
  [[nodiscard]] std::vector<std::uint32_t> take_reversed() {
    settle();
    return std::exchange(reversed_, {});
  }

  /// How much of the tree is behind, 0 to 1: each subtree of a node counts the same.
  [[nodiscard]] double share_done() const;

  /// After the first run: all schedules but that one, parted by where they leave
  /// it first. At each decision of the first run every other task that could move
  /// is one part (whether or not a race asks for it), with those before it asleep;
  /// every other alternative is one. The parts are disjoint, and together with the
  /// first schedule they are the whole: nothing that a run shows in one part asks
  /// for something in another, since all there is at the shared decisions is tried.
  /// (What a task that sleeps from the start would tell is not known: it is held
  /// to tell everything, so that orders of told facts may be run in two parts.)
  [[nodiscard]] std::vector<Deviation> deviations() const;
  /// After the first run: begin() gives the schedules of one part from now on.
  /// May be called again when they are exhausted, or not.
  void restrict_to(const Deviation& part);

 private:
  struct Node {
    Choice::Kind kind;
    std::uint32_t chosen;          ///< task or alternative
    std::uint32_t count;           ///< candidates or alternatives
    std::uint32_t candidates = 0;  ///< where they start in candidates_
    /// Nothing new comes of moving these here; those that were tried included.
    std::uint64_t sleep = 0;
    std::uint64_t tried = 0;                     ///< of these, those that were tried here
    std::uint64_t todo = 0;                      ///< to be tried after `chosen`
    std::uint32_t hints = HappensBefore::kNone;  ///< first of those tries' hints in hints_
  };
  /// The moves that a try should make, by task.
  struct Hint {
    std::uint32_t next;
    std::uint32_t task;  ///< whose try at the node: steps[0]
    std::vector<std::uint32_t> steps;
  };

  [[nodiscard]] static constexpr std::uint64_t task_bit(std::uint32_t task) {
    return std::uint64_t{1} << task;
  }
  [[nodiscard]] std::span<const Candidate> candidates_of(const Node& node) const {
    return {candidates_.data() + node.candidates, node.count};
  }
  void keep_first_path();
  [[nodiscard]] bool advance();
  void pop();
  /// The last move is over, and so is what it told.
  void settle();
  [[nodiscard]] bool has_opponents() const;
  void sleep_on(const Node& node, const Candidate& move);
  [[nodiscard]] std::uint32_t force(const Candidate& only);
  void go_on(const Candidate& move, std::uint32_t node);
  void note_footprint(std::uint32_t node, std::uint32_t task, Footprints::Number left);
  [[nodiscard]] Footprints::Number& footprint_at(const Node& node, std::uint32_t task);
  void reverse_waits(std::span<const Candidate> waiting);
  void drop_hints(Node& node);
  void follow_hint(Node& node);
  void check_same(const Node& node, const Moment& moment) const;
  [[nodiscard]] std::uint32_t first_choice(const Moment& moment);
  /// Whether this run differs by now from the one before, whose races are known.
  [[nodiscard]] bool is_new() const { return depth_ > new_from_; }

  /// `end`: the events up to there are those before `late`, which was seen to touch `left`.
  void reverse(const HappensBefore::Race& race, const Candidate& late, std::uint32_t end,
               Footprints::Number left);
  [[nodiscard]] bool wake(Node& node, std::uint32_t late, Footprints::Number left);
  void build_sequence(const HappensBefore::Race& race, const Candidate& late, std::uint32_t end);
  [[nodiscard]] bool is_initial(std::uint32_t task) const;
  void add_hint(Node& node, std::uint32_t late_task);

  void note_reversed(std::uint32_t event, const Candidate& late);

  HappensBefore order_;
  std::vector<std::uint32_t> reversed_;
  bool started_ = false;
  bool restricted_ = false;  ///< the next schedule is the first of a part
  std::vector<Node> path_;
  std::vector<Candidate> candidates_;
  Footprints footprints_;
  std::vector<Footprints::Number> left_;      ///< by each of candidates_, if it was tried
  std::vector<std::uint32_t> node_of_event_;  ///< its place in path_, if there was a choice
  std::vector<Hint> hints_;
  std::uint32_t free_hints_ = HappensBefore::kNone;
  std::size_t floor_ = 0;     ///< decisions above are not changed
  std::size_t new_from_ = 0;  ///< decision that this run makes anew
  std::size_t depth_ = 0;
  std::uint64_t sleep_ = 0;  ///< of the present moment
  std::array<Footprints::Number, HappensBefore::kMaxTasks> sleep_left_{};  ///< of those asleep
  bool under_way_ = false;      ///< a move was made and is not settled
  std::vector<Touch> touched_;  ///< by it so far
  std::vector<std::uint32_t> lead_;
  std::size_t lead_at_ = 0;
  std::vector<Node> first_path_;  ///< the first schedule, for parts
  std::vector<Candidate> first_candidates_;

  // The sequence that reverses a race: of the events after it, those that need
  // not come after it, and the late move.
  std::vector<std::uint32_t> sequence_;
  HappensBefore::Clock late_clock_;
  std::array<std::uint32_t, HappensBefore::kMaxTasks> first_of_task_{};
};

}  // namespace teeio::explore
