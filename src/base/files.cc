#include "base/files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>
#include <system_error>
#include <utility>

#include "base/fd.h"
#include "base/text.h"

namespace teeio {
namespace {

std::unexpected<std::string> cannot(const std::string& path, int error) {
  return std::unexpected(path + ": " + std::strerror(error));  // NOLINT(concurrency-mt-unsafe)
}

/// 0, or why not all was written.
int write_all(int fd, std::string_view text) {
  while (!text.empty()) {
    const ::ssize_t n = ::write(fd, text.data(), text.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return errno;
    text.remove_prefix(static_cast<std::size_t>(n));
  }
  return 0;
}

std::expected<std::string, std::string> read_all(int fd, const std::string& path,
                                                 std::size_t most) {
  std::string text;
  std::array<char, 65536> some{};
  for (;;) {
    const ::ssize_t n = ::read(fd, some.data(), some.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return cannot(path, errno);
    if (n == 0) return text;
    if (text.size() + static_cast<std::size_t>(n) > most)
      return std::unexpected(path + ": has more than " + std::to_string(most) + " bytes");
    text.append(some.data(), static_cast<std::size_t>(n));
  }
}

/// Whether `path` is a pipe that somebody may write to, or not. Names of descriptors are of what is
/// open already, so that somebody did.
bool is_pipe_by_name(const std::string& path) {
  for (const std::string_view open : {"/dev/stdin", "/dev/fd/", "/proc/self/fd/"})
    if (path.starts_with(open)) return false;
  struct stat what{};
  return ::stat(path.c_str(), &what) == 0 && S_ISFIFO(what.st_mode);
}

/// Behind symbolic links, so that a link stays one, also one to a file that is not there yet.
std::string target_of(const std::string& path) {
  constexpr int kMostLinks = 40;  // Linux: MAXSYMLINKS, include/linux/namei.h
  const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr),
                                                         &std::free);
  if (real != nullptr) return real.get();
  struct stat there{};
  if (::stat(path.c_str(), &there) == 0) return path;  // such as /dev/stdout, that is a pipe
  std::filesystem::path at = path;
  std::error_code no_link;
  for (int links = 0; links < kMostLinks; ++links) {
    const std::filesystem::path next = std::filesystem::read_symlink(at, no_link);
    if (no_link) break;
    at = at.parent_path() / next;  // of an absolute one nothing stays
  }
  return at;
}

constexpr ::mode_t kAllMay = 0666;  // less the umask
constexpr int kMakeNew = O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOCTTY | O_NOFOLLOW;

/// Of a file beside `target`, short wherever that has the longest name there may be; `use` is from
/// 1 on.
std::string part_name(const std::string& target, unsigned use) {
  const auto slash = target.rfind('/');
  const std::string folder = slash == std::string::npos ? "" : target.substr(0, slash + 1);
  return folder + ".teeio-" + std::to_string(::getpid()) + '-' + std::to_string(use) + ".part";
}

struct Part {
  std::string path;  ///< empty: it has none yet
  int fd;            ///< -1: errno says why
};

/// A file beside `target` that is nobody else's: not another use's, not another process's
/// (of another PID namespace neither), and not what one that was killed has left.
Part make_named_part(const std::string& target) {
  for (unsigned use = 1;; ++use) {
    Part part{part_name(target, use), -1};
    part.fd = ::open(part.path.c_str(), kMakeNew, kAllMay);
    if (part.fd >= 0 || errno != EEXIST) return part;
  }
}

/// The same without a name, so that nothing is left of a process that is killed. Some file
/// systems have none such; what else is wrong the other way says, too.
Part make_part(const std::string& target) {
  const auto slash = target.rfind('/');
  const std::string folder = slash == std::string::npos ? "." : target.substr(0, slash + 1);
  const int fd = ::open(folder.c_str(), O_TMPFILE | O_WRONLY | O_CLOEXEC, kAllMay);
  return fd >= 0 ? Part{"", fd} : make_named_part(target);
}

/// Who replaces a file gives the new one what the old one allowed.
void take_mode(int fd, const std::string& target) {
  struct stat info{};
  if (::stat(target.c_str(), &info) == 0) (void)::fchmod(fd, info.st_mode & 07777U);
}

/// Gives a part that has `text` a name beside `target`; 0, or why not. Where that one cannot have a
/// name, such as without /proc, it is another part afterwards. Source: open(2), "O_TMPFILE", the
/// way that needs no CAP_DAC_READ_SEARCH.
int name_part(Part& part, std::string_view text, const std::string& target) {
  const std::string own = "/proc/self/fd/" + std::to_string(part.fd);
  for (unsigned use = 1;; ++use) {
    std::string name = part_name(target, use);
    if (::linkat(AT_FDCWD, own.c_str(), AT_FDCWD, name.c_str(), AT_SYMLINK_FOLLOW) == 0) {
      part.path = std::move(name);
      return 0;
    }
    if (errno != EEXIST) break;
  }
  ::close(part.fd);
  part = make_named_part(target);
  if (part.fd < 0) return errno;
  take_mode(part.fd, target);
  return write_all(part.fd, text);
}

}  // namespace

std::expected<std::string, std::string> read_file(const std::string& path, std::size_t most) {
  if (path == "-") return read_all(STDIN_FILENO, "standard input", most);
  if (is_pipe_by_name(path))
    return std::unexpected(path + ": is a named pipe, which nobody may ever write to; " +
                           "cat it, and read /dev/stdin");
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK));
  if (fd.get() < 0) return cannot(path, errno);
  (void)::fcntl(fd.get(), F_SETFL, 0);  // only opening it must not wait
  return read_all(fd.get(), path, most);
}

