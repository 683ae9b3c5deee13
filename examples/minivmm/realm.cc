// A realm: how it is loaded, and what it asks of its host (RHI, and device memory).
#include <linux/teeio_proposed.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <stdexcept>
#include <utility>

#include "../guest/platform.h"
#include "files.h"
#include "guest_image.h"
#include "session.h"
#include "steps.h"

namespace {

// DEN0148: numbers of calls, statuses, objects.
enum : std::uint64_t {
  kFeatures = 0xc500004b,
  kObjectSize = 0xc500004c,
  kObjectRead = 0xc500004d,
  kContinue = 0xc5000051,
  kGetMeasurements = 0xc5000052,
  kGetInterfaceReport = 0xc5000053,
  kSetTdiState = 0xc5000054,
  kAbort = 0xc5000056,
};
enum : std::uint64_t {
  kSuccess = 0,
  kIncomplete = 1,
  kNoData = 2,
  kNoSuchDevice = 3,
  kNoSuchObject = 4,
  kInput = 5,
  kDeviceError = 6,
  kNoSuchOffset = 7,
  kAccessFailed = 8,
  kBusy = 9,
  kHadCompleted = 10,  // what was to be aborted is over
};
// Bits of RHI_DA_FEATURES. Calls are done at once where CONTINUE and ABORT are not offered.
constexpr std::uint64_t kOffered = 0x3b;
constexpr std::uint64_t kContinueAndAbort = 1U << 2U | 1U << 7U;
constexpr std::uint32_t kObjects[] = {TSM_OBJECT_VCA, TSM_OBJECT_CERTIFICATES,
                                      TSM_OBJECT_MEASUREMENTS};
constexpr std::uint64_t kMeasurements = 2;
constexpr std::uint64_t kReport = 3;

std::uint64_t status(int error) { return error == 0 ? kSuccess : kDeviceError; }

}  // namespace

void Session::load_realm_guest() {
  begin(Step::kLoadGuest, prefix_);
  write_board();
  vm_->populate(platform::kImage, realm_guest_image());
  vm_->add_vcpu();
  vm_->init_arm_vcpu(platform::kImage, platform::kBoard);
}

// As the realm has put it into shared memory: its size and its bytes.
void Session::keep_token() {
  std::uint64_t size = 0;
  const auto page = shared_pages(platform::kToken, platform::kPage);
  if (!page.empty()) std::memcpy(&size, page.data(), sizeof size);
  if (size == 0 || size > platform::kPage - sizeof size)
    throw std::runtime_error("the realm has given no token");
  const unsigned char* const bytes =
      reinterpret_cast<const unsigned char*>(page.data()) + sizeof size;
  write_file(options_.token_file, std::vector<unsigned char>(bytes, bytes + size));
}

// The arguments are in x1 and behind, the results go to x0 and behind.
void Session::on_host_call() {
  const std::uint64_t call = vm_->state().hypercall.nr;
  const auto x = [&](unsigned number) { return vm_->arm_register(number); };
  std::uint64_t first = kNoSuchDevice;
  if (call == kFeatures) {
    first = kOffered | (options_.rhi_continue ? kContinueAndAbort : 0);
  } else if (x(1) == function_.requester_id()) {
    std::vector<unsigned char>* object = nullptr;
    switch (call) {
      case kObjectSize:
        first = realm_object(x(2), object);
        if (object != nullptr) vm_->set_arm_register(1, object->size());
        break;
      case kObjectRead:
        first = object_to_realm(x(2), x(3), x(4), x(5));
        break;
      case kGetMeasurements:
      case kGetInterfaceReport:
      case kSetTdiState:
        first = options_.rhi_continue ? begin_realm_call(call, x(2)) : do_realm_call(call, x(2));
        break;
      case kContinue:
      case kAbort:
        first = options_.rhi_continue ? end_realm_call(call == kContinue, x(2)) : ~std::uint64_t{0};
        break;
      default:
        first = ~std::uint64_t{0};
    }
  }
  vm_->set_arm_register(0, first);
}

std::uint64_t Session::do_realm_call(std::uint64_t call, std::uint64_t argument) {
  if (call == kGetMeasurements) return measure_for_realm(argument);
  if (call == kSetTdiState) return realm_tdi_state(argument);
  begin(Step::kReport, prefix_);
  return fetch_report();
}

