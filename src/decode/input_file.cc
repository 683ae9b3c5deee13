#include "decode/input_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace teeio::decode {

std::expected<InputFile, std::string> InputFile::open(const std::string& path) {
  Fd file(path == "-" ? ::fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 0)
                      : ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY));
  if (!file.ok()) return std::unexpected(std::generic_category().message(errno));
  struct stat what{};
  if (::fstat(file.get(), &what) == 0 && S_ISDIR(what.st_mode))
    return std::unexpected(std::generic_category().message(EISDIR));
  return InputFile(std::move(file));
}

Result<std::size_t> InputFile::read(std::span<std::byte> into) {
  for (;;) {
    const ssize_t got = ::read(file_.get(), into.data(), into.size());
    if (got >= 0) return static_cast<std::size_t>(got);
    if (errno != EINTR) return fail(Errno::kIo, "the file cannot be read");
  }
}

}  // namespace teeio::decode
