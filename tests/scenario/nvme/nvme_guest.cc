// What runs in a guest, or on any Linux, against a block device. Static; no output of its own
// but what the test reads.
//   nvme_guest write DEVICE FIRST COUNT   numbered, checksummed blocks; "flushed N" after fsync()
//   nvme_guest check DEVICE FIRST COUNT   every one of them is whole
//   nvme_guest bench DEVICE MODE BYTES DEPTH SECONDS   MODE: read, write, randread, randwrite

#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string_view>
#include <thread>
#include <vector>

namespace {

constexpr std::size_t kBlock = 4096;
constexpr std::size_t kWords = kBlock / 8;
constexpr std::uint64_t kFlushEvery = 8;

struct alignas(kBlock) Block {
  std::uint64_t words[kWords];
};

/// Number, words that follow from it, and their sum.
void fill(Block& block, std::uint64_t number) {
  block.words[0] = number;
  std::uint64_t sum = number;
  for (std::size_t i = 1; i + 1 < kWords; ++i) {
    block.words[i] = (number + 1) * 0x9e37'79b9'7f4a'7c15 + i * 0xd134'2543'de82'ef95;
    sum += block.words[i];
  }
  block.words[kWords - 1] = sum;
}

int fail(const char* what, std::uint64_t number) {
  std::printf("nvme_guest: %s at block %llu\n", what, static_cast<unsigned long long>(number));
  return 1;
}

int write_blocks(int fd, std::uint64_t first, std::uint64_t count) {
  static Block block;
  for (std::uint64_t i = first; i < first + count; ++i) {
    fill(block, i);
    if (::pwrite(fd, &block, kBlock, static_cast<off_t>(i * kBlock)) != kBlock)
      return fail("write failed", i);
    if ((i + 1) % kFlushEvery != 0 && i + 1 != first + count) continue;
    if (::fsync(fd) != 0) return fail("flush failed", i);
    std::printf("flushed %llu\n", static_cast<unsigned long long>(i + 1));
    std::fflush(stdout);
  }
  return 0;
}

int check_blocks(int fd, std::uint64_t first, std::uint64_t count) {
  static Block block, wanted;
  for (std::uint64_t i = first; i < first + count; ++i) {
    fill(wanted, i);
    if (::pread(fd, &block, kBlock, static_cast<off_t>(i * kBlock)) != kBlock)
      return fail("read failed", i);
    if (std::memcmp(&block, &wanted, kBlock) != 0) return fail("not what was written", i);
  }
  std::printf("checked %llu\n", static_cast<unsigned long long>(count));
  return 0;
}

struct Load {
  int fd;
  bool writes;
  bool random;
  std::size_t bytes;
  std::uint64_t slots;
  unsigned depth;
};

std::uint64_t run(const Load& load, unsigned seconds) {
  std::atomic<std::uint64_t> done{0}, next{0};
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(seconds);
  std::vector<std::thread> threads;
  for (unsigned t = 0; t < load.depth; ++t)
    threads.emplace_back([&, t] {
      void* memory = std::aligned_alloc(kBlock, load.bytes);
      std::memset(memory, static_cast<int>(t), load.bytes);
      std::uint64_t state = t * 0x9e37'79b9'7f4a'7c15 + 1;
      while (std::chrono::steady_clock::now() < end) {
        state = state * 6364136223846793005U + 1442695040888963407U;
        const std::uint64_t slot = (load.random ? state >> 20U : next++) % load.slots;
        const auto at = static_cast<off_t>(slot * load.bytes);
        const ssize_t moved = load.writes ? ::pwrite(load.fd, memory, load.bytes, at)
                                          : ::pread(load.fd, memory, load.bytes, at);
        if (moved != static_cast<ssize_t>(load.bytes)) std::exit(fail("bench failed", slot));
        ++done;
      }
      std::free(memory);
    });
  for (std::thread& thread : threads) thread.join();
  return done;
}

int bench(int fd, char** words) {
  std::uint64_t size = 0;
  if (::ioctl(fd, BLKGETSIZE64, &size) != 0) return fail("no size", 0);
  const std::string_view mode = words[0];
  Load load{.fd = fd,
            .writes = mode == "write" || mode == "randwrite",
            .random = mode.starts_with("rand"),
            .bytes = std::strtoull(words[1], nullptr, 10),
            .slots = 0,
            .depth = static_cast<unsigned>(std::atoi(words[2]))};
  load.slots = size / load.bytes;
  const auto start = std::chrono::steady_clock::now();
  const std::uint64_t done = run(load, static_cast<unsigned>(std::atoi(words[3])));
  const std::chrono::duration<double> took = std::chrono::steady_clock::now() - start;
  std::printf("bench %s %zu depth %u: %.0f per second\n", words[0], load.bytes, load.depth,
              static_cast<double>(done) / took.count());
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 5) return 2;
  const std::string_view what = argv[1];
  const int fd = ::open(argv[2], O_RDWR | O_DIRECT);
  if (fd < 0) return fail("cannot open the device", 0);
  if (what == "bench" && argc == 7) return bench(fd, argv + 3);
  const std::uint64_t first = std::strtoull(argv[3], nullptr, 10);
  const std::uint64_t count = std::strtoull(argv[4], nullptr, 10);
  if (what == "write") return write_blocks(fd, first, count);
  if (what == "check") return check_blocks(fd, first, count);
  return 2;
}
