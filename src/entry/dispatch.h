#pragma once

#include <memory>
#include <string>

#include "entry/call.h"
#include "entry/system_calls.h"
#include "entry/vendor_node.h"

namespace teeio::sysfs {
class System;
}

namespace teeio::entry {

/// The devices that can be opened by path. Implemented by machine/.
class Devices {
 public:
  virtual ~Devices() = default;
  /// The device behind /dev/vfio/devices/vfioN; null when there is none.
  [[nodiscard]] virtual vfio::Device* vfio(std::uint32_t minor) = 0;
  /// The group behind /dev/vfio/N; null when none of its functions is on vfio-pci.
  [[nodiscard]] virtual object::Ref<vfio::Group> vfio_group(std::uint32_t number) = 0;
  /// The vendor's own node at /dev/`name`; null when there is none.
  [[nodiscard]] virtual VendorNode* vendor_node(std::string_view name) = 0;
};

/// Finds the row of an ioctl, runs its handler between the two ends of an arrow
/// of the trace, and gives unknown ones the errno that the kind of file has.
///
/// Lifetime: outlived by what it refers to.
class Dispatch final : public SystemCalls {
 public:
  Dispatch(Host& host, Devices& devices, sysfs::System& system)
      : host_(host), devices_(devices), system_(system) {}

  Result<object::Ref<object::File>> open(mm::Caller& caller, std::string_view path,
                                         std::uint32_t flags) override;
  Result<std::int64_t> ioctl(mm::Caller& caller, object::File& file, std::uint32_t command,
                             std::uint64_t argument) override;
  Result<object::Ref<object::File>> stand_in(mm::Caller& caller, std::int32_t fd,
                                             std::uint32_t command,
                                             std::uint64_t argument) override;
  Result<std::size_t> read(mm::Caller& caller, object::File& file, std::uint64_t offset,
                           std::span<std::byte> out) override;
  Result<std::size_t> write(mm::Caller& caller, object::File& file, std::uint64_t offset,
                            ByteView in) override;
  Result<void> mmap(mm::Caller& caller, object::File& file, std::uint64_t offset,
                    std::uint64_t length, std::uint32_t prot, std::uint32_t flags) override;
  void set_mapped_file(object::File& file, std::unique_ptr<mm::MappedFile> mapped) override;
  [[nodiscard]] std::string link_of_anonymous(object::File& file) override;
  [[nodiscard]] Polling polling(object::File& file) override;
  [[nodiscard]] std::size_t record_bytes(object::File& file) override;
  void put_back(object::File& file, ByteView bytes) override;
  void set_readiness(object::File& file, std::unique_ptr<mm::Readiness> readiness) override;
  [[nodiscard]] FileStat stat(object::File& file) override;
  [[nodiscard]] Position position(object::File& file) override;
  Result<void> fallocate(mm::Caller& caller, object::File& file, std::uint32_t mode,
                         std::int64_t offset, std::int64_t length) override;
  [[nodiscard]] std::uint64_t tree_generation() override;
  [[nodiscard]] std::vector<std::string> platform_devices() override;
  [[nodiscard]] object::FailNth* fail_nth() override { return host_.fail_nth; }
  [[nodiscard]] std::vector<Node> tree() override;
  [[nodiscard]] std::string ioctl_name(object::File& file, std::uint32_t command) override;
  [[nodiscard]] std::string describe(mm::Caller& caller, object::File& file, std::uint32_t command,
                                     std::uint64_t argument) override;

 private:
  Result<object::Ref<object::File>> open_container();
  Result<object::Ref<object::File>> open_iommu();
  Result<object::Ref<object::File>> open_fail_nth(std::string_view path);

  Host& host_;
  Devices& devices_;
  sysfs::System& system_;
};

}  // namespace teeio::entry
