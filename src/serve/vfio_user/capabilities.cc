#include "serve/vfio_user/capabilities.h"

#include <nlohmann/json.hpp>

#include "base/types.h"
#include "serve/vfio_user/client_memory.h"

namespace teeio::vfio_user {
namespace {

using nlohmann::json;

constexpr std::size_t kMaxText = 64 * 1024;

Result<void> read_number(const json& from, const char* name, std::uint64_t& value) {
  const auto at = from.find(name);
  if (at == from.end()) return {};
  if (!at->is_number_unsigned())
    return fail(Errno::kInval, "a capability must be a number, and not negative");
  value = at->get<std::uint64_t>();
  return {};
}

Result<void> read_flag(const json& from, const char* name, bool& value) {
  const auto at = from.find(name);
  if (at == from.end()) return {};
  if (!at->is_boolean()) return fail(Errno::kInval, "a capability must be true or false");
  value = at->get<bool>();
  return {};
}

}  // namespace

Result<Capabilities> Capabilities::parse(std::string_view text) {
  Capabilities capabilities;
  if (text.empty()) return capabilities;
  if (text.size() > kMaxText) return fail(Errno::kTooBig, "the version data is too long");
  if (text.back() != '\0') return fail(Errno::kInval, "the version data has no final zero byte");
  const json all = json::parse(text.substr(0, text.find('\0')), nullptr, false);
  if (!all.is_object()) return fail(Errno::kInval, "the version data is no JSON object");
  const auto list = all.find("capabilities");
  if (list == all.end()) return capabilities;
  if (!list->is_object()) return fail(Errno::kInval, "capabilities must be an object");
  TEEIO_TRY(read_number(*list, "max_msg_fds", capabilities.max_fds));
  TEEIO_TRY(read_number(*list, "max_data_xfer_size", capabilities.max_data_transfer));
  TEEIO_TRY(read_flag(*list, "write_multiple", capabilities.write_multiple));
  if (const auto twin = list->find("twin_socket"); twin != list->end()) {
    if (!twin->is_object()) return fail(Errno::kInval, "twin_socket must be an object");
    TEEIO_TRY(read_flag(*twin, "supported", capabilities.twin_socket));
  }
  if (capabilities.max_data_transfer == 0)
    return fail(Errno::kInval, "a client that takes no data at all cannot be served");
  return capabilities;
}

std::string offered_capabilities(const Capabilities& client, bool twin_socket) {
  json list{{"max_msg_fds", kMaxFds},
            {"max_data_xfer_size", kMaxTransfer},
            {"max_dma_maps", ClientMemory::kMaxMappings},
            {"pgsizes", kPageSize}};
  if (client.write_multiple) list["write_multiple"] = true;
  if (twin_socket) list["twin_socket"] = {{"supported", true}, {"fd_index", 0}};
  std::string text = json{{"capabilities", std::move(list)}}.dump();
  text.push_back('\0');
  return text;
}

}  // namespace teeio::vfio_user
