// iommufd's objects and a vfio-pci device that is bound to it, in any order and with
// odd arguments: "PROGRAM COUNT FIRST" asks more than what is recorded.
#include "iommufd_rows.h"

namespace {

using namespace probe::iommufd;
using probe::Field;
using probe::Row;

/// Of the device's descriptor.
const std::vector<Row>& device_rows() {
  using enum Field::Kind;
  static const std::vector<Row> all = {
      row("ATTACH", VFIO_DEVICE_ATTACH_IOMMUFD_PT, 16,
          {{"flags", 4, 4, kWords, {0, 0, 0, 0, 1, 2}},
           {"pt", 8, 4, kId, {kIoas, kHwpt, kHwpt}},
           {"pasid", 12, 4, kWords, {0, 1, 2}},
           {"pt", 8, 4, kOut}}),
      row("DETACH", VFIO_DEVICE_DETACH_IOMMUFD_PT, 12,
          {{"flags", 4, 4, kWords, {0, 0, 0, 1, 2}}, {"pasid", 8, 4, kWords, {0, 1}}}),
  };
  return all;
}

/// Of the context's descriptor. What a machine's IOMMU may have or not, nesting and dirty
/// tracking, is asked of the mock.
const std::vector<Row>& context_rows() {
  static const std::vector<Row> all = [] {
    std::vector<Row> some = rows();
    std::erase_if(some, [](const Row& row) {
      return strcmp(row.name, "HWPT_ALLOC") == 0 || strcmp(row.name, "HWPT_ALLOC nested") == 0 ||
             strcmp(row.name, "VIOMMU_ALLOC") == 0;
    });
    for (Row& row : some) {
      std::erase_if(row.fields,
                    [](const Field& field) { return strcmp(field.name, "capabilities") == 0; });
      if (strcmp(row.name, "HWPT_ALLOC plain") == 0)
        row.fields[1] = {"flags", 4, 4, Field::kFlags, {8}};
    }
    return some;
  }();
  return all;
}

void story(probe::Dice& dice) {
  probe::Asker asker(dice);
  asker.data_words = {0, 1, 2, 3, 48, 0x1000, 0x1000000, 1U << 31U};
  const int iommufd = probe::open_iommufd();
  const int device = probe::open_device();
  add_files(asker, iommufd);
  std::uint32_t devid = 0;
  asker.ask(iommufd, find(context_rows(), "IOAS_ALLOC"));
  probe::say(probe::bind(device, iommufd, &devid), "bind");
  asker.ids[kDevice].push_back(devid);
  for (const char* first : {"FAULT_ALLOC", "MAP", "MAP", "HWPT_ALLOC plain", "HWPT_ALLOC plain"}) {
    if (dice.once_in(10)) continue;
    for (int tries = 0; tries < 5 && asker.ask(iommufd, find(context_rows(), first)) < 0; ++tries) {
    }
  }
  for (int calls = 0; calls < 40; ++calls) {
    if (dice.below(4) == 0)
      asker.ask(device, device_rows()[dice.below(device_rows().size())]);
    else
      asker.ask(iommufd, context_rows()[dice.below(context_rows().size())]);
  }
}

}  // namespace

int main(int argc, char** argv) { return probe::stories(argc, argv, 12, story); }
