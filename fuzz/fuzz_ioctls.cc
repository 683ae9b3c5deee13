// Links: explore/scenario
#include <algorithm>
#include <array>
#include <cstdio>
#include <memory>
#include <span>
#include <vector>

#include "abi/proposed.h"
#include "entry/argument.h"
#include "entry/support.h"
#include "fuzzer.h"
#include "host/mm/plain_files.h"
#include "machine/config.h"
#include "machine/program.h"
#include "schedule/fiber_controller.h"
#include "schedule/strategy.h"
#include "schedule/task.h"

// The input is a sequence of calls on the descriptors of a program for each of its threads: which
// row of the tables of ioctls, on which file, and what the argument's fields hold; and who of them
// moves next wherever somebody else could. Whatever a program says in whatever order, no check of
// ours may fail, nobody waits for ever, and in the end everything can be closed. The threads are
// fibers of the explored mode: the same input is the same run.
namespace teeio::fuzz {
namespace {

constexpr std::size_t kMaxCalls = 64;  // of all threads
constexpr std::size_t kMaxThreads = 4;
constexpr std::size_t kMaxPicks = 256;  // bytes
constexpr std::size_t kArgument = 256;  // bytes; structures are shorter
constexpr std::size_t kPages = 8;

constexpr std::array kPaths{"/dev/iommu",
                            "/dev/iommu",
                            "/dev/kvm",
                            "/dev/vfio/vfio",
                            "/dev/vfio/devices/vfio0",
                            "/dev/vfio/devices/vfio1",
                            "/dev/vfio/1"};

/// The built-in machine with the mock interface in its iommufds: the one that knows most.
const machine::Config& config() {
  static const machine::Config made = [] {
    std::string text =
        "iommufd_mock = true\n" + std::string(machine::builtin_machine("tdx-connect"));
    auto parsed = machine::parse_config(text, "fuzz");
    TEEIO_CHECK(parsed.has_value(), "the built-in machine is no machine");
    return *parsed;
  }();
  return made;
}

/// Who moves next: each byte says who, and for how many moves nobody else does. Behind its end
/// nobody is interrupted.
class Picks final : public schedule::Strategy {
 public:
  explicit Picks(ByteView bytes) : in_(bytes) {}
  [[nodiscard]] bool begin() override { return true; }
  [[nodiscard]] std::uint32_t pick(const schedule::Moment& moment) override {
    const auto tasks = static_cast<std::uint32_t>(moment.candidates.size());
    if (tasks == 1 || in_.rest().empty()) return 0;
    if (stays_ > 0 && moment.candidates.front().task == moment.last_task) return --stays_, 0;
    const std::uint8_t byte = in_.le<std::uint8_t>();
    stays_ = byte >> 2U;
    return (byte & 3U) % tasks;
  }
  /// The ordinary way: what fails by itself is other fuzzers' and the explorer's.
  [[nodiscard]] std::uint32_t choose(std::uint32_t) override { return 0; }

 private:
  Reader in_;
  unsigned stays_ = 0;
};

class Host {
 public:
  Host() : machine_(*machine::Machine::create(config())), program_(*machine_) {
    memory_ = program_.memory().map(kPages * kPageSize);
    for (const char* path : kPaths)
      if (const auto fd = program_.open(path)) files_.push_back(*fd);
    for (int i = 0; i < 2; ++i) {
      using Event = object::Ref<mm::PlainEventFd>;
      const auto fd = program_.install(Event::adopt(new mm::PlainEventFd));
      if (fd) files_.push_back(*fd);
    }
  }

  /// Each part's calls by a thread of their own.
  void play(std::span<const ByteView> parts) {
    std::vector<schedule::Task> threads;
    for (const ByteView part : parts)
      threads.push_back(
          schedule::Task::spawn("thread", [this, part, most = kMaxCalls / parts.size()] {
            Reader in(part);
            for (std::size_t calls = 0; calls < most && in.ok() && !in.rest().empty(); ++calls)
              step(in);
          }));
    for (schedule::Task& thread : threads) thread.join();
    program_.exit();
  }

  void step(Reader& in) {
    const std::uint8_t what = in.le<std::uint8_t>();
    const std::uint8_t which = in.le<std::uint8_t>();
    if (files_.empty()) return;  // two threads have closed the last two
    const int fd = files_[which % files_.size()];
    if (what < 8) return close(fd);
    if (what < 24) return io(fd, what, in);
    call(fd, in);
  }

 private:
  /// Some descriptor stays, so that there is one to call on.
  void close(int fd) {
    if (files_.size() < 2) return;
    (void)program_.close(fd);
    std::erase(files_, fd);
  }

  void io(int fd, std::uint8_t what, Reader& in) {
    Bytes bytes(in.le<std::uint8_t>());
    std::ranges::generate(bytes, [&] { return std::byte{in.le<std::uint8_t>()}; });
    const std::uint64_t offset =
        std::uint64_t{in.le<std::uint8_t>()} << 40U | in.le<std::uint16_t>();
    if ((what & 1U) != 0)
      (void)program_.pread(fd, offset, bytes);
    else
      (void)program_.pwrite(fd, offset, bytes);
  }

