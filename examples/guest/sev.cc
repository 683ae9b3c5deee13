#include "sev.h"

#include "aes_gcm.h"
#include "host.h"
#include "platform.h"
#include "workload.h"

namespace sev {
namespace {

constexpr std::uint32_t kMsrGhcb = 0xc0010130;

void set_ghcb_msr(std::uint64_t value) {
  asm volatile("wrmsr"
               :
               : "c"(kMsrGhcb), "a"(static_cast<std::uint32_t>(value)),
                 "d"(static_cast<std::uint32_t>(value >> 32)));
}
void vmgexit() {
  asm volatile(".byte 0xf3, 0x0f, 0x01, 0xd9" : : : "memory");  // rep; vmmcall
}

// The GHCB, field by field.
enum Field : std::uint64_t {
  kRax = 0x1f8,
  kRcx = 0x308,
  kRdx = 0x310,
  kRbx = 0x318,
  kExitCode = 0x390,
  kExitInfo1 = 0x398,
  kExitInfo2 = 0x3a0,
  kScratch = 0x3a8,
};
constexpr std::uint64_t kValidBitmap = 0x3f0;
constexpr std::uint64_t kBuffer = 0x800;
constexpr std::uint64_t kVersion = 0xffa;

volatile std::uint64_t& field(std::uint64_t offset) {
  return at<std::uint64_t>(shared(platform::kGhcb + offset));
}
void give(Field which, std::uint64_t value) {
  field(which) = value;
  const std::uint64_t bit = which / 8;
  auto& byte = at<unsigned char>(shared(platform::kGhcb + kValidBitmap + bit / 8));
  byte = static_cast<unsigned char>(byte | 1U << bit % 8);
}
// Gives SW_EXITINFO2, or all ones for a request that the host calls wrong.
std::uint64_t exit_to_host(std::uint64_t code, std::uint64_t info1, std::uint64_t info2) {
  give(kExitCode, code);
  give(kExitInfo1, info1);
  give(kExitInfo2, info2);
  vmgexit();
  return (field(kExitInfo1) & 0xffffffff) == 0 ? field(kExitInfo2) : ~0ULL;
}

enum ExitCode : std::uint64_t {
  kIo = 0x7b,
  kMmioRead = 0x80000001,
  kMmioWrite = 0x80000002,
  kPageState = 0x80000010,
  kTioGuestRequest = 0x80000020,
  kTioOp = 0x80000021,
};

// A guest message's page. Source: Linux asm/sev.h, struct snp_guest_msg_hdr.
enum Header : std::uint64_t {
  kTag = 0x00,
  kSequence = 0x20,
  kAlgorithm = 0x30,
  kHeaderVersion = 0x31,
  kHeaderSize = 0x32,
  kType = 0x34,
  kMessageVersion = 0x35,
  kMessageSize = 0x36,
  kPayload = 0x60,
};
constexpr unsigned char kAes256Gcm = 1;
enum Type : unsigned char { kTdiInfo = 19, kMmioValidate = 21, kSdteWrite = 25 };

std::uint64_t sequence = 0;  // the last that was used

// The key of VMPL 0, in the page that firmware filled at launch.
const unsigned char* message_key() {
  return reinterpret_cast<const unsigned char*>(platform::kSecrets + 32);
}

void copy(unsigned char* to, const volatile unsigned char* from, std::uint64_t size) {
  for (std::uint64_t i = 0; i < size; ++i) to[i] = from[i];
}
void copy_out(std::uint64_t gpa, const unsigned char* from, std::uint64_t size) {
  for (std::uint64_t i = 0; i < size; ++i) at<unsigned char>(shared(gpa + i)) = from[i];
}
void put(unsigned char* to, std::uint64_t value, unsigned bytes) {
  for (unsigned i = 0; i < bytes; ++i) to[i] = static_cast<unsigned char>(value >> 8 * i);
}

constexpr std::uint64_t kMostPayload = 256;
struct Sealed {
  unsigned char header[kPayload];
  unsigned char payload[kMostPayload];
};

void seal_request(Type type, const void* payload, std::uint64_t size) {
  Sealed page{};
  ++sequence;
  put(page.header + kSequence, sequence, 8);
  page.header[kAlgorithm] = kAes256Gcm;
  page.header[kHeaderVersion] = 1;
  put(page.header + kHeaderSize, kPayload, 2);
  page.header[kType] = type;
  page.header[kMessageVersion] = 1;
  put(page.header + kMessageSize, size, 2);
  copy(page.payload, static_cast<const unsigned char*>(payload), size);
  unsigned char nonce[aes_gcm::kNonce] = {};
  put(nonce, sequence, 8);
  const aes_gcm::Message message = {nonce, page.header + kAlgorithm, kPayload - kAlgorithm,
                                    page.payload, size};
  aes_gcm::seal(message_key(), message, page.header + kTag);
  copy_out(platform::kRequest, page.header, kPayload);
  copy_out(platform::kRequest + kPayload, page.payload, size);
}

// The answer must be sealed with the next number, of the type after the request's.
bool open_response(Type type, void* payload, std::uint64_t size) {
  Sealed page{};
  copy(page.header, &at<unsigned char>(shared(platform::kResponse)), kPayload);
  copy(page.payload, &at<unsigned char>(shared(platform::kResponse + kPayload)), size);
  ++sequence;
  unsigned char number[8];
  put(number, sequence, 8);
  for (unsigned i = 0; i < 8; ++i)
    if (page.header[kSequence + i] != number[i]) return false;
  const std::uint64_t says = page.header[kMessageSize] | page.header[kMessageSize + 1] << 8;
  if (page.header[kType] != type + 1 || says != size) return false;
  unsigned char nonce[aes_gcm::kNonce] = {};
  put(nonce, sequence, 8);
  const aes_gcm::Message message = {nonce, page.header + kAlgorithm, kPayload - kAlgorithm,
                                    page.payload, size};
  if (!aes_gcm::open(message_key(), message, page.header + kTag)) return false;
  copy(static_cast<unsigned char*>(payload), page.payload, size);
  return true;
}

// Carries a message to firmware and back; `rdx` is for the host's eyes.
bool ask(std::uint32_t device, Type type, std::uint64_t rdx, const void* request,
         std::uint64_t request_size, void* response, std::uint64_t response_size) {
  seal_request(type, request, request_size);
  give(kRax, platform::kBlobs);
  give(kRbx, platform::kBlobPages);
  give(kRcx, device);
  give(kRdx, rdx);
  if (exit_to_host(kTioGuestRequest, platform::kRequest, platform::kResponse) != 0) return false;
  return open_response(type, response, response_size);
}

}  // namespace

void start() {
  // What lies in shared memory is the host's; the whole page is made anew.
  for (std::uint64_t i = 0; i < kPage; i += 8) field(i) = 0;
  at<std::uint16_t>(shared(platform::kGhcb + kVersion)) = 2;
  constexpr std::uint64_t kRegister = 0x012;
  set_ghcb_msr(platform::kGhcb | kRegister);
  vmgexit();
  set_ghcb_msr(platform::kGhcb);
}

std::uint32_t validate_page(std::uint64_t gpa, bool valid) {
  std::uint64_t status = gpa;
  asm volatile(".byte 0xf2, 0x0f, 0x01, 0xff"  // pvalidate
               : "+a"(status)
               : "c"(0), "d"(valid ? 1 : 0)
               : "memory", "cc");
  return static_cast<std::uint32_t>(status);
}

bool map_shared(std::uint64_t gpa) {
  constexpr std::uint64_t kShared = std::uint64_t{2} << 52;
  if (validate_page(gpa, false) != 0) return false;
  field(kBuffer) = 0;  // from entry 0 to entry 0
  field(kBuffer + 8) = gpa | kShared;
  give(kScratch, platform::kGhcb + kBuffer);
  return exit_to_host(kPageState, 0, 0) == 0 && (field(kBuffer) & 0xffff) == 1;
}

std::uint64_t tio_op(std::uint32_t device, Op op) {
  return exit_to_host(kTioOp, static_cast<std::uint64_t>(op) << 32 | device, 0);
}

// struct tio_blob_table_entry: a GUID, an offset and a length, up to one of zeros.
Found find_blob(Blob which) {
  static constexpr unsigned char kGuids[][16] = {{0x75, 0xcb, 0x8c, 0x07, 0x44, 0x26, 0xe8, 0x49,
                                                  0xaf, 0xe7, 0x56, 0x86, 0xc5, 0xcf, 0x72, 0xf1},
                                                 {0xc6, 0x80, 0xaa, 0x5c, 0xef, 0x12, 0x1a, 0x40,
                                                  0xb3, 0x64, 0xec, 0x59, 0xa9, 0x3a, 0xbe, 0x3f},
                                                 {0x0e, 0x5b, 0xdc, 0x70, 0xc0, 0x0c, 0xd5, 0x4c,
                                                  0x97, 0xbb, 0xff, 0x0b, 0xa2, 0x5b, 0xf3, 0x20}};
  constexpr std::uint64_t kEntry = 24;
  constexpr std::uint64_t kRoom = platform::kBlobPages * kPage;
  const unsigned char* const guid = kGuids[static_cast<unsigned>(which)];
  for (unsigned n = 0; n < 4; ++n) {
    const std::uint64_t entry = platform::kBlobs + n * kEntry;
    bool same = true;
    for (unsigned i = 0; i < 16; ++i)
      same = same && at<unsigned char>(shared(entry + i)) == guid[i];
    if (!same) continue;
    const std::uint32_t offset = at<std::uint32_t>(shared(entry + 16));
    const std::uint32_t size = at<std::uint32_t>(shared(entry + 20));
    if (offset > kRoom || size > kRoom - offset) return {0, 0};
    return {platform::kBlobs + offset, size};
  }
  return {0, 0};
}

bool tdi_info(std::uint32_t device, bool with_blobs, TdiInfo& info) {
  static_assert(sizeof(TdiInfo) == 192);
  const unsigned char request[16] = {static_cast<unsigned char>(device),
                                     static_cast<unsigned char>(device >> 8)};
  constexpr std::uint64_t kState = 1;
  constexpr std::uint64_t kAllBlobs = 0xe;  // certificates, measurements, report
  return ask(device, kTdiInfo, with_blobs ? kState | kAllBlobs : kState, request, sizeof request,
             &info, sizeof info);
}

std::uint32_t mmio_validate(std::uint32_t device, std::uint16_t range, std::uint64_t gpa,
                            std::uint32_t offset, std::uint32_t pages, bool valid) {
  unsigned char request[48] = {};
  put(request, device, 2);
  put(request + 16, gpa, 8);
  put(request + 24, pages, 4);
  put(request + 28, offset, 4);
  put(request + 32, valid ? 1 : 0, 2);
  put(request + 34, range, 2);
  unsigned order = 0;
  while (std::uint32_t{1} << order < pages) ++order;
  const std::uint64_t rdx = gpa | std::uint64_t{order} << 4 | (valid ? 8U : 0U) | (range & 7U);
  unsigned char response[48] = {};
  if (!ask(device, kMmioValidate, rdx, request, sizeof request, response, sizeof response))
    return ~0U;
  return response[2] | std::uint32_t{response[3]} << 8;
}

std::uint32_t sdte_write(std::uint32_t device, bool on) {
  unsigned char request[80] = {};
  put(request, device, 2);
  // struct sdte: v, ir and iw; VMPL 0, no vTOM: every address is private.
  constexpr std::uint64_t kValid = 1 | std::uint64_t{1} << 61 | std::uint64_t{1} << 62;
  if (on) put(request + 16, kValid, 8);
  unsigned char response[16] = {};
  if (!ask(device, kSdteWrite, on ? 1 : 0, request, sizeof request, response, sizeof response))
    return ~0U;
  return response[2] | std::uint32_t{response[3]} << 8;
}

}  // namespace sev

namespace host {

void port_out(std::uint16_t port, unsigned size, std::uint64_t value) {
  sev::give(sev::kRax, value);
  sev::exit_to_host(sev::kIo, std::uint64_t{port} << 16 | size << 4, 0);
}

std::uint64_t mmio_read(std::uint64_t gpa, unsigned size) {
  sev::field(sev::kBuffer) = 0;
  sev::give(sev::kScratch, platform::kGhcb + sev::kBuffer);
  sev::exit_to_host(sev::kMmioRead, gpa, size);
  return sev::field(sev::kBuffer);
}

void mmio_write(std::uint64_t gpa, unsigned size, std::uint64_t value) {
  sev::field(sev::kBuffer) = value;
  sev::give(sev::kScratch, platform::kGhcb + sev::kBuffer);
  sev::exit_to_host(sev::kMmioWrite, gpa, size);
}

void wait() { asm volatile("hlt"); }

}  // namespace host
