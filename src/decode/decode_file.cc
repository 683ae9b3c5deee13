#include "decode/decode_file.h"

#include <fmt/format.h>

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/files.h"
#include "decode/capture.h"
#include "decode/input_file.h"
#include "decode/print.h"
#include "decode/text.h"

namespace teeio::decode {
namespace {

/// No line of a key log is half as long.
constexpr std::size_t kMaxLine = 1024;

/// Characters that are printed at once.
constexpr std::size_t kMostWaiting = 64 * 1024;

void complain(const std::string& where, std::string_view why) {
  complain_text(fmt::format("teeio decode: {}: {}\n", where, why));
}

/// Takes whole lines off the front of `text`; false after a complaint.
bool add_lines(KeyRing& keys, const std::string& path, std::string_view text,
               std::size_t& line_number) {
  const KeyLogText log = parse_key_log(text);
  if (log.bad_line != 0) {
    complain(fmt::format("{}: line {}", path, line_number + log.bad_line), log.bad_why);
    return false;
  }
  if (log.cut_line != 0)
    complain(fmt::format("{}: line {}", path, line_number + log.cut_line),
             "is cut off and left out; the lines before it are used");
  for (const wire::KeyLogLine& line : log.lines) keys.add(line);
  for (const char c : text) line_number += c == '\n' ? 1U : 0U;
  return true;
}

/// The keys of the log; nullopt after a complaint.
std::optional<KeyRing> load_keys(const std::string& path) {
  KeyRing keys;
  if (path.empty()) return keys;
  auto file = InputFile::open(path);
  if (!file) {
    complain(path, file.error());
    return std::nullopt;
  }
  std::string text;
  std::size_t line_number = 0;
  std::array<std::byte, 64 * 1024> piece{};
  for (;;) {
    const auto got = file->read(piece);
    if (!got) {
      complain(path, got.error().why);
      return std::nullopt;
    }
    const bool end = *got == 0;
    text.append(reinterpret_cast<const char*>(piece.data()), *got);
    const std::size_t whole = end ? text.size() : text.rfind('\n') + 1;  // npos: none
    if (!add_lines(keys, path, std::string_view(text).substr(0, whole), line_number))
      return std::nullopt;
    text.erase(0, whole);
    if (end) return keys;
    if (text.size() > kMaxLine) {
      complain(fmt::format("{}: line {}", path, line_number + 1), "is too long for a key log's");
      return std::nullopt;
    }
  }
}

/// What is printed: together, but before the capture is waited for, and before a complaint
/// about it.
class Output {
 public:
  explicit Output(const FileOptions& options) : options_(options) {}
  void add(const Message& message, std::uint64_t start_ns) {
    const auto detail = options_.verbose ? Detail::kFields : Detail::kLine;
    if (options_.json)
      append_json(text_, message);
    else
      append_text(text_, message, start_ns, detail);
    if (text_.size() >= kMostWaiting) flush();
  }
  void flush() {
    print_text(text_.view());
    text_.clear(2 * kMostWaiting);
  }

 private:
  const FileOptions& options_;
  Text text_;
};

/// The capture's file, behind what was printed of it so far.
class Input final : public wire::ByteSource {
 public:
  Input(InputFile& file, Output& output) : file_(file), output_(output) {}
  Result<std::size_t> read(std::span<std::byte> into) override {
    output_.flush();
    return file_.read(into);
  }

 private:
  InputFile& file_;
  Output& output_;
};

/// Problems of messages, of which a wrong key log makes one a message.
class Problems {
 public:
  Problems(const FileOptions& options, Output& output) : options_(options), output_(output) {}
  void add(const Message& message) {
    if (message.problem.empty()) return;
    ++count_;
    if (!options_.verbose && count_ != 1) return;
    output_.flush();
    complain(fmt::format("{}: packet {}", options_.capture, message.packet), message.problem);
  }
  /// false: there were some.
  bool finish() const {
    if (count_ > 1 && !options_.verbose)
      complain(options_.capture,
               fmt::format("{} messages could not be read, the first is named above; -v names each",
                           count_));
    return count_ == 0;
  }

 private:
  const FileOptions& options_;
  Output& output_;
  std::size_t count_ = 0;
};

/// false after a complaint: the capture was stopped within one.
bool ends_with_a_message(const FileOptions& options, const Capture& capture) {
  const auto first = capture.unfinished();
  if (first)
    complain(fmt::format("{}: packet {}", options.capture, *first),
             "the capture ends before the last MCTP packet of this message");
  return !first;
}

/// false after a complaint about the file.
bool print_packets(const FileOptions& options, wire::PcapReader& reader, Capture& capture,
                   Output& output, Problems& problems) {
  std::optional<std::uint64_t> start_ns;
  for (std::size_t number = 1;; ++number) {
    const auto packet = reader.next();
    if (!packet || !*packet) output.flush();
    if (!packet) {
      complain(fmt::format("{}: packet {}", options.capture, number), packet.error().why);
      return false;
    }
    if (!*packet) return ends_with_a_message(options, capture);
    if (!start_ns) start_ns = (*packet)->time_ns;
    for (const Message& message : capture.read(**packet)) {
      output.add(message, *start_ns);
      problems.add(message);
    }
  }
}

}  // namespace

int decode_file(const FileOptions& options) {
  auto keys = load_keys(options.key_log);
  if (!keys) return 1;
  auto file = InputFile::open(options.capture);
  if (!file) {
    complain(options.capture, file.error());
    return 1;
  }
  Output output(options);
  Input input(*file, output);
  auto reader = wire::PcapReader::open(input);
  if (!reader) {
    complain(options.capture, reader.error().why);
    return 1;
  }
  Capture capture(wire::LinkType::kPciDoe, std::move(*keys), {.show_keys = options.show_keys});
  Problems problems(options, output);
  const bool whole = print_packets(options, *reader, capture, output, problems);
  return problems.finish() && whole ? 0 : 1;
}

}  // namespace teeio::decode
