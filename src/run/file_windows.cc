#include "run/file_windows.h"

#include <sys/stat.h>

#include <algorithm>
#include <map>
#include <tuple>
#include <utility>

#include "base/types.h"
#include "schedule/mutex.h"

namespace teeio::run {
namespace {

using Mapping = std::shared_ptr<const DmaMapping>;

Mapping map_alone(const Fd& file, std::uint64_t start, std::uint64_t length, int prot) {
  auto mapping = DmaMapping::map(file, length, prot, static_cast<long>(start));
  return mapping ? std::make_shared<const DmaMapping>(std::move(*mapping)) : nullptr;
}

/// The windows that are mapped, none behind its file's end. One of which a piece is replaced is for
/// who has it already: a new part is to be the file's.
class Windows {
 public:
  /// The one that has the bytes from `start` on, to `end` of the file at least.
  Mapping get(const Fd& file, const struct stat& info, std::uint64_t start, std::uint64_t end,
              int prot) {
    const schedule::Lock lock(mutex_);
    drop_gone();
    const std::uint64_t number = start / FilePart::kWindow, first = number * FilePart::kWindow;
    Known& known = windows_[{info.st_dev, info.st_ino, number, prot}];
    Mapping mapping = known.mapping.lock();
    if (mapping && mapping->is_whole() && end <= known.end) return mapping;
    known.end =
        std::min(first + FilePart::kWindow, page_ceiling(static_cast<std::uint64_t>(info.st_size)));
    mapping = end <= known.end ? map_alone(file, first, known.end - first, prot) : nullptr;
    known.mapping = mapping;
    return mapping;
  }

 private:
  struct Known {
    std::weak_ptr<const DmaMapping> mapping;
    std::uint64_t end = 0;
  };
  static std::uint64_t page_ceiling(std::uint64_t size) {
    return (size + kPageSize - 1) & ~(kPageSize - 1);
  }
  /// Now and then, so that it costs by how many windows are made.
  void drop_gone() TEEIO_REQUIRES(mutex_) {
    if (windows_.size() < look_at_) return;
    std::erase_if(windows_, [](const auto& window) { return window.second.mapping.expired(); });
    look_at_ = 2 * windows_.size() + kFew;
  }

  static constexpr std::size_t kFew = 64;
  using Key = std::tuple<dev_t, ino_t, std::uint64_t, int>;
  schedule::Mutex mutex_{schedule::Rank::kLeaf};
  std::map<Key, Known> windows_ TEEIO_GUARDED_BY(mutex_);
  std::size_t look_at_ TEEIO_GUARDED_BY(mutex_) = kFew;
};

}  // namespace

std::optional<FilePart> FilePart::map(const Fd& file, std::uint64_t start, std::uint64_t length,
                                      int prot) {
  static Windows windows;
  const std::uint64_t end = start + length;
  struct stat info{};
  if (length < kWindow && (end - 1) / kWindow == start / kWindow && ::fstat(file.get(), &info) == 0)
    if (Mapping window = windows.get(file, info, start, end, prot))
      return FilePart(std::move(window), start % kWindow, length);
  Mapping mapping = map_alone(file, start, length, prot);
  if (!mapping) return std::nullopt;
  return FilePart(std::move(mapping), 0, length);
}

}  // namespace teeio::run
