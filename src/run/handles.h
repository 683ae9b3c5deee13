#pragma once

#include "run/dispatch.h"

namespace teeio::run {

/// What Linux answers by itself for a descriptor that was opened with O_PATH: one that names a
/// file of the tree and has not opened it (PrivateTree::open_handle()). EBADF for what needs an
/// open file (Linux: fdget() masks FMODE_PATH; fs/fcntl.c, check_fcntl_cmd()), and F_GETFL's
/// flags. nullopt: it is no such descriptor, or the call works on one.
[[nodiscard]] std::optional<Reply> answer_of_handle(Call& call, const Row& row);

}  // namespace teeio::run
