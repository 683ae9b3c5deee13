#include <algorithm>

#include "host/kvm/sev/psp_host.h"

// What /dev/sev asks the secure processor for: sev_ioctl_do_*() of Linux
// drivers/crypto/ccp/sev-dev.c.

namespace teeio::kvm {

using sev::Status;

/// snp_prep_cmd_buf() and snp_reclaim_cmd_buf(): the buffer is the firmware's meanwhile.
Result<void> PspHost::command_in_place(std::uint16_t number, std::span<std::byte> buffer,
                                       Answer& answer) {
  TEEIO_ASSIGN(const Hpa page, alloc_firmware_page());
  if (auto written = memory_.write(page, buffer); !written) {
    free_firmware_page(page);
    return written;
  }
  answer = psp_.command(number, page);
  (void)memory_.read(page, buffer);
  TEEIO_TRY(reclaim_page(page));
  memory_.free_page(page);
  if (answer == Status::kSuccess) return {};
  return fail(Errno::kIo, "the secure processor refuses the command");
}

Result<Bytes> PspHost::platform_status(Answer& answer) {
  constexpr std::size_t kStatusBytes = 12;
  Bytes status(kStatusBytes);
  TEEIO_TRY(command_in_place(sev::kPlatformStatus, status, answer));
  return status;
}

Result<std::uint32_t> PspHost::get_id(std::uint32_t room, Bytes& id, Answer& answer) {
  constexpr std::size_t kLengthAt = 8;
  TEEIO_ASSIGN(const Hpa page, alloc_firmware_page());
  const std::uint32_t usable = std::min<std::uint32_t>(room, kPageSize);
  Bytes buffer = Writer().le(room == 0 ? std::uint64_t{0} : raw(page)).le(usable).take();
  const Result<void> done = command_in_place(sev::kGetId, buffer, answer);
  const auto length = Reader(ByteView(buffer).subspan(kLengthAt)).le<std::uint32_t>();
  if (done) {
    id.resize(length);
    (void)memory_.read(page, id);
  }
  free_firmware_page(page);
  // Without room the length is the answer.
  if (!done && answer != Status::kInvalidLength) return std::unexpected(done.error());
  return length;
}

Result<Bytes> PspHost::snp_status(Answer& answer) {
  constexpr std::size_t kStatusBytes = 32;
  TEEIO_ASSIGN(const Hpa page, alloc_firmware_page());
  const Result<void> done = command(sev::kSnpPlatformStatus, Writer().le(raw(page)).take(), answer);
  if (!reclaim_page(page)) return fail(Errno::kFault, "the firmware keeps the status page");
  Bytes status(kStatusBytes);
  (void)memory_.read(page, status);
  memory_.free_page(page);
  TEEIO_TRY(done);
  return status;
}

Result<void> PspHost::load_vlek(ByteView hashstick, Answer& answer) {
  constexpr std::uint32_t kLength = 16;
  TEEIO_ASSIGN(const Hpa page, memory_.alloc_page());
  Result<void> done = memory_.write(page, hashstick);
  if (done)
    done = command(sev::kSnpVlekLoad, Writer().le(kLength).zeros(4).le(raw(page)).take(), answer);
  memory_.free_page(page);
  return done;
}

}  // namespace teeio::kvm
