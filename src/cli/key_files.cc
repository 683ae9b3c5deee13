#include "cli/key_files.h"

#include <fmt/format.h>

#include <span>

#include "base/files.h"

namespace teeio::cli {
namespace {

/// Longer than any key's file.
constexpr std::size_t kMaxFile = std::size_t{1} << 16U;

std::string problem(const std::string& file, const Error& error) {
  return fmt::format("{}: {}", file, error.why);
}

}  // namespace

std::expected<crypto::PublicKey, std::string> read_public_key(const std::string& file) {
  const auto text = read_file(file, kMaxFile);
  if (!text) return std::unexpected(text.error());
  if (auto der = crypto::PublicKey::from_der(std::as_bytes(std::span(*text)))) return *der;
  auto key = crypto::PublicKey::from_pem(*text);
  if (!key) return std::unexpected(problem(file, key.error()));
  return std::move(*key);
}

std::expected<crypto::PrivateKey, std::string> read_private_key(const std::string& file) {
  const auto text = read_file(file, kMaxFile);
  if (!text) return std::unexpected(text.error());
  auto key = crypto::PrivateKey::from_pem(*text);
  if (!key) return std::unexpected(problem(file, key.error()));
  return std::move(*key);
}

}  // namespace teeio::cli
