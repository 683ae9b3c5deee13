#include "sweep/results_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>
#include <nlohmann/json.hpp>
#include <set>

#include "base/files.h"

namespace teeio::sweep {
namespace {

using nlohmann::json;

/// Which sweep it is: FNV-1a over what is run and how it is judged, in order.
std::string head_of(const std::vector<std::string>& command, std::string_view conditions,
                    const std::vector<Variation>& variations) {
  std::uint64_t digest = 0xcbf29ce484222325ULL;
  const auto add = [&digest](std::string_view text) {
    for (const char c : text) digest = (digest ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
  };
  add(conditions);
  for (const Variation& v : variations) add(fmt::format("{} {}\n", v.number, v.injection.str()));
  const json head = {{"sweep", 1},
                     {"command", command},
                     {"variations", variations.size()},
                     {"digest", fmt::format("{:016x}", digest)}};
  return head.dump(-1, ' ', false, json::error_handler_t::replace);
}

/// Gives the length of the lines that are whole. `all`: numbers that may occur.
std::expected<std::size_t, std::string> read_results(std::string_view text, std::size_t from,
                                                     const std::set<std::size_t>& all,
                                                     std::map<std::size_t, Outcome>& into) {
  for (std::size_t end; (end = text.find('\n', from)) != std::string_view::npos; from = end + 1) {
    const std::string_view line = text.substr(from, end - from);
    const json value = json::parse(line, nullptr, /*allow_exceptions=*/false);
    const bool numbered = value.is_object() && value.contains("number") &&
                          value["number"].is_number_unsigned() && value.contains("outcome");
    if (!numbered || !all.contains(value["number"].get<std::size_t>()))
      return std::unexpected(fmt::format("byte {}: no result of this sweep", from));
    auto outcome = parse_outcome(value["outcome"].dump());
    if (!outcome) return std::unexpected(fmt::format("byte {}: {}", from, outcome.error()));
    into.insert_or_assign(value["number"].get<std::size_t>(), std::move(*outcome));
  }
  return from;
}

/// Two sweeps would write over each other's lines. Runs of one that was killed may hold its file
/// a moment longer; a file system without locks has none to give.
bool is_ours_alone(const Fd& file) {
  constexpr int kTries = 20, kPauseMs = 100;
  for (int i = 0; i < kTries; ++i) {
    if (::flock(file.get(), LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) return true;
    (void)::poll(nullptr, 0, kPauseMs);
  }
  return false;
}

/// What a file has, and the length of that.
struct Kept {
  std::map<std::size_t, Outcome> outcomes;
  std::size_t length = 0;
};

std::expected<Kept, std::string> read_text(std::string_view text, std::string_view head,
                                           const std::vector<Variation>& variations) {
  Kept kept;
  if (head.starts_with(text) && text != head) return kept;  // cut off in its first line
  if (!text.starts_with(head))
    return std::unexpected(
        "it has the results of another sweep (of this program as it was, or with other options), "
        "or something else");
  std::set<std::size_t> all;
  for (const Variation& v : variations) all.insert(v.number);
  const auto end = read_results(text, head.size(), all, kept.outcomes);
  if (!end) return std::unexpected(end.error());
  kept.length = *end;
  return kept;
}

}  // namespace

std::expected<std::map<std::size_t, Outcome>, std::string> ResultsFile::read(
    const std::string& path, const std::vector<std::string>& command, std::string_view conditions,
    const std::vector<Variation>& variations) {
  const auto text = read_file(path);
  if (!text) return std::unexpected(text.error());
  const auto kept = read_text(*text, head_of(command, conditions, variations) + '\n', variations);
  if (!kept) return std::unexpected(path + ": " + kept.error());
  return kept->outcomes;
}

std::expected<ResultsFile, std::string> ResultsFile::open(
    const std::string& path, const std::vector<std::string>& command, std::string_view conditions,
    const std::vector<Variation>& variations) {
  const std::string head = head_of(command, conditions, variations) + '\n';
  Fd file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC | O_NOCTTY, 0666));
  if (!file.ok()) return std::unexpected(path + ": " + ::strerrordesc_np(errno));
  struct stat info{};
  if (::fstat(file.get(), &info) != 0 || !S_ISREG(info.st_mode))
    return std::unexpected(path + ": results are kept in a regular file");
  if (!is_ours_alone(file))
    return std::unexpected(path + ": another sweep writes it now; each has a file of its own");
  const auto text = read_file(path);
  if (!text) return std::unexpected(text.error());
  auto kept = read_text(*text, head, variations);
  if (!kept) return std::unexpected(path + ": " + kept.error());
  if (::ftruncate(file.get(), static_cast<off_t>(kept->length)) != 0 ||
      ::lseek(file.get(), 0, SEEK_END) < 0 || (kept->length == 0 && !write_bytes(file.get(), head)))
    return std::unexpected(path + ": " + ::strerrordesc_np(errno));
  return ResultsFile(std::move(file), std::move(kept->outcomes));
}

bool ResultsFile::add(std::size_t number, const Outcome& outcome) {
  return write_bytes(file_.get(),
                     fmt::format("{{\"number\":{},\"outcome\":{}}}\n", number, to_json(outcome)));
}

}  // namespace teeio::sweep
