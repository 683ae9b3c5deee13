#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "entry/system_calls.h"
#include "schedule/condition.h"
#include "schedule/mutex.h"

namespace teeio::dummy {

class DummyMachine;

/// One open of the dummy device, of a descriptor made by it, or of an attribute.
class DummyFile final : public object::File {
 public:
  DummyFile(DummyMachine& machine, object::FileKind kind, std::uint64_t serial, std::string path)
      : File(kind), machine_(machine), serial_(serial), path_(std::move(path)) {}
  [[nodiscard]] std::uint64_t serial() const { return serial_; }
  [[nodiscard]] const std::string& path() const { return path_; }
  void set_mapped(std::unique_ptr<mm::MappedFile> mapped) { mapped_ = std::move(mapped); }
  [[nodiscard]] mm::MappedFile& mapped() { return *mapped_; }

  object::Ref<mm::Pages> pinned;

 private:
  void release() override;
  DummyMachine& machine_;
  const std::uint64_t serial_;
  const std::string path_;
  std::unique_ptr<mm::MappedFile> mapped_;
};

/// A machine with one device and a few attributes, enough to test the
/// supervisor without any of the real one. What its ioctls do: dummy.h.
class DummyMachine final : public entry::SystemCalls {
 public:
  DummyMachine();
  Result<object::Ref<object::File>> open(mm::Caller& caller, std::string_view path,
                                         std::uint32_t flags) override;
  Result<std::int64_t> ioctl(mm::Caller& caller, object::File& file, std::uint32_t command,
                             std::uint64_t argument) override;
  Result<std::size_t> read(mm::Caller& caller, object::File& file, std::uint64_t offset,
                           std::span<std::byte> out) override;
  Result<std::size_t> write(mm::Caller& caller, object::File& file, std::uint64_t offset,
                            ByteView in) override;
  Result<void> mmap(mm::Caller& caller, object::File& file, std::uint64_t offset,
                    std::uint64_t length, std::uint32_t prot, std::uint32_t flags) override;
  void set_mapped_file(object::File& file, std::unique_ptr<mm::MappedFile> mapped) override;
  entry::FileStat stat(object::File& file) override;
  std::uint64_t tree_generation() override;
  std::vector<Node> tree() override;
  std::string ioctl_name(object::File& file, std::uint32_t command) override;
  std::string describe(mm::Caller& caller, object::File& file, std::uint32_t command,
                       std::uint64_t argument) override;

  void on_release(const DummyFile& file);

 private:
  object::Ref<DummyFile> make(object::FileKind kind, std::string path);
  Result<std::int64_t> device_ioctl(mm::Caller& caller, DummyFile& file, std::uint32_t command,
                                    std::uint64_t argument);
  Result<std::int64_t> memory_ioctl(mm::Caller& caller, DummyFile& file, std::uint32_t command,
                                    std::uint64_t argument);
  Result<std::int64_t> block(mm::Caller& caller);
  std::string show(const std::string& path);
  Result<void> store(const std::string& path, const std::string& text);

  schedule::Mutex mutex_{schedule::Rank::kDevice};
  schedule::Condition kicked_;
  std::uint64_t next_serial_ = 1;
  std::int64_t open_ = 0;
  std::int64_t released_ = 0;
  std::int64_t blocked_ = 0;
  std::uint64_t kicks_ = 0;
  std::uint64_t generation_ = 1;
  bool connected_ = false;
  Bytes config_;
  Bytes registers_;
};

}  // namespace teeio::dummy
