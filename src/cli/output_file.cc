#include "cli/output_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <string.h>

#include <cerrno>

namespace teeio::cli {
namespace {

std::unexpected<std::string> cannot(const std::string& path) {
  return std::unexpected(fmt::format("{} cannot be written: {}", path, ::strerrordesc_np(errno)));
}

}  // namespace

std::expected<OutputFile, std::string> OutputFile::open(const std::string& path) {
  if (path.empty()) return OutputFile();
  Fd fd(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
  if (!fd.ok()) return cannot(path);
  return OutputFile(path, std::move(fd));
}

std::expected<void, std::string> OutputFile::write(std::string_view text) {
  if (!fd_.ok()) return {};
  while (!text.empty()) {
    const ssize_t done = ::write(fd_.get(), text.data(), text.size());
    if (done < 0 && errno == EINTR) continue;
    if (done < 0) return cannot(path_);
    text.remove_prefix(static_cast<std::size_t>(done));
  }
  return {};
}

}  // namespace teeio::cli
