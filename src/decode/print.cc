#include "decode/print.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

namespace teeio::decode {

namespace {

std::string_view arrow(const Message& message) {
  if (message.sender_guessed) return message.sender == Sender::kRequester ? "?>" : "<?";
  return message.sender == Sender::kRequester ? "->" : "<-";
}

}  // namespace

std::string to_text(const Message& message, std::uint64_t start_ns, Detail detail) {
  const std::uint64_t since_us = (message.time_ns - std::min(start_ns, message.time_ns)) / 1000;
  std::string out = fmt::format("{:>5} {:>4}.{:06} {} ", message.packet, since_us / 1000000,
                                since_us % 1000000, arrow(message));
  out.append(std::size_t{2} * message.depth, ' ');
  if (message.session) out += fmt::format("[{:08x}] ", *message.session);
  out += fmt::format("{} {}", message.layer, message.name);
  for (const Field& field : message.fields) {
    if (detail == Detail::kLine)
      out.append(" ").append(field.name).append("=").append(field.text);
    else
      out.append("\n        ").append(field.name).append(" = ").append(field.full());
  }
  if (!message.problem.empty())
    out += fmt::format("{}!! {}", detail == Detail::kLine ? "  " : "\n        ", message.problem);
  out += '\n';
  return out;
}

std::string to_json(const Message& message) {
  nlohmann::ordered_json json;
  json["packet"] = message.packet;
  json["time_ns"] = message.time_ns;
  json["from"] = message.sender == Sender::kRequester ? "requester" : "responder";
  if (message.sender_guessed) json["from_guessed"] = true;
  if (message.session) json["session"] = fmt::format("{:#010x}", *message.session);
  if (message.depth != 0) json["depth"] = message.depth;
  json["layer"] = std::string(message.layer);
  json["message"] = message.name;
  nlohmann::ordered_json fields;
  for (const Field& field : message.fields) {
    nlohmann::ordered_json& value = fields[field.name];
    if (field.number)
      value = *field.number;
    else
      value = field.full();
  }
  if (!fields.empty()) json["fields"] = std::move(fields);
  if (!message.problem.empty()) json["problem"] = message.problem;
  return json.dump() + "\n";
}

}  // namespace teeio::decode
