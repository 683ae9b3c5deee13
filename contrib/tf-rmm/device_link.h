#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace normal_world {

/// A device behind spdm-emu's socket protocol: DOE objects, there and back.
class DeviceLink {
 public:
  /// Takes the connected socket over.
  explicit DeviceLink(int socket) : socket_(socket) {}
  ~DeviceLink();
  DeviceLink(const DeviceLink&) = delete;
  DeviceLink& operator=(const DeviceLink&) = delete;

  /// Empty: the device is gone, or answers with another kind of object.
  std::vector<std::byte> exchange(std::span<const std::byte> message, bool secured);

 private:
  bool send_all(std::span<const std::byte> bytes);
  bool receive_all(std::span<std::byte> bytes);

  int socket_;
};

}  // namespace normal_world
