// Links: explore/scenario
#include <algorithm>
#include <array>
#include <memory>
#include <vector>

#include "abi/proposed.h"
#include "entry/argument.h"
#include "entry/support.h"
#include "fuzzer.h"
#include "machine/config.h"
#include "machine/program.h"

// The input is a sequence of calls on the descriptors of a program: which row of the tables
// of ioctls, on which file, and what the argument's fields hold. Whatever a program says, no
// check of ours may fail, and in the end everything can be closed.
namespace teeio::fuzz {
namespace {

constexpr std::size_t kMaxCalls = 64;
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

class Host {
 public:
  Host() : machine_(*machine::Machine::create(config())), program_(*machine_) {
    memory_ = program_.memory().map(kPages * kPageSize);
    for (const char* path : kPaths)
      if (const auto fd = program_.open(path)) files_.push_back(*fd);
  }

  void step(Reader& in) {
    const std::uint8_t what = in.le<std::uint8_t>();
    const int fd = files_[in.le<std::uint8_t>() % files_.size()];
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
  Host host;
  Reader in(input);
  for (std::size_t calls = 0; calls < kMaxCalls && in.ok() && !in.rest().empty(); ++calls)
    host.step(in);
}

}  // namespace teeio::fuzz