std::expected<OutputFile, std::string> OutputFile::open(const std::string& path) {
  if (path == "-") return OutputFile("standard output", "", "", -1, Way::kInPlace);
  const std::string target = target_of(path);
  struct stat info{};
  const bool there = ::stat(target.c_str(), &info) == 0;
  if (!there && errno != ENOENT) return cannot(path, errno);  // such as a name that is too long
  if (there && S_ISDIR(info.st_mode)) return cannot(path, EISDIR);
  if (there && ::access(target.c_str(), W_OK) != 0) return cannot(path, errno);
  if (!there || S_ISREG(info.st_mode)) {
    const Part part = make_part(target);
    if (part.fd >= 0) {
      take_mode(part.fd, target);
      return OutputFile(path, target, part.path, part.fd, Way::kReplaced);
    }
    if (!there) return cannot(path, errno);
  }
  const int fd = ::open(target.c_str(), O_WRONLY | O_CLOEXEC | O_NOCTTY);
  if (fd < 0) return cannot(path, errno);
  return OutputFile(path, target, "", fd, Way::kInPlace);
}

OutputFile::OutputFile(OutputFile&& other) noexcept
    : path_(std::move(other.path_)),
      target_(std::move(other.target_)),
      part_(std::exchange(other.part_, {})),
      fd_(std::exchange(other.fd_, -1)),
      way_(other.way_) {}

OutputFile::~OutputFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  if (!part_.empty()) ::unlink(part_.c_str());
}

namespace {

int g_output_error = 0;  // of the one thread that prints

void print_bytes(std::string_view bytes) {
  if (g_output_error != 0) return;
  errno = 0;
  if (std::fwrite(bytes.data(), 1, bytes.size(), stdout) != bytes.size())
    g_output_error = errno == 0 ? EIO : errno;
}

}  // namespace

std::expected<void, std::string> OutputFile::write(std::string_view text) {
  if (target_.empty()) {  // whoever ends the process looks at standard_output_problem()
    if (::isatty(STDOUT_FILENO) != 0)
      print_text(text);
    else
      print_bytes(text);
    return {};
  }
  if (way_ == Way::kInPlace) {  // a device or a pipe has no length and no beginning
    if (::lseek(fd_, 0, SEEK_SET) == 0) (void)::ftruncate(fd_, 0);
    if (const int error = write_all(fd_, text); error != 0) return cannot(path_, error);
    return {};
  }
  Part part = fd_ >= 0 ? Part{std::move(part_), fd_} : make_part(target_);
  if (part.fd < 0) return cannot(path_, errno);
  if (fd_ < 0) take_mode(part.fd, target_);
  int error = write_all(part.fd, text);
  if (error == 0 && part.path.empty()) error = name_part(part, text, target_);
  fd_ = part.fd;
  part_ = std::move(part.path);
  if (fd_ >= 0 && ::close(std::exchange(fd_, -1)) != 0 && error == 0) error = errno;
  if (error == 0 && ::rename(part_.c_str(), target_.c_str()) != 0) error = errno;
  if (error != 0 && !part_.empty()) ::unlink(part_.c_str());
  part_.clear();
  if (error != 0) return cannot(path_, error);
  return {};
}

void print_text(std::string_view text) { print_bytes(visible(text)); }

std::string standard_output_problem() {
  errno = 0;
  if (std::fflush(stdout) != 0 && g_output_error == 0) g_output_error = errno == 0 ? EIO : errno;
  if (g_output_error == 0) return {};
  return cannot("standard output", g_output_error).error();
}

bool write_bytes(int fd, std::string_view bytes) { return write_all(fd, bytes) == 0; }

bool write_text(int fd, std::string_view text) { return write_all(fd, visible(text)) == 0; }

bool complain_text(std::string_view words) {
  const std::string text = visible(words);
  return std::fwrite(text.data(), 1, text.size(), stderr) == text.size();
}

}  // namespace teeio
