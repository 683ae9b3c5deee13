#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/result.h"
#include "entry/system_calls.h"
#include "host/mm/mapped_file.h"
#include "host/mm/readiness.h"
#include "object/file.h"
#include "run/fd.h"
#include "schedule/atomic.h"
#include "schedule/mutex.h"

namespace teeio::run {

class FaultWatch;

/// The unlinked tmpfs file that stands behind one open file of the machine. A file whose
/// poll(2) changes has a FIFO instead, with a byte in it while there is something to read.
/// Our descriptor keeps it (and its inode number) until the last owner dies.
struct Backing {
  Fd fd;
  ino_t inode = 0;
  /// Our own changes of its size whose IN_MODIFY has not been drained yet.
  schedule::Atomic<std::uint32_t> own_changes{0};
  std::string name;  ///< DeviceFile::name
};

/// One open file of the machine as programs hold it.
///
/// Lifetime: counted; DeviceFiles holds one reference from the call that hands
/// it out until the kernel says that the last descriptor and mapping of the
/// programs are gone, a call in progress another (Linux: fdget()). With the
/// last, the reference on the machine's file is dropped.
struct DeviceFile {
  object::Ref<object::File> file;
  std::string name;         ///< the path it was opened by, or "anon_inode:kvm-vm"
  std::uint32_t flags = 0;  ///< as open(2)
  pid_t opener = 0;         ///< the process that was given it first
  std::shared_ptr<Backing> backing;
  int watch = -1;
  schedule::Atomic<bool> handed_out{false};  ///< a program has a descriptor of it
  entry::SystemCalls::Polling polling = entry::SystemCalls::Polling::kAlways;

  [[nodiscard]] bool is_attribute() const { return file->kind() == object::FileKind::kAttribute; }
};
using DeviceFileRef = std::shared_ptr<DeviceFile>;

/// All of them, and the news of their last closes.
///
/// A descriptor of the program is a second open of the backing file, which we
/// close before the program runs on. So IN_CLOSE of that inode comes once: when
/// the last duplicate in any process and the last mapping are gone.
///
/// Locking: its own, a leaf. drain() has one caller at a time.
class DeviceFiles {
 public:
  /// `directory` is open on a mounted tmpfs. Errors: EMFILE when the user has
  /// no inotify instance left.
  static Result<std::unique_ptr<DeviceFiles>> create(Fd directory);

  /// Errors: ENOSPC (tmpfs or inotify watches are used up), EMFILE.
  Result<DeviceFileRef> add(
      object::Ref<object::File> file, std::string name, std::uint32_t flags, pid_t opener,
      entry::SystemCalls::Polling polling = entry::SystemCalls::Polling::kAlways);
  /// The open file description that the program gets, with the access mode,
  /// O_APPEND and O_NONBLOCK of the file's flags. Errors: EMFILE, ENFILE.
  Result<Fd> open_for_program(const DeviceFile& file) const;
  /// Takes back an add() whose descriptor never reached the program.
  void forget(const DeviceFileRef& file);

  /// nullptr when the inode is none of ours.
  [[nodiscard]] DeviceFileRef find(dev_t device, ino_t inode);
  [[nodiscard]] std::size_t count();

  /// Readable when there is news.
  [[nodiscard]] int inotify_fd() const { return inotify_.get(); }
  /// The files whose last close happened since the last call, in that order.
  [[nodiscard]] std::vector<DeviceFileRef> drain();
  /// All that are left, in order of creation; for the end of the run.
  [[nodiscard]] std::vector<DeviceFileRef> take_all();

  /// Called (from drain) when the machine's bytes were reached past us, by a
  /// duplicate with a low number; `what` is "read" or "write".
  using SlipHandler = std::function<void(const DeviceFile&, std::string_view what)>;
  void on_slip(SlipHandler handler) { slip_ = std::move(handler); }

 private:
  DeviceFiles(Fd directory, Fd inotify, dev_t device)
      : directory_(std::move(directory)), inotify_(std::move(inotify)), device_(device) {}
  void on_event(std::uint32_t mask, int watch, std::vector<DeviceFileRef>& closed);
  void on_slip_event(std::uint32_t mask, int watch);
  void rescan(std::vector<DeviceFileRef>& closed);
  DeviceFileRef take(int watch);
  [[nodiscard]] Fd make_fifo() const;

  const Fd directory_;
  const Fd inotify_;
  const dev_t device_;
  SlipHandler slip_;
  schedule::Mutex mutex_{schedule::Rank::kLeaf};
  std::map<int, DeviceFileRef> by_watch_ TEEIO_GUARDED_BY(mutex_);  // ascending: by age
  std::map<ino_t, DeviceFileRef> by_inode_ TEEIO_GUARDED_BY(mutex_);
};

/// A mounted tmpfs on which O_TMPFILE works, and that is not full: /dev/shm,
/// $XDG_RUNTIME_DIR, /tmp …
/// Empty when there is none.
[[nodiscard]] std::string find_tmpfs();

/// The object behind a file's mappings: windows of `backing`.
/// `watch`, as long as there is one, is told before mappings are taken away.
[[nodiscard]] std::unique_ptr<mm::MappedFile> map_backing(std::shared_ptr<Backing> backing,
                                                          std::weak_ptr<FaultWatch> watch = {});
/// What makes a FIFO readable.
[[nodiscard]] std::unique_ptr<mm::Readiness> make_readiness(std::shared_ptr<Backing> backing);

}  // namespace teeio::run
