#include <algorithm>
#include <bit>

#include "firmware/rmm/command.h"
#include "firmware/rmm/mapping.h"

// Stateful operations: TF-RMM runtime/rmi/sro.c, lib/sro_context, lib/addr_list.

namespace teeio::rmm {
namespace {

constexpr std::uint64_t kListEntries = kPageSize / sizeof(std::uint64_t);

/// Entries of a list that lie in its first page.
std::uint64_t entries_in_page(Hpa list, std::uint64_t count) {
  const std::uint64_t first = offset_in_page(list) / sizeof(std::uint64_t);
  return std::min(count, kListEntries - first);
}

/// addr_list_validate(); nullopt: a descriptor is wrong. Gives granules.
std::optional<std::vector<Hpa>> granules_of(const std::vector<AddressDescriptor>& list,
                                            bool contiguous) {
  std::vector<Hpa> granules;
  std::size_t used = 0;
  for (const AddressDescriptor& d : list) {
    if (d.count == 0) continue;
    if (contiguous && ++used > 1) return std::nullopt;
    if (d.level != kPageLevel || d.undelegated) return std::nullopt;
    if (contiguous && (!std::has_single_bit(d.count) || raw(d.base) % (d.count * kPageSize) != 0))
      return std::nullopt;
    for (std::uint64_t i = 0; i < d.count; ++i) granules.push_back(d.base + i * kPageSize);
  }
  return granules;
}

}  // namespace

/// Which contexts are free is as little a difference as which frames are, to hosts that use the
/// handles they were given; that there is hardly one left is.
void Rmm::touch_contexts() const {
  const auto free = std::ranges::count(operations_, nullptr, &Operation::command);
  touch(kContexts, 2 * free > std::ssize(operations_) ? How::kUpdate : How::kWrite);
}

Operation* Rmm::reserve(Command& c, std::uint64_t about) {
  touch_contexts();
  const auto free = std::ranges::find(operations_, nullptr, &Operation::command);
  if (free == operations_.end()) return (void)c.refuse("reserve"), nullptr;
  mutex_.touch(schedule::part(kOperations, about), How::kWrite);
  *free = {};
  free->command = &c.row();
  free->about = about;
  return &*free;
}

void Rmm::release(Operation& operation) {
  touch_contexts();
  operation = {};
}

std::uint64_t Rmm::handle_of(const Operation& operation) const {
  return static_cast<std::uint64_t>(&operation - operations_.data()) + 1;
}

RmiResult Rmm::incomplete(const Operation& operation, MemoryRequest memory) {
  RmiResult result{.code = Code::kIncomplete, .memory = memory, .x1 = handle_of(operation)};
  constexpr unsigned kCount = 2, kContiguous = 16;
  if (memory == MemoryRequest::kDonate)
    result.x2 = operation.wanted.front() << kCount |
                static_cast<std::uint64_t>(operation.contiguous) << kContiguous;
  return result;
}

/// sro_aux_op_init_donate(), smmu_prepare_donate().
RmiResult Rmm::ask_for(Operation& operation) {
  operation.stage = Operation::Stage::kDonating;
  operation.expected = Operation::Expected::kDonate;
  return incomplete(operation, MemoryRequest::kDonate);
}

/// sro_aux_op_start_reclaim(), smmu_prepare_reclaim().
RmiResult Rmm::give_back(Operation& operation, Code result) {
  operation.stage = Operation::Stage::kReclaiming;
  operation.expected = Operation::Expected::kReclaim;
  operation.result = result;
  operation.given_back = 0;
  operation.untold.clear();
  return incomplete(operation, MemoryRequest::kReclaim);
}

Operation* Rmm::waiting(Command& c, std::uint64_t handle) {
  if (handle == 0 || handle > operations_.size() || operations_[handle - 1].command == nullptr) {
    touch(kContexts, How::kRead);
    return (void)c.refuse("handle"), nullptr;
  }
  Operation& operation = operations_[handle - 1];
  mutex_.touch(schedule::part(kOperations, operation.about), How::kWrite);
  return &operation;
}

/// sro_obj_memory_donate() and psmmu_activate_start(): the host reclaims, though there may be
/// nothing, and is not told how much. psmmu_create_l2_start() has the operation end at once,
/// and leaves what the call says as it was at its beginning: SUCCESS.
RmiResult Rmm::donation_failed(Operation& operation) {
  RmiResult failed = give_back(operation, Code::kInput);
  failed.x1 = 0;
  if (operation.command != &row::kPsmmuStL2Create) return failed;
  operation.stage = Operation::Stage::kReclaimed;
  operation.expected = Operation::Expected::kContinue;
  return {.code = defective() ? Code::kSuccess : Code::kIncomplete};
}

RmiResult Rmm::op_mem_donate(std::uint64_t handle, Hpa list, std::uint64_t count) {
  Command c(*this, row::kOpMemDonate);
  if (!c.begin()) return c.result();
  RMM_FIND(operation, waiting(c, handle));
  RMM_REFUSE_IF(operation->expected != Operation::Expected::kDonate, "expected");
  RMM_REFUSE_IF(raw(list) % sizeof(std::uint64_t) != 0, "list_aligned");
  RMM_REFUSE_IF(!is_hosts(list), "list");
  std::vector<AddressDescriptor> descriptors;
  for (std::uint64_t i = 0; i < entries_in_page(list, count); ++i) {
    const auto word = memory_.read_u64(list + i * sizeof(std::uint64_t));
    RMM_REFUSE_IF(!word, "list");
    descriptors.push_back(AddressDescriptor::decode(*word));
  }
  const auto granules = granules_of(descriptors, operation->contiguous);
  RMM_REFUSE_IF(!granules, "descriptor");
  std::uint64_t& wanted = operation->wanted.front();
  RMM_REFUSE_IF(granules->size() > wanted, "amount");
  RMM_REFUSE_IF(operation->contiguous && !granules->empty() && granules->size() != wanted,
                "partial");
  // sro_obj_memory_donate(), smmu_memory_donate().
  std::uint64_t taken = 0;
  for (; taken < granules->size(); ++taken) {
    const Hpa granule = (*granules)[taken];
    if (state_of(granule) != GranuleState::kDelegated || memory_.is_mmio(granule)) break;
    set(granule, operation->kind);
    operation->memory.push_back(granule);
  }
  if (taken < granules->size() && (taken == 0 || operation->contiguous)) {
    for (; taken > 0; --taken) {  // of a contiguous piece all or nothing
      set(operation->memory.back(), GranuleState::kDelegated);
      operation->memory.pop_back();
    }
    return donation_failed(*operation);
  }
  wanted -= taken;
  if (wanted == 0) operation->wanted.erase(operation->wanted.begin());
  if (!operation->wanted.empty()) {
    RmiResult more = incomplete(*operation, MemoryRequest::kDonate);
    more.x1 = taken;
    return more;
  }
  operation->stage = Operation::Stage::kDonated;
  operation->expected = Operation::Expected::kContinue;
  return {.code = Code::kIncomplete, .x1 = taken};
}

RmiResult Rmm::op_mem_reclaim(std::uint64_t handle, Hpa list, std::uint64_t count) {
  Command c(*this, row::kOpMemReclaim);
  if (!c.begin()) return c.result();
  RMM_FIND(operation, waiting(c, handle));
  RMM_REFUSE_IF(raw(list) % sizeof(std::uint64_t) != 0, "list_aligned");
  RMM_REFUSE_IF(operation->expected != Operation::Expected::kReclaim, "expected");
  const std::uint64_t room = entries_in_page(list, count);
  if (room == 0) return {.code = Code::kIncomplete, .memory = MemoryRequest::kReclaim};
  std::vector<AddressDescriptor>& untold = operation->untold;
  if (untold.empty()) release(*operation, room);
  RMM_REFUSE_IF(!untold.empty() && !is_hosts(list), "list");
  const std::uint64_t told = std::min<std::uint64_t>(room, untold.size());
  for (std::uint64_t i = 0; i < told; ++i)
    RMM_REFUSE_IF(!memory_.write_u64(list + i * sizeof(std::uint64_t), untold[i].encode()), "list");
  untold.erase(untold.begin(), untold.begin() + static_cast<std::ptrdiff_t>(told));
  if (!untold.empty() || operation->given_back < operation->memory.size())
    return {.code = Code::kIncomplete, .memory = MemoryRequest::kReclaim, .x1 = told};
  operation->stage = Operation::Stage::kReclaimed;
  operation->expected = Operation::Expected::kContinue;
  return {.code = Code::kIncomplete, .x1 = told};
}

/// sro_obj_memory_reclaim(): as many granules as the list has entries; smmu_memory_reclaim():
/// all. They are the host's to undelegate before it is told of them.
void Rmm::release(Operation& operation, std::uint64_t room) {
  const std::size_t rest = operation.memory.size() - operation.given_back;
  const std::size_t now = operation.psmmu != nullptr ? rest : std::min<std::size_t>(room, rest);
  for (std::size_t i = 0; i < now; ++i) {
    const Hpa granule = operation.memory[operation.given_back++];
    set(granule, GranuleState::kDelegated);
    (void)add_block(operation.untold, {.base = granule, .count = 1}, kListSlots);
  }
}

/// What is left to do when all memory has gone back.
void Rmm::reclaimed(Operation& operation) {
  if (raw(operation.object) != 0) set(operation.object, GranuleState::kDelegated);
  if (operation.command != &row::kPsmmuActivate && operation.command != &row::kPsmmuDeactivate)
    return;
  touch(kPsmmus, How::kWrite);
  operation.psmmu->state = Psmmu::State::kInactive;
}

Code Rmm::created(Operation& operation) {
  if (operation.command == &row::kPdevCreate) return pdev_created(operation);
  if (operation.command == &row::kPsmmuActivate) return psmmu_activated(operation);
  if (operation.command == &row::kPsmmuStL2Create) return table_created(operation);
  operation.refused_by = rec_created(operation);
  return operation.refused_by == nullptr ? Code::kSuccess : operation.refused_by->code;
}

/// The command's own result, once its memory is there or gone.
RmiResult Rmm::finish(Operation& operation) {
  Code code = operation.result;
  if (operation.stage == Operation::Stage::kReclaimed) {
    reclaimed(operation);
  } else {
    code = created(operation);
    if (code != Code::kSuccess) {
      RmiResult failed = give_back(operation, code);
      failed.x1 = 0;
      return failed;
    }
  }
  RmiResult result{.code = code};
  result.refused_by = operation.refused_by;
  release(operation);
  return result;
}

RmiResult Rmm::op_continue(std::uint64_t handle) {
  Command c(*this, row::kOpContinue);
  if (!c.begin()) return c.result();
  RMM_FIND(operation, waiting(c, handle));
  RMM_REFUSE_IF(operation->expected != Operation::Expected::kContinue, "expected");
  const RmiResult result = finish(*operation);
  if (result.refused_by != nullptr) c.remark(result.refused_by->refused_when);
  return result;
}

RmiResult Rmm::op_cancel(std::uint64_t handle) {
  Command c(*this, row::kOpCancel);
  if (!c.begin()) return c.result();
  RMM_FIND(operation, waiting(c, handle));
  (void)operation;
  return c.refuse("cancel");
}

}  // namespace teeio::rmm
