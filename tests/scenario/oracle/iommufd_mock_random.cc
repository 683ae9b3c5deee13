// iommufd's objects and its mock device, in any order and with odd arguments:
// "PROGRAM COUNT FIRST" asks more than what is recorded.
#include "iommufd_rows.h"

namespace {

using namespace probe::iommufd;
using probe::Field;
using probe::Row;

constexpr unsigned long kTest = _IO(IOMMUFD_TYPE, 0xa0);
constexpr std::uint32_t kTestSize = 72;

Row test(const char* name, std::uint32_t op, std::vector<Field> fields) {
  Row made = row(name, kTest, kTestSize, std::move(fields));
  made.fixed[4] = op;
  return made;
}

const std::vector<Row>& test_rows() {
  using enum Field::Kind;
  static const std::vector<Row> all = {
      test("RESERVE", 1,
           {{"id", 8, 4, kId, {kIoas}}, {"start", 16, 8, kIova}, {"length", 24, 8, kLength}}),
      test("MOCK_DOMAIN", 2,
           {{"id", 8, 4, kId, {kIoas, kIoas, kHwpt}},
            {"mock", 16, 4, kOutId, {kMock}},
            {"hwpt", 20, 4, kOutId, {kHwpt}},
            {"device", 24, 4, kOutId, {kDevice}}}),
      test("MOCK_REPLACE", 10,
           {{"id", 8, 4, kId, {kMock}},
            {"pt", 16, 4, kId, {kIoas, kHwpt, kHwpt}},
            {"pt", 16, 4, kOut}}),
      test("MOCK_FLAGS", 12,
           {{"id", 8, 4, kId, {kIoas, kIoas, kHwpt}},
            {"flags", 28, 4, kWords, {0, 1, 4, 4, 5, 2, 8}},
            {"mock", 16, 4, kOutId, {kMock}},
            {"hwpt", 20, 4, kOutId, {kHwpt}},
            {"device", 24, 4, kOutId, {kDevice}}}),
      test("CHECK_MAP", 3,
           {{"id", 8, 4, kId, {kHwpt}},
            {"iova", 16, 8, kIova},
            {"length", 24, 8, kLength},
            {"at", 32, 8, kMemory}}),
      test("DIRTY", 13,
           {{"id", 8, 4, kId, {kHwpt}},
            {"iova", 24, 8, kIova},
            {"length", 32, 8, kLength},
            {"page", 40, 8, kWords, {0x1000, 0x800, 0}},
            {"at", 48, 8, kMemory},
            {"dirty", 56, 8, kOut}}),
      test("CHECK_IOTLB", 14,
           {{"id", 8, 4, kId, {kHwpt}},
            {"which", 16, 4, kWords, {0, 1, 2, 3, 4}},
            {"value", 20, 4, kWords, {0xbadbeef, 0, 1, 2, 3}}}),
      test("CHECK_CACHE", 16,
           {{"id", 8, 4, kId, {kDevice}},
            {"which", 16, 4, kWords, {0, 1, 2, 3, 4}},
            {"value", 20, 4, kWords, {0xbaddad, 0}}}),
      test("TRIGGER_IOPF", 15,
           {{"device", 16, 4, kId, {kDevice}},
            {"pasid", 20, 4, kWords, {0xffffffff, 1, 2}},
            {"group", 24, 4, kWords, {1, 2}},
            {"perm", 28, 4, kWords, {1, 2}},
            {"addr", 32, 8, kIova}}),
      test("TRIGGER_VEVENT", 17, {{"device", 16, 4, kId, {kDevice}}}),
      test("PASID_ATTACH", 18,
           {{"id", 8, 4, kId, {kMock}},
            {"pasid", 16, 4, kWords, {1, 1, 2, 0, 1024, 0xfffff, 0x100000}},
            {"pt", 20, 4, kId, {kHwpt, kIoas}}}),
      test("PASID_REPLACE", 19,
           {{"id", 8, 4, kId, {kMock}},
            {"pasid", 16, 4, kWords, {1, 1, 2, 0, 1024}},
            {"pt", 20, 4, kId, {kHwpt, kIoas}}}),
      test("PASID_DETACH", 20,
           {{"id", 8, 4, kId, {kMock}}, {"pasid", 16, 4, kWords, {1, 1, 2, 0, 1024}}}),
      test("PASID_CHECK", 21,
           {{"id", 8, 4, kId, {kMock}},
            {"pasid", 16, 4, kWords, {1, 1, 2, 0}},
            {"hwpt", 20, 4, kId, {kHwpt}}}),
      test("CREATE_ACCESS", 5,
           {{"id", 8, 4, kId, {kIoas}}, {"flags", 20, 4, kWords, {0, 1, 1, 2}}}),
      test(
          "CHECK_REFS", 4,
          {{"length", 16, 8, kLength}, {"at", 24, 8, kMemory}, {"refs", 32, 4, kWords, {0, 1, 2}}}),
  };
  return all;
}

void story(probe::Dice& dice) {
  probe::Asker asker(dice);
  asker.data_words = {0, 1, 2, 3, 1U << 31U};
  const int iommufd = probe::open_iommufd();
  add_files(asker, iommufd);
  std::vector<Row> all = rows();
  all.insert(all.end(), test_rows().begin(), test_rows().end());
  for (const char* first : {"IOAS_ALLOC", "MOCK_FLAGS", "FAULT_ALLOC", "MAP", "MAP",
                            "HWPT_ALLOC plain", "HWPT_ALLOC plain", "HWPT_ALLOC nested",
                            "VIOMMU_ALLOC", "VDEVICE_ALLOC", "HWPT_ALLOC nested"}) {
    if (dice.once_in(10)) continue;
    for (int tries = 0; tries < 6 && asker.ask(iommufd, find(all, first)) < 0; ++tries) {
    }
  }
  for (int calls = 0; calls < 40; ++calls) asker.ask(iommufd, all[dice.below(all.size())]);
}

}  // namespace

int main(int argc, char** argv) { return probe::stories(argc, argv, 8, story); }
