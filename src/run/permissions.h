#pragma once

#include "base/result.h"
#include "run/call.h"

namespace teeio::run {

/// Whether a program can change its user: without privileges no_new_privs holds.
[[nodiscard]] bool may_become_others();

/// Whether a call's thread may read (R_OK) or write (W_OK) a file of the tree: Linux
/// inode_permission(), by the owner and the permissions that the file has in the private tree.
/// Who runs teeio is root on the emulated host, and so is the host's root; only a program that
/// became somebody else is asked about. `relative`: its path, without the first slash.
/// Errors: EACCES.
Result<void> check_permission(Call& call, const char* relative, unsigned wanted);
/// Whether it may change the file's permissions, owner and times: setattr_prepare().
/// Errors: EPERM.
Result<void> check_owner(Call& call, const char* relative);

}  // namespace teeio::run
