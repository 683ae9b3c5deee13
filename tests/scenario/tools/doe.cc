// Drives a card's DOE mailbox through its `config` file, four bytes at a time, as a
// tool does that knows nothing of kernels: every protocol of discovery, GET_VERSION,
// what the mailbox makes of a bad object, and abort. PCIe Base Spec 6.30, 7.9.24.
#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <vector>

namespace {

int config = -1;
unsigned doe = 0;  // offset of the capability

void check(bool good, const char* what) {
  if (good) return;
  std::fprintf(stderr, "doe: %s\n", what);
  std::exit(1);
}

std::uint32_t get(unsigned at) {
  std::uint32_t value = 0;
  check(pread(config, &value, 4, at) == 4, "a register cannot be read");
  return value;
}
void put(unsigned at, std::uint32_t value) {
  check(pwrite(config, &value, 4, at) == 4, "a register cannot be written");
}

constexpr unsigned kControl = 0x08, kStatus = 0x0c, kWrite = 0x10, kRead = 0x14;
constexpr std::uint32_t kGo = 0x80000000, kReady = 0x80000000, kError = 4, kAbort = 1;

void find_mailbox() {
  constexpr unsigned kDoe = 0x2e;
  for (unsigned at = 0x100; at != 0; at = get(at) >> 20)
    if ((get(at) & 0xffff) == kDoe) doe = at;
  check(doe != 0, "the card has no DOE capability");
}

std::vector<std::uint32_t> exchange(const std::vector<std::uint32_t>& object) {
  for (const std::uint32_t word : object) put(doe + kWrite, word);
  put(doe + kControl, kGo);
  std::vector<std::uint32_t> answer;
  while ((get(doe + kStatus) & kReady) != 0) {
    answer.push_back(get(doe + kRead));
    put(doe + kRead, 0);
  }
  check(answer.size() >= 2 && answer[1] == answer.size(), "the answer has another length");
  return answer;
}

// Walks the list of protocols; true if PCI-SIG's type `wanted` is in it.
bool discovers(unsigned wanted) {
  bool found = false;
  unsigned index = 0;
  do {
    const auto answer = exchange({0x00000001, 3, index});
    check(answer.size() == 3 && (answer[2] & 0xffff) == 1, "discovery names no PCI-SIG protocol");
    found = found || (answer[2] >> 16 & 0xff) == wanted;
    index = answer[2] >> 24;
  } while (index != 0);
  return found;
}

}  // namespace

int main(int argc, char** argv) {
  check(argc == 2, "usage: doe CONFIG-FILE");
  config = open(argv[1], O_RDWR);
  check(config >= 0, "the config file does not open");
  find_mailbox();
  check((get(doe + kStatus) & 1) == 0, "the mailbox is busy");
  check(discovers(0) && discovers(1), "discovery does not list itself and SPDM");
  check(!discovers(9), "discovery lists what nobody defined");

  // GET_VERSION: 10 84 00 00. The answer is VERSION, 10 04, with a count.
  const auto version = exchange({0x00010001, 3, 0x00008410});
  check((version[2] & 0xffff) == 0x0410, "the answer to GET_VERSION is no VERSION");
  check(version.size() > 3 && (version[3] >> 8 & 0xff) > 0, "VERSION lists none");

  put(doe + kWrite, 0x00010001);
  put(doe + kControl, kGo);
  check((get(doe + kStatus) & kError) != 0, "half an object is no error");
  put(doe + kControl, kAbort);
  check((get(doe + kStatus) & (kError | kReady)) == 0, "abort does not clear the mailbox");
  check(discovers(1), "the mailbox works no more after an abort");
  std::puts("DOE works");
}
