#include "host/mm/plain_caller.h"

namespace teeio::mm {

std::uint64_t PlainCaller::mm_id() const { return static_cast<std::uint32_t>(process_.pid()); }

Result<object::Ref<object::File>> PlainCaller::file(std::int32_t fd) {
  return process_.files().get(fd);
}

Result<std::int32_t> PlainCaller::install(object::Ref<object::File> file, std::uint32_t /*flags*/) {
  return process_.files().install(std::move(file));
}

}  // namespace teeio::mm
