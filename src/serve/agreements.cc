#include "serve/agreements.h"

#include <fmt/format.h>

#include <optional>
#include <set>
#include <sstream>
#include <utility>

#include "base/hex.h"
#include "base/types.h"
#include "serve/platform_message.h"

namespace teeio::serve {
namespace {

struct Line {
  Bdf device;
  ServedDevice::Agreement agreement;
};

std::optional<Line> parse_line(const std::string& text) {
  std::istringstream words(text);
  std::string bdf, transport, digits, more;
  words >> bdf >> transport >> digits;
  if (words >> more) return std::nullopt;
  const auto device = Bdf::parse(bdf);
  const auto spoken = parse_transport(transport);
  auto message_a = from_hex(digits);
  if (!device || !spoken || !message_a || message_a->empty()) return std::nullopt;
  return Line{*device, {*spoken, std::move(*message_a)}};
}

/// Empty: the device is as it was.
std::string why_not_restored(Fleet& fleet, const Line& line) {
  ServedDevice* const device = fleet.find(line.device);
  if (device == nullptr) return fmt::format("{} is not served", line.device.str());
  if (device->restore(line.agreement)) return {};
  return fmt::format("{} would not agree on that now; peers have to negotiate again",
                     line.device.str());
}

}  // namespace

std::string agreements_of(Fleet& fleet) {
  std::string text;
  for (std::size_t i = 0; i < fleet.size(); ++i)
    if (const auto kept = fleet.at(i).agreement())
      text += fmt::format("{} {} {}\n", fleet.at(i).bdf().str(), name(kept->transport),
                          to_hex(kept->message_a));
  return text;
}

std::expected<std::vector<std::string>, std::string> restore_agreements(Fleet& fleet,
                                                                        std::string_view text) {
  std::vector<std::string> remarks;
  std::set<Bdf> seen;
  std::istringstream lines{std::string(text)};
  std::string one;
  for (std::size_t number = 1; std::getline(lines, one); ++number) {
    const auto line = parse_line(one);
    if (!line)
      return std::unexpected(fmt::format(
          "line {} is no device, transport and message, as --save-state writes them", number));
    if (!seen.insert(line->device).second)
      return std::unexpected(fmt::format("line {}: {} has two lines", number, line->device.str()));
    if (auto why = why_not_restored(fleet, *line); !why.empty()) remarks.push_back(std::move(why));
  }
  return remarks;
}

}  // namespace teeio::serve
