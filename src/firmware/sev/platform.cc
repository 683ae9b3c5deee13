#include "firmware/sev/platform.h"

#include <algorithm>
#include <utility>

#include "base/check.h"
#include "schedule/fault_point.h"
#include "schedule/task.h"

namespace teeio::sev {
namespace {

constexpr std::uint32_t kLengthBytes = 4;

}  // namespace

Platform::Platform(hw::PhysicalMemory& memory, object::Trace& trace, Rmp& rmp, Options options)
    : memory_(memory), trace_(trace), rmp_(rmp), options_(options) {
  rmp_.record(mutex_);
  add_commands();
}

void Platform::add(MailboxCommand row) {
  const std::uint16_t number = row.number;
  const bool added = commands_.emplace(number, std::move(row)).second;
  TEEIO_CHECK(added, "two commands of the PSP have one number");
}

void Platform::add(const Row& row, std::function<Status(Call&)> run) {
  add({.number = row.number,
       .name = row.name,
       .fails = row.fails,
       .length = row.length,
       .says_length = false,
       .run = std::move(run),
       .checks = row.checks});
}

Status Call::refuse(std::string_view id) {
  const auto check = std::ranges::find(row_.checks, id, &Check::id);
  TEEIO_CHECK(check != row_.checks.end(), "a command is refused by no check of its row");
  return refuse(check->status, check->why);
}

bool MailboxCommand::by_parts() const {
  return name == "SNP_PAGE_RECLAIM" || name == "SNP_DECOMMISSION" ||
         (name.starts_with("TIO_") && name != "TIO_INIT");
}

Status Platform::command(std::uint16_t number, Hpa buffer) {
  const auto found = commands_.find(number);
  if (found == commands_.end()) return Status::kInvalidCommand;
  const MailboxCommand& row = found->second;
  if (row.by_parts()) {
    const schedule::Section section(mutex_, schedule::Section::kByParts);
    return perform(row, buffer);
  }
  const schedule::Section section(mutex_);
  return perform(row, buffer);
}

Status Platform::perform(const MailboxCommand& row, Hpa buffer) {
  Bytes bytes(row.length);
  const bool readable = memory_.read(buffer, bytes).has_value();
  const std::size_t skip = row.says_length ? kLengthBytes : 0;
  const Reader body(readable ? ByteView(bytes).subspan(skip) : ByteView{});
  Call call(*this, row, buffer, readable && row.about ? row.about(body) : object::EventFields{});
  if (!readable) return call.refuse(Status::kInvalidAddress, "the command buffer is not readable");
  if (row.says_length && Reader(bytes).le<std::uint32_t>() != row.length)
    return call.refuse(Status::kIncorrectBufferLength, "the buffer says another length");
  if (!row.fails.empty() && schedule::choose(2, row.fails) != 0)
    return call.refuse(Status::kResourceLimit, "the explorer made this command fail");
  if (!row.fails.empty()) {
    using schedule::Fault;
    using schedule::FaultPlace;
    if (schedule::fault_at(FaultPlace::kFirmware, row.name, Fault::kBusy))
      return call.refuse(Status::kResourceLimit, "made busy by --inject");
    if (schedule::fault_at(FaultPlace::kFirmware, row.name, Fault::kRefuse))
      return call.refuse(Status::kInvalidParam, "refused by --inject");
  }
  call.body_.assign(bytes.begin() + static_cast<std::ptrdiff_t>(skip), bytes.end());
  return row.run(call);
}

std::vector<std::string_view> Platform::commands_that_may_fail() const {
  std::vector<std::string_view> names;
  for (const auto& [number, row] : commands_)
    if (!row.fails.empty()) names.push_back(row.name);
  return names;
}

std::uint32_t Platform::feature_ebx() const { return options_.tio ? kFeatureTio : 0; }

void Platform::name_guest(Hpa gctx, std::uint32_t vm) {
  const schedule::Section section(mutex_);
  if (GuestContext* found = guest(gctx); found != nullptr) found->vm = vm;
}

std::optional<GuestContext> Platform::look(Hpa gctx) {
  const schedule::Section section(mutex_);
  const GuestContext* found = guest(gctx);
  return found == nullptr ? std::nullopt : std::optional(*found);
}

std::size_t Platform::guest_count() {
  const schedule::Section section(mutex_);
  return guests_.size();
}

GuestContext* Platform::guest(Hpa gctx) {
  const auto found = guests_.find(raw(gctx));
  return found == guests_.end() ? nullptr : &found->second;
}

GuestContext& Platform::make_guest(Hpa gctx) {
  rmp_.make_context(gctx);
  return guests_.try_emplace(raw(gctx), GuestContext{.page = gctx}).first->second;
}

void Platform::remove_guest(Hpa gctx) {
  TEEIO_CHECK(guests_.erase(raw(gctx)) == 1, "a guest is removed that is none");
  rmp_.leave_context(gctx);
}

GuestContext* Platform::guest_of(Asid asid) {
  if (asid == 0) return nullptr;
  const auto found =
      std::ranges::find_if(guests_, [&](const auto& at) { return at.second.asid == asid; });
  return found == guests_.end() ? nullptr : &found->second;
}

bool Platform::crosses(Hpa address, std::size_t size_bytes) {
  return offset_in_page(address) + size_bytes > kPageSize;
}

Result<Bytes> Platform::read_page(Hpa address, std::size_t size_bytes) {
  if (crosses(address, size_bytes))
    return fail(Errno::kFault, "a firmware's operand leaves its page");
  Bytes bytes(size_bytes);
  TEEIO_TRY(memory_.read(address, bytes));
  return bytes;
}

Result<void> Platform::write_page(Hpa address, ByteView bytes) {
  if (crosses(address, bytes.size()))
    return fail(Errno::kFault, "a firmware's operand leaves its page");
  const PageState state = rmp_.state(page_of(address));
  if (state != PageState::kFirmware && (snp_ || state != PageState::kHypervisor))
    return fail(Errno::kFault, "the firmware writes into its own pages only");
  return memory_.write(address, bytes);
}

}  // namespace teeio::sev
