#include "serve/validate/config_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <system_error>

namespace teeio::serve::validate {
namespace {

constexpr std::uint16_t kFirstExtended = 0x100;
constexpr unsigned kMostCapabilities = (4096 - kFirstExtended) / 4;  // the list may be a circle
constexpr ssize_t kWord = 4;

}  // namespace

std::string pci_attribute(Bdf function, std::string_view name) {
  return fmt::format("/sys/bus/pci/devices/{}/{}", function.str(), name);
}

std::expected<ConfigFile, std::string> ConfigFile::open(Bdf function) {
  const std::string path = pci_attribute(function, "config");
  Fd file(::open(path.c_str(), O_RDWR | O_CLOEXEC));
  if (!file.ok())
    return std::unexpected(fmt::format("{}: {}", path, std::system_category().message(errno)));
  ConfigFile config(function, std::move(file));
  if (config.read(0) == kGone) return std::unexpected(function.str() + ": the function is gone");
  std::uint32_t word = 0;
  if (::pread(config.file_.get(), &word, sizeof(word), kFirstExtended) != kWord)
    return std::unexpected(path + ": extended config space cannot be read; that needs root");
  return config;
}

std::uint32_t ConfigFile::read(std::uint32_t offset) const {
  std::uint32_t value = 0;
  return ::pread(file_.get(), &value, sizeof(value), offset) == kWord ? value : kGone;
}

void ConfigFile::write(std::uint32_t offset, std::uint32_t value) const {
  (void)!::pwrite(file_.get(), &value, sizeof(value), offset);
}

std::uint16_t ConfigFile::next_extended(std::uint16_t capability) const {
  const std::uint32_t header = read(capability);
  return header == kGone ? std::uint16_t{0} : static_cast<std::uint16_t>(header >> 20U & 0xffcU);
}

std::optional<std::uint16_t> ConfigFile::find_extended(std::uint16_t id, std::uint16_t from) const {
  std::uint16_t at = from;
  for (unsigned left = kMostCapabilities; at >= kFirstExtended && left > 0; --left) {
    const std::uint32_t header = read(at);
    if (header == 0 || header == kGone) return std::nullopt;
    if ((header & 0xffffU) == id) return at;
    at = next_extended(at);
  }
  return std::nullopt;
}

}  // namespace teeio::serve::validate
