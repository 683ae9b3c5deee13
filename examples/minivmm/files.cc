#include "files.h"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <stdexcept>

namespace {

struct Close {
  void operator()(std::FILE* file) const { std::fclose(file); }
};
using File = std::unique_ptr<std::FILE, Close>;

File open(const std::string& path, const char* mode) {
  File file(std::fopen(path.c_str(), mode));
  if (file == nullptr) throw std::runtime_error(path + ": " + std::strerror(errno));
  return file;
}

}  // namespace

sha384::Digest digest_of_file(const std::string& path) {
  const File file = open(path, "rb");
  std::vector<unsigned char> bytes(1U << 20U);
  bytes.resize(std::fread(bytes.data(), 1, bytes.size(), file.get()));
  if (std::ferror(file.get()) != 0) throw std::runtime_error(path + ": cannot be read");
  return sha384::of(bytes.data(), bytes.size());
}

void write_file(const std::string& path, const std::vector<unsigned char>& bytes) {
  File file = open(path, "wb");
  const bool written = std::fwrite(bytes.data(), 1, bytes.size(), file.get()) == bytes.size();
  if (std::fclose(file.release()) != 0 || !written)
    throw std::runtime_error(path + ": cannot be written");
}
