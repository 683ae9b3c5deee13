#pragma once

#include "host/sysfs/topology.h"
#include "host/sysfs/tree.h"

namespace teeio::sysfs {

/// Adds debugfs' folders of fault injection, where the machine's kernel has it: of
/// struct fault_attr only `verbose`, and what decides which steps fail-nth counts.
/// Source: Linux lib/fault-inject.c, fault_create_debugfs_attr(); mm/failslab.c,
/// mm/fail_page_alloc.c, drivers/iommu/iommufd/selftest.c.
void add_fault_folders(NodeList& list, const Environment& environment);

}  // namespace teeio::sysfs
