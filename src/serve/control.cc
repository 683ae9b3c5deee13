#include "serve/control.h"

#include <nlohmann/json.hpp>
#include <optional>

namespace teeio::serve {
namespace {

using nlohmann::json;

json error(std::string_view why) { return {{"error", why}}; }

/// A path in an error may be no UTF-8; nothing else can be.
std::string text(const json& value) {
  return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

json state_of(const ServedDevice& device, const TdiStatus& tdi) {
  return {{"device", device.bdf().str()},
          {"function", tdi.function.str()},
          {"state", wire::tdi_state_name(tdi.state)}};
}

json states(Fleet& fleet) {
  json list = json::array();
  for (std::size_t i = 0; i < fleet.size(); ++i)
    for (const TdiStatus& tdi : fleet.at(i).tdis()) list.push_back(state_of(fleet.at(i), tdi));
  return {{"states", std::move(list)}};
}

/// A whole number at `key`, at most `most`.
std::optional<std::uint32_t> number(const json& request, const char* key, std::uint32_t most) {
  const auto found = request.find(key);
  if (found == request.end() || !found->is_number_unsigned()) return std::nullopt;
  const auto value = found->get<std::uint64_t>();
  if (value > most) return std::nullopt;
  return static_cast<std::uint32_t>(value);
}

std::optional<Bdf> function_of(const json& request) {
  const auto found = request.find("function");
  if (found == request.end() || !found->is_string()) return std::nullopt;
  return Bdf::parse(found->get_ref<const std::string&>());
}

json access_config(const json& request, hw::PciFunction& function, bool write) {
  const auto offset = number(request, "offset", hw::ConfigSpace::kSize - 1);
  const auto size = number(request, "size", 4);
  if (!offset || !size || (*size != 1 && *size != 2 && *size != 4) || *offset % *size != 0)
    return error("offset and size must be an aligned access of 1, 2 or 4 bytes below 4096");
  const auto at = static_cast<std::uint16_t>(*offset);
  if (!write) return {{"value", function.config_read(at, *size)}};
  const auto value = number(request, "value", 0xffff'ffff);
  if (!value) return error("value must be a number of 32 bits");
  function.config_write(at, *size, *value);
  return {{"ok", true}};
}

json of_function(const json& request, Fleet& fleet, const std::string& command) {
  const auto bdf = function_of(request);
  ServedDevice* const device = bdf ? fleet.find(*bdf) : nullptr;
  if (device == nullptr) return error("function must be the address of a served function");
  if (command == "reset") {
    device->reset();
    return {{"ok", true}};
  }
  return access_config(request, *device->function(*bdf), command == "config_write");
}

json done(const std::expected<void, std::string>& result) {
  return result ? json{{"ok", true}} : error(result.error());
}

json obey(const json& request, const std::string& command, ControlTarget& target) {
  if (command == "states" || command == "subscribe") return states(target.fleet());
  if (command == "reload") return done(target.reload());
  if (command == "stop") {
    target.stop();
    return {{"ok", true}};
  }
  if (command == "reset" || command == "config_read" || command == "config_write")
    return of_function(request, target.fleet(), command);
  return error(
      "the command must be states, subscribe, reload, reset, config_read, config_write or stop");
}

}  // namespace

std::string ControlSession::receive(std::string_view bytes) {
  in_ += bytes;
  std::string out;
  std::size_t begin = 0;
  for (std::size_t end; (end = in_.find('\n', begin)) != std::string::npos; begin = end + 1)
    out += answer(std::string_view(in_).substr(begin, end - begin)) + '\n';
  in_.erase(0, begin);
  if (in_.size() <= kMaxLine) return out;
  broken_ = true;
  return out + text(error("the line is too long")) + '\n';
}

std::string ControlSession::answer(std::string_view line) {
  const json request = json::parse(line, nullptr, /*allow_exceptions=*/false);
  const auto found = request.find("command");
  if (found == request.end() || !found->is_string())
    return text(error("a line must be a JSON object with a command"));
  const auto& command = found->get_ref<const std::string&>();
  subscribed_ = subscribed_ || command == "subscribe";
  return text(obey(request, command, target_));
}

std::string ControlSession::event(const TdiChange& change) const {
  if (!subscribed_) return {};
  return json{{"event", "state"},
              {"function", change.function.str()},
              {"from", wire::tdi_state_name(change.from)},
              {"state", wire::tdi_state_name(change.to)},
              {"detail", change.cause}}
             .dump() +
         '\n';
}

}  // namespace teeio::serve
