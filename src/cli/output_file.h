#pragma once

#include <expected>
#include <string>
#include <string_view>

#include "base/fd.h"

namespace teeio::cli {

/// A file that a command writes at its end and opens at its start, so that a
/// path that cannot be written costs no work.
///
/// Lifetime: an empty one stands for a file that was not asked for.
class OutputFile {
 public:
  OutputFile() = default;
  /// An empty path gives an empty one. Errors: a sentence with the path.
  static std::expected<OutputFile, std::string> open(const std::string& path);

  [[nodiscard]] explicit operator bool() const { return fd_.ok(); }
  [[nodiscard]] int fd() const { return fd_.get(); }
  /// Everything, or a sentence with the path: a full disk. Nothing for an empty one.
  [[nodiscard]] std::expected<void, std::string> write(std::string_view text);

 private:
  OutputFile(std::string path, Fd fd) : path_(std::move(path)), fd_(std::move(fd)) {}
  std::string path_;
  Fd fd_;
};

}  // namespace teeio::cli