  /// What a field is likely to hold, or just a number of the input.
  std::uint64_t value(const entry::Field& field, Reader& in) {
    const std::uint8_t how = in.le<std::uint8_t>();
    const std::uint8_t which = in.le<std::uint8_t>();
    const bool wide = field.size == sizeof(std::uint64_t);
    if (how < 32) return std::uint64_t{in.le<std::uint32_t>()} << 32U | in.le<std::uint32_t>();
    if (how < 64) return wide ? ~std::uint64_t{0} - which : which;
    const auto words = field.words.get();
    if (!words.empty()) return words[which % words.size()].value;
    if (field.form == entry::Field::Form::kFd)
      return static_cast<std::uint64_t>(files_[which % files_.size()]);
    if (field.form != entry::Field::Form::kHex) return which % 24;  // ids are small
    if (how < 160) return memory_ + (which % kPages) * kPageSize + (how & 7U);
    if (how < 200) return (1U << 24U) + (which % 16U) * (kPageSize / 2);
    return (which % kPages + 1U) * kPageSize / ((how & 1U) + 1);
  }

  void call(int fd, Reader& in) {
    const auto file = program_.file(fd);
    if (!file) return;
    const object::FileKind kind = (*file)->kind();
    const std::span<const entry::Row> rows = entry::rows_of(kind);
    if (rows.empty()) return;
    const entry::Row& row = rows[in.le<std::uint8_t>() % rows.size()];
    if (row.name == "KVM_RUN") return;  // a guest's code may be an endless loop
    std::array<std::byte, kArgument> bytes{};
    const std::uint8_t raw_bytes = in.le<std::uint8_t>() % 80;
    for (std::size_t i = 0; i < raw_bytes; ++i) bytes[i] = std::byte{in.le<std::uint8_t>()};
    for (const entry::Field& field : row.argument.fields) {
      const std::uint64_t chosen = value(field, in);
      if (field.offset + field.size > bytes.size() || field.size > sizeof(chosen)) continue;
      std::copy_n(bytes_of(chosen).begin(), field.size,
                  bytes.begin() + static_cast<std::ptrdiff_t>(field.offset));
    }
    // Extensible structures start with their size.
    const std::uint32_t size = 4U * (in.le<std::uint8_t>() % 32U);
    if (size != 0) std::ranges::copy(bytes_of(size), bytes.begin());
    const auto number = row.number(abi::proposed_abi(abi::AbiProfile::kTeeio));
    const std::uint64_t at = memory_ + (in.le<std::uint8_t>() % kPages) * kPageSize;
    (void)program_.memory().write(at, bytes);
    const auto done = program_.ioctl(fd, number.value_or(row.command), at);
    learn(done, at, in);
  }

  /// A result that is a new descriptor is used from here on, be it a value or a field.
  void learn(const Result<std::int64_t>& done, std::uint64_t at, Reader& in) {
    if (!done) return;
    std::array<std::uint32_t, 16> words{};
    (void)program_.memory().read(at, std::as_writable_bytes(std::span(words)));
    const std::uint32_t word = words[in.le<std::uint8_t>() % words.size()];
    for (const std::int64_t candidate : {*done, std::int64_t{word}}) {
      const int fd = static_cast<int>(candidate);
      if (candidate < 0 || candidate > 4096 || std::ranges::find(files_, fd) != files_.end())
        continue;
      if (program_.file(fd).has_value()) files_.push_back(fd);
    }
  }

  const std::unique_ptr<machine::Machine> machine_;
  machine::Program program_;
  std::uint64_t memory_ = 0;
  std::vector<int> files_;
};

}  // namespace

void run(ByteView input) {
  if (input.size() < 2) return;
  const std::size_t threads = 1 + std::to_integer<std::size_t>(input[0]) % kMaxThreads;
  const std::size_t picks =
      std::min({std::to_integer<std::size_t>(input[1]), kMaxPicks, input.size() - 2});
  const ByteView rest = input.subspan(2 + picks);
  std::vector<ByteView> parts;
  for (std::size_t i = 0; i < threads; ++i) {
    const std::size_t begin = rest.size() * i / threads, end = rest.size() * (i + 1) / threads;
    parts.push_back(rest.subspan(begin, end - begin));
  }
  Host host;
  Picks strategy(input.subspan(2, picks));
  // A call may take a machine's whole memory page by page: far above what that costs.
  schedule::FiberController controller(strategy, {.points = 20'000'000});
  const schedule::Outcome outcome = controller.run([&] { host.play(parts); });
  if (!outcome.finding) return;
  std::fprintf(stderr, "%s%s\n", controller.story().c_str(), outcome.finding->what.c_str());
  TEEIO_CHECK(!outcome.finding, "several threads' calls end in a finding");
}

}  // namespace teeio::fuzz
