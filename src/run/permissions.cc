#include "run/permissions.h"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <sstream>
#include <string>
#include <vector>

#include "run/sys.h"

namespace teeio::run {
namespace {

/// Of /proc/TID/status.
struct Credentials {
  uid_t user = 0;
  std::vector<gid_t> groups;
  bool overrides = false;  ///< CAP_DAC_OVERRIDE, in teeio's own user namespace
};

Credentials credentials_of(pid_t tid) {
  Credentials who;
  std::istringstream lines(read_file(proc_path(tid, "status")));
  for (std::string line; std::getline(lines, line);) {
    std::istringstream words(line);
    std::string key;
    words >> key;
    // Real, effective, saved, and the file system's.
    if (key == "Uid:") {
      for (uid_t id = 0; words >> id;) who.user = id;
    } else if (key == "Gid:") {
      gid_t last = 0;
      for (gid_t id = 0; words >> id;) last = id;
      who.groups.push_back(last);
    } else if (key == "Groups:") {
      for (gid_t id = 0; words >> id;) who.groups.push_back(id);
    } else if (key == "CapEff:") {
      std::uint64_t bits = 0;
      words >> std::hex >> bits;
      who.overrides = ((bits >> CAP_DAC_OVERRIDE) & 1U) != 0;
    }
  }
  who.overrides =
      who.overrides && read_link(proc_path(tid, "ns/user")) == read_link("/proc/self/ns/user");
  return who;
}

}  // namespace

bool may_become_others() { return ::geteuid() == 0; }

Result<void> check_permission(Call& call, const char* relative, unsigned wanted) {
  if (!call.context().other_users.load()) return {};
  const Credentials who = credentials_of(call.tid());
  struct stat file{};
  if (who.user == 0 || who.overrides ||
      ::fstatat(call.context().tree.root(), relative, &file, AT_SYMLINK_NOFOLLOW) != 0)
    return {};
  unsigned shift = 0;
  if (who.user == file.st_uid)
    shift = 6;
  else if (std::ranges::find(who.groups, file.st_gid) != who.groups.end())
    shift = 3;
  if ((wanted & ~(file.st_mode >> shift) & 7U) != 0)
    return fail(Errno::kAcces, "the file's permissions do not allow it");
  return {};
}

Result<void> check_owner(Call& call, const char* relative) {
  if (!call.context().other_users.load()) return {};
  const Credentials who = credentials_of(call.tid());
  struct stat file{};
  if (who.user != 0 &&
      ::fstatat(call.context().tree.root(), relative, &file, AT_SYMLINK_NOFOLLOW) == 0 &&
      who.user != file.st_uid)
    return fail(Errno::kPerm, "the file is somebody else's");
  return {};
}

}  // namespace teeio::run
