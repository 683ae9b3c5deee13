#include "object/file.h"

#include "object/trace.h"
#include "schedule/task.h"

namespace teeio::object {
namespace {
schedule::TaskLocal<DelayedPuts*> t_outermost;
}  // namespace

std::string_view file_kind_name(FileKind kind) {
  switch (kind) {
    case FileKind::kIommu:
      return "iommufd";
    case FileKind::kVfioDevice:
      return "vfio-device";
    case FileKind::kVfioGroup:
      return "vfio-group";
    case FileKind::kVfioContainer:
      return "vfio-container";
    case FileKind::kKvm:
      return "kvm";
    case FileKind::kKvmVm:
      return "kvm-vm";
    case FileKind::kKvmVcpu:
      return "kvm-vcpu";
    case FileKind::kKvmVfioDevice:
      return "kvm-vfio";
    case FileKind::kGuestMemfd:
      return "guest_memfd";
    case FileKind::kDmaBuf:
      return "dmabuf";
    case FileKind::kIommuFaults:
      return "iommufd-pgfault";
    case FileKind::kIommuEvents:
      return "iommufd-viommu-event";
    case FileKind::kIommuTestAccess:
      return "iommufd_test_staccess";
    case FileKind::kAttribute:
      return "attribute";
    case FileKind::kVendorNode:
      return "vendor node";
    case FileKind::kForeign:
      return "foreign";
  }
  return "?";
}

void File::last_put() {
  if (DelayedPuts* scope = t_outermost.get(); scope != nullptr)
    scope->files_.push_back({this, current_lane()});
  else
    DelayedPuts::finish(this);
}

DelayedPuts::DelayedPuts() : outer_(t_outermost.get()) {
  if (outer_ == nullptr) t_outermost.set(this);
}

DelayedPuts::~DelayedPuts() {
  if (outer_ != nullptr) return;
  // A release may drop further files: they join the end of this list.
  for (std::size_t i = 0; i < files_.size(); ++i) {
    const Put put = files_[i];
    const LaneScope lane(put.lane);
    finish(put.file);
  }
  t_outermost.set(nullptr);
}

void DelayedPuts::finish(File* file) {
  file->release();
  delete file;
}

}  // namespace teeio::object