// The realm's vCPU is not held while its device is spoken to: the call has a handle, and is
// done when the realm asks to go on. One at a time. Sources: Linux arch/arm64 (posted)
// rhi-da.c, rhi_vdev_continue(); ARM-software/cca-rmm-acs val_host_rhi.c.
std::uint64_t Session::begin_realm_call(std::uint64_t call, std::uint64_t argument) {
  if (begun_.handle != 0) return kBusy;
  begun_ = {.handle = ++last_handle_, .call = call, .argument = argument};
  vm_->set_arm_register(1, begun_.handle);
  return kIncomplete;
}

std::uint64_t Session::end_realm_call(bool go_on, std::uint64_t handle) {
  if (begun_.handle == 0) return go_on ? kInput : kHadCompleted;
  if (go_on && handle != begun_.handle) return kInput;
  const RealmCall begun = std::exchange(begun_, RealmCall{});
  return go_on ? do_realm_call(begun.call, begun.argument) : kSuccess;
}

std::uint64_t Session::realm_tdi_state(std::uint64_t state) {
  switch (static_cast<Device::TdiState>(state)) {
    case Device::TdiState::kLocked:
      return status(bind());
    case Device::TdiState::kUnlocked:
      return status(unbind());
    case Device::TdiState::kRun:
      begin(Step::kStart, prefix_);
      return status(device_->set_tdi_state(options_.arch, Device::TdiState::kRun));
  }
  return kInput;
}

// struct rhi_vdev_measurement_params: flags, and the nonce at its second quarter.
std::uint64_t Session::measure_for_realm(std::uint64_t parameters_gpa) {
  constexpr std::size_t kNonce = 256;
  const auto page = shared_pages(parameters_gpa, platform::kPage);
  if (page.empty()) return kAccessFailed;
  unsigned char nonce[32];
  std::memcpy(nonce, page.data() + kNonce, sizeof nonce);
  objects_[kMeasurements].clear();
  return status(device_->measure_anew(options_.arch, nonce));
}

// Each time the monitor has it fetched it counts as new: what is kept is what the realm is
// told of.
std::uint64_t Session::fetch_report() {
  if (const int error = device_->read_report(options_.arch, objects_[kReport]); error != 0)
    return status(error);
  if (!options_.report_file.empty()) write_file(options_.report_file, objects_[kReport]);
  std::vector<unsigned char> evidence;
  if (options_.evidence_file.empty()) return kSuccess;
  if (const int error = device_->read_evidence(options_.arch, nullptr, evidence); error != 0)
    return status(error);
  write_file(options_.evidence_file, evidence);
  return kSuccess;
}

std::uint64_t Session::realm_object(std::uint64_t object, std::vector<unsigned char>*& bytes) {
  if (object > kReport) return kNoSuchObject;
  auto& kept = objects_[object];
  if (kept.empty() && object != kReport)
    if (device_->read_object(options_.arch, kObjects[object], kept) != 0) return kDeviceError;
  if (kept.empty()) return kNoData;
  bytes = &kept;
  return kSuccess;
}

std::uint64_t Session::object_to_realm(std::uint64_t object, std::uint64_t offset,
                                       std::uint64_t size, std::uint64_t gpa) {
  std::vector<unsigned char>* kept = nullptr;
  if (const std::uint64_t failed = realm_object(object, kept); failed != kSuccess) return failed;
  if (offset > kept->size()) return kNoSuchOffset;
  const std::uint64_t count = std::min<std::uint64_t>(size, kept->size() - offset);
  const auto room = shared_pages(gpa, count);
  if (room.empty()) return kAccessFailed;
  std::vector<unsigned char> bytes(kept->begin() + static_cast<std::ptrdiff_t>(offset),
                                   kept->begin() + static_cast<std::ptrdiff_t>(offset + count));
  if (object == kMeasurements) spoil(bytes);
  std::memcpy(room.data(), bytes.data(), bytes.size());
  vm_->set_arm_register(1, count);
  return kSuccess;
}

// The realm has seen the report; where its device memory really is says the monitor.
void Session::on_device_mapping() {
  kvm_arm64_tio tio{};
  std::memcpy(&tio, vm_->state().padding, sizeof tio);
  tio.response = ~std::uint64_t{0};
  const bool known = tio.nr == RMI_EXIT_VDEV_VALIDATE_MAPPING && tio.flags == 0 &&
                     tio.vdev_id == function_.requester_id();
  if (known && device_->map_mmio(options_.arch, tio.gpa_base, tio.gpa_top, tio.pa_base) == 0)
    tio.response = 0;
  std::memcpy(vm_->state().padding, &tio, sizeof tio);
}
