#pragma once

#include <expected>
#include <string>
#include <utility>

#include "base/fd.h"
#include "wire/pcap.h"

namespace teeio::decode {

/// A file that is read once from front to back; "-" is standard input.
///
/// Lifetime: the caller's; closes what it opened. Locking: none.
class InputFile final : public wire::ByteSource {
 public:
  /// Error, ready to print behind the name: there is no such file, it is a directory, …
  static std::expected<InputFile, std::string> open(const std::string& path);
  /// What is there, also of a pipe that goes on. Errors: EIO.
  Result<std::size_t> read(std::span<std::byte> into) override;

 private:
  explicit InputFile(Fd file) : file_(std::move(file)) {}
  Fd file_;
};

}  // namespace teeio::decode
