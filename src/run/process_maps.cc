#include "run/process_maps.h"

#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/sysmacros.h>

#include <array>
#include <cerrno>
#include <charconv>
#include <climits>
#include <span>
#include <string_view>
#include <utility>

#include "run/fd.h"
#include "run/sys.h"

namespace teeio::run {
namespace {

/// Linux 6.11's question for one mapping, include/uapi/linux/fs.h: struct procmap_query.
struct Query {
  std::uint64_t size = sizeof(Query);
  std::uint64_t query_flags = 0;
  std::uint64_t query_addr = 0;
  std::uint64_t vma_start = 0;
  std::uint64_t vma_end = 0;
  std::uint64_t vma_flags = 0;
  std::uint64_t vma_page_size = 0;
  std::uint64_t vma_offset = 0;
  std::uint64_t inode = 0;
  std::uint32_t dev_major = 0;
  std::uint32_t dev_minor = 0;
  std::uint32_t vma_name_size = 0;
  std::uint32_t build_id_size = 0;
  std::uint64_t vma_name_addr = 0;
  std::uint64_t build_id_addr = 0;
};
constexpr unsigned long kProcmapQuery = _IOWR('f', 17, Query);
constexpr std::uint64_t kReadable = 0x01, kWritable = 0x02, kExecutable = 0x04, kShared = 0x08,
                        kCoveringOrNext = 0x10;

enum class Asked : std::uint8_t { kFound, kNone, kGone, kCannotAsk };

Asked why_not(int error) {
  if (error == ENOENT) return Asked::kNone;
  return error == ESRCH ? Asked::kGone : Asked::kCannotAsk;
}

/// The mapping at `address` or the next one behind it. `name`: room for its path; without any it
/// is not asked for, which saves the kernel the walk up its directories.
Asked ask(const Fd& maps, std::uint64_t address, MapsLine& line, std::span<char> name) {
  Query query;
  query.query_flags = kCoveringOrNext;
  query.query_addr = address;
  query.vma_name_size = static_cast<std::uint32_t>(name.size());
  query.vma_name_addr = name.empty() ? 0 : reinterpret_cast<std::uint64_t>(name.data());
  if (::ioctl(maps.get(), kProcmapQuery, &query) != 0) return why_not(errno);
  line = {.start = query.vma_start,
          .end = query.vma_end,
          .readable = (query.vma_flags & kReadable) != 0,
          .writable = (query.vma_flags & kWritable) != 0,
          .executable = (query.vma_flags & kExecutable) != 0,
          .shared = (query.vma_flags & kShared) != 0,
          .offset = query.vma_offset,
          .device = makedev(query.dev_major, query.dev_minor),
          .inode = query.inode,
          .path = query.vma_name_size == 0 ? std::string() : std::string(name.data())};
  return Asked::kFound;
}

std::expected<std::vector<MapsLine>, NoMaps> ask_range(const Fd& maps, std::uint64_t address,
                                                       std::uint64_t end, std::span<char> name) {
  std::vector<MapsLine> lines;
  while (address < end) {
    MapsLine line;
    switch (ask(maps, address, line, name)) {
      case Asked::kFound:
        break;
      case Asked::kNone:
        return lines;
      case Asked::kGone:
        return std::unexpected(NoMaps::kGone);
      case Asked::kCannotAsk:
        return std::unexpected(NoMaps::kCannotAsk);
    }
    if (line.start >= end) break;
    address = line.end;
    lines.push_back(std::move(line));
  }
  return lines;
}

/// Takes a number and the character behind it off the front of `text`.
template <class Number>
bool take(std::string_view& text, Number& value, int base) {
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value, base);
  const auto length = static_cast<std::size_t>(end - text.data());
  if (error != std::errc() || length == text.size()) return false;
  text.remove_prefix(length + 1);
  return true;
}

/// "7f0000-7f1000 rw-s 00000000 00:0d 12      /memfd:x (deleted)".
bool parse(std::string_view text, MapsLine& line) {
  constexpr int kHex = 16, kDecimal = 10;
  if (!take(text, line.start, kHex) || !take(text, line.end, kHex) || text.size() < 5) return false;
  line.readable = text[0] == 'r';
  line.writable = text[1] == 'w';
  line.executable = text[2] == 'x';
  line.shared = text[3] == 's';
  text.remove_prefix(5);
  unsigned major = 0;
  unsigned minor = 0;
  if (!take(text, line.offset, kHex) || !take(text, major, kHex) || !take(text, minor, kHex))
    return false;
  line.device = makedev(major, minor);
  const std::string padded = std::string(text) + ' ';  // an anonymous one ends in its inode
  std::string_view rest = padded;
  if (!take(rest, line.inode, kDecimal)) return false;
  rest.remove_prefix(std::min(rest.find_first_not_of(' '), rest.size()));
  line.path = rest.substr(0, rest.empty() ? 0 : rest.size() - 1);
  return true;
}

std::vector<MapsLine> read_text(pid_t tid, std::uint64_t address, std::uint64_t end) {
  std::vector<MapsLine> lines;
  const std::string text = read_file(proc_path(tid, "maps"));
  std::string_view left = text;
  while (!left.empty()) {
    const std::string_view row = left.substr(0, left.find('\n'));
    left.remove_prefix(std::min(left.size(), row.size() + 1));
    MapsLine line;
    if (!parse(row, line) || line.end <= address) continue;
    if (line.start >= end) break;
    lines.push_back(std::move(line));
  }
  return lines;
}

}  // namespace

std::vector<MapsLine> read_maps(pid_t tid) { return read_text(tid, 0, UINT64_MAX); }

std::vector<MapsLine> read_maps(pid_t tid, std::uint64_t address, std::uint64_t end) {
  const Fd maps(::open(proc_path(tid, "maps").c_str(), O_RDONLY | O_CLOEXEC));
  std::array<char, PATH_MAX> name;
  auto lines = ask_range(maps, address, end, name);
  if (lines) return *std::move(lines);
  if (lines.error() == NoMaps::kGone) return {};
  return read_text(tid, address, end);
}

std::expected<std::vector<MapsLine>, NoMaps> ask_maps(const Fd& maps, std::uint64_t address,
                                                      std::uint64_t end) {
  return ask_range(maps, address, end, {});
}

}  // namespace teeio::run
