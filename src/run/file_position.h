#pragma once

#include <unistd.h>

#include <string>
#include <utility>

#include "run/call.h"
#include "run/fd.h"
#include "run/sys.h"

namespace teeio::run {

/// The position of the program's open file description. A duplicate of its
/// descriptor shares it, so the kernel keeps it for all who hold the file; where
/// none can be had, it is read from /proc and does not move.
class FilePosition {
 public:
  FilePosition(Call& call, int fd) {
    auto copy = call.context().tasks.steal(call.tid(), fd);
    if (copy) copy_ = std::move(*copy);
    const off_t at = copy_.ok() ? ::lseek(copy_.get(), 0, SEEK_CUR) : read_position(call, fd);
    offset_ = at < 0 ? 0 : static_cast<std::uint64_t>(at);
  }
  [[nodiscard]] std::uint64_t offset() const { return offset_; }
  void advance(std::size_t count) { move_to(static_cast<off_t>(offset_ + count)); }
  void move_to(off_t offset) {
    if (copy_.ok()) (void)::lseek(copy_.get(), offset, SEEK_SET);
  }

 private:
  static off_t read_position(Call& call, int fd) {
    const std::string info = read_file(proc_path(call.tid(), "fdinfo/" + std::to_string(fd)));
    off_t at = 0;
    (void)std::sscanf(info.c_str(), "pos: %ld", &at);
    return at;
  }
  Fd copy_;
  std::uint64_t offset_ = 0;
};

}  // namespace teeio::run
