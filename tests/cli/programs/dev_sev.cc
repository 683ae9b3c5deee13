// What `snphost show` does: a program of its own, with Linux's header, asks /dev/sev who the
// secure processor is and which SEV-SNP it has. Says each answer; leaves with 1 where a call
// fails that must not.
#include <fcntl.h>
#include <linux/psp-sev.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>

namespace {

/// The errno of SEV_ISSUE_CMD, 0 for success; `firmware` gets the firmware's answer.
int issue(int fd, std::uint32_t command, void* data, std::uint32_t& firmware) {
  sev_issue_cmd call{};
  call.cmd = command;
  call.data = reinterpret_cast<std::uintptr_t>(data);
  const int result = ioctl(fd, SEV_ISSUE_CMD, &call);
  firmware = call.error;
  return result == 0 ? 0 : errno;
}

}  // namespace

int main() {
  const int fd = open("/dev/sev", O_RDWR);
  struct stat info{};
  if (fd < 0 || fstat(fd, &info) != 0 || !S_ISCHR(info.st_mode)) return 1;
  std::uint32_t firmware = 0;
  sev_user_data_snp_status status{};
  if (issue(fd, SNP_PLATFORM_STATUS, &status, firmware) != 0) return 1;
  std::printf("API %u.%u, state %u\n", unsigned{status.api_major}, unsigned{status.api_minor},
              unsigned{status.state});
  sev_user_data_get_id2 id{};
  const int error = issue(fd, SEV_GET_ID2, &id, firmware);
  const std::uint32_t length = id.length;
  std::printf("ID of %u bytes: errno %d, firmware %#x\n", length, error, firmware);
  char byte = 0;
  if (read(fd, &byte, 1) != -1 || errno != EINVAL) return 1;
  if (ioctl(fd, 0, 0) != -1 || errno != EINVAL) return 1;
  return 0;
}
