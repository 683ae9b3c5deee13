#pragma once

namespace teeio::run {

/// Whether the process behind a pidfd has ended and been reaped, or there is none.
[[nodiscard]] bool is_gone(int pidfd);

}  // namespace teeio::run
