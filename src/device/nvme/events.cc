#include "device/nvme/events.h"

#include <algorithm>
#include <utility>

namespace teeio::nvme {

Outcome<void> Events::request(std::uint16_t command_id) {
  if (requests_.size() >= kEventLimit) return std::unexpected(Status::kEventLimitExceeded);
  requests_.push_back(command_id);
  return {};
}

bool Events::waits(std::uint16_t command_id) const {
  return std::ranges::find(requests_, command_id) != requests_.end();
}

bool Events::abort(std::uint16_t command_id, std::uint16_t abort) {
  if (std::erase(requests_, command_id) == 0) return false;
  owed_.push_back({.command_id = command_id, .status = Status::kAbortRequested});
  owed_.push_back({.command_id = abort});
  return true;
}

void Events::raise(const Event& event) {
  const auto same = [&](const Event& other) {
    return other.type == event.type && other.info == event.info;
  };
  if (std::ranges::none_of(pending_, same)) pending_.push_back(event);
}

void Events::log_was_read(std::uint8_t log_page) {
  for (const auto& [type, page] : {std::pair{Event::Type::kError, 1}, {Event::Type::kHealth, 2}})
    if (page == log_page) silent_.at(std::to_underlying(type)) = false;
}

std::optional<Completion> Events::next() {
  if (!owed_.empty()) {
    const Completion first = owed_.front();
    owed_.pop_front();
    return first;
  }
  if (requests_.empty()) return std::nullopt;
  const auto told = std::ranges::find_if(
      pending_, [&](const Event& event) { return !silent_.at(std::to_underlying(event.type)); });
  if (told == pending_.end()) return std::nullopt;
  const Event event = *told;
  pending_.erase(told);
  silent_.at(std::to_underlying(event.type)) = true;
  const std::uint16_t id = requests_.front();
  requests_.erase(requests_.begin());
  return Completion{.result = std::to_underlying(event.type) | std::uint32_t{event.info} << 8U |
                              std::uint32_t{event.log_page} << 16U,
                    .command_id = id};
}

void ErrorLog::add(Status status) {
  constexpr std::uint16_t kOfNoCommand = 0xffff;
  add({.sq_id = kOfNoCommand, .command_id = kOfNoCommand, .status = status}, 0, 0);
}

void ErrorLog::add(const Completion& completion, std::uint32_t nsid, std::uint64_t lba) {
  entries_.push_front({++count_, completion, nsid, lba});
  if (entries_.size() > kErrorEntries) entries_.pop_back();
}

Bytes ErrorLog::encode() const {
  constexpr std::size_t kEntryBytes = 64;
  constexpr std::uint16_t kNoLocation = 0xffff;
  Writer out;
  for (const Entry& entry : entries_) {
    out.le(entry.number)
        .le(entry.completion.sq_id)
        .le(entry.completion.command_id)
        .le(static_cast<std::uint16_t>(entry.completion.status_field() << 1U))
        .le(kNoLocation)
        .le(entry.lba)
        .le(entry.nsid)
        .zeros(kEntryBytes - 28);
  }
  out.zeros((kErrorEntries - entries_.size()) * kEntryBytes);
  return out.take();
}

}  // namespace teeio::nvme
