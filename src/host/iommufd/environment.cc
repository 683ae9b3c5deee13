#include "host/iommufd/environment.h"

#include <utility>

#include "schedule/consulted.h"

namespace teeio::iommufd {
namespace {

struct DoorRow {
  BindOwner owner;
  Errno shut;
  std::string_view why;
};

DoorRow row_of(Door door) {
  switch (door) {
    case Door::kVfio:
      return {BindOwner::kVfio, Errno::kNoTty, "the machine's bind_owner keeps VFIO's door shut"};
    case Door::kIommufd:
      return {BindOwner::kIommufd, Errno::kOpNotSupp,
              "the machine's bind_owner keeps iommufd's door shut"};
    case Door::kGuest:
      return {BindOwner::kGuest, Errno::kNxio,
              "the machine's bind_owner keeps the guest's door shut"};
    case Door::kVdevice:
      return {BindOwner::kVdevice, Errno::kOpNotSupp, "making a vDEVICE binds nothing here"};
  }
  std::unreachable();
}

}  // namespace

Result<void> Environment::admit(Door door) const {
  schedule::consult("bind_owner");
  const DoorRow row = row_of(door);
  const bool any = policies.bind_owner == BindOwner::kAny && door != Door::kVdevice;
  if (any || policies.bind_owner == row.owner) return {};
  return fail(row.shut, row.why);
}

}  // namespace teeio::iommufd
