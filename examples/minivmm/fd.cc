#include "fd.h"

#include <fcntl.h>

#include <fstream>

Fd open_file(const std::string& path, int flags) {
  Fd fd(::open(path.c_str(), flags | O_CLOEXEC));
  if (!fd) fail("open " + path);
  return fd;
}

std::string read_file(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  if (!std::getline(file, line)) fail("read " + path, ENOENT);
  return line;
}

void write_file(const std::string& path, const std::string& text) {
  const Fd fd = open_file(path, O_WRONLY);
  if (::write(fd.get(), text.data(), text.size()) < 0) fail("write " + path);
}
