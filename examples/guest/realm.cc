#include "realm.h"

#include "host.h"
#include "platform.h"

namespace {

constexpr std::uint64_t kFirstCall = 0xc400'0190;
enum Call : std::uint64_t {
  kVersion = kFirstCall,
  kMeasurementRead = kFirstCall + 0x02,
  kMeasurementExtend = kFirstCall + 0x03,
  kTokenInit = kFirstCall + 0x04,
  kTokenContinue = kFirstCall + 0x05,
  kRealmConfig = kFirstCall + 0x06,
  kIpaStateSet = kFirstCall + 0x07,
  kIpaStateGet = kFirstCall + 0x08,
  kHostCall = kFirstCall + 0x09,
  kDmaEnable = kFirstCall + 0x0c,
  kGetInfo = kFirstCall + 0x0d,
  kValidateMapping = kFirstCall + 0x0f,
  kDmaDisable = kFirstCall + 0x14,
};

constexpr std::uint64_t kVersion1_1 = 0x1'0001;
constexpr std::uint64_t kError = 1;
constexpr std::uint64_t kIncomplete = 3;

std::uint64_t address(const void* p) { return reinterpret_cast<std::uint64_t>(p); }

}  // namespace

std::uint64_t rsi::version() {
  std::uint64_t x[10] = {kVersion, kVersion1_1};
  smc(x);
  return x[0];
}

std::uint64_t rsi::realm_config(unsigned& address_bits) {
  alignas(platform::kPage) static std::uint64_t page[platform::kPage / 8];
  std::uint64_t x[10] = {kRealmConfig, address(page)};
  smc(x);
  address_bits = static_cast<unsigned>(page[0]);
  return x[0];
}

std::uint64_t rsi::set_state(std::uint64_t base, std::uint64_t top, Ripas ripas, bool destroyed) {
  while (base < top) {
    std::uint64_t x[10] = {kIpaStateSet, base, top, static_cast<std::uint64_t>(ripas),
                           destroyed ? 1U : 0U};
    smc(x);
    // x2: the host rejects the rest.
    if (x[0] != 0) return x[0];
    if (x[2] != 0 || x[1] <= base) return kError;
    base = x[1];
  }
  return 0;
}

std::uint64_t rsi::get_state(std::uint64_t base, std::uint64_t& ripas) {
  std::uint64_t x[10] = {kIpaStateGet, base, base + platform::kPage};
  smc(x);
  ripas = x[2];
  return x[0];
}

namespace {

// Bytes as registers have them; those of the last word that are not there are zero.
void put(std::uint64_t* words, const unsigned char* bytes, std::uint64_t size) {
  for (std::uint64_t i = 0; i < size; ++i) words[i / 8] |= std::uint64_t{bytes[i]} << 8 * (i % 8);
}

}  // namespace

std::uint64_t rsi::measurement(std::uint64_t slot, std::uint64_t (&words)[kMeasurementWords]) {
  std::uint64_t x[10] = {kMeasurementRead, slot};
  smc(x);
  for (unsigned i = 0; i < kMeasurementWords; ++i) words[i] = x[1 + i];
  return x[0];
}

std::uint64_t rsi::extend(std::uint64_t slot, const unsigned char* value, std::uint64_t size) {
  constexpr std::uint64_t kRoom = 7 * 8;  // x3 to x9
  if (size > kRoom) return kError;
  std::uint64_t x[10] = {kMeasurementExtend, slot, size};
  put(x + 3, value, size);
  smc(x);
  return x[0];
}

std::uint64_t rsi::begin_token(const unsigned char (&challenge)[kChallenge], std::uint64_t& most) {
  std::uint64_t x[10] = {kTokenInit};
  put(x + 1, challenge, kChallenge);
  smc(x);
  most = x[1];
  return x[0];
}

std::uint64_t rsi::token(std::uint64_t page, std::uint64_t& size) {
  size = 0;
  for (;;) {
    std::uint64_t x[10] = {kTokenContinue, page, size, platform::kPage - size};
    smc(x);
    asm volatile("" ::: "memory");
    size += x[1];
    if (x[0] != kIncomplete) return x[0];
    if (size == platform::kPage) return kError;
  }
}

std::uint64_t rsi::device_info(std::uint64_t device, DeviceInfo& info) {
  std::uint64_t x[10] = {kGetInfo, device, address(&info)};
  smc(x);
  asm volatile("" ::: "memory");
  return x[0];
}

std::uint64_t rsi::validate_mapping(std::uint64_t device, std::uint64_t base, std::uint64_t size,
                                    std::uint64_t pa, const DeviceInfo& info) {
  const std::uint64_t top = base + size;
  while (base < top) {
    std::uint64_t x[10] = {
        kValidateMapping,       device,           base, top, pa, 0, info.lock_nonce,
        info.measurement_nonce, info.report_nonce};
    smc(x);
    if (x[0] != 0) return x[0];
    if (x[2] != 0 || x[1] <= base) return kError;
    pa += x[1] - base;
    base = x[1];
  }
  return 0;
}

std::uint64_t rsi::dma_enable(std::uint64_t device, const DeviceInfo& info) {
  std::uint64_t x[10] = {kDmaEnable,       device, 0, 0, info.lock_nonce, info.measurement_nonce,
                         info.report_nonce};
  smc(x);
  return x[0];
}

std::uint64_t rsi::dma_disable(std::uint64_t device) {
  std::uint64_t x[10] = {kDmaDisable, device};
  smc(x);
  return x[0];
}

namespace {

// A call of the host's: its number and arguments in, its status and results out.
struct alignas(256) HostCall {
  std::uint64_t imm;
  std::uint64_t gprs[31];
};

std::uint64_t host_call(HostCall& call) {
  std::uint64_t x[10] = {kHostCall, address(&call)};
  smc(x);
  asm volatile("" ::: "memory");
  return x[0] != 0 ? x[0] << 32 : call.gprs[0];
}

enum Rhi : std::uint64_t {
  kFeatures = 0xc500'004b,
  kObjectSize = 0xc500'004c,
  kObjectRead = 0xc500'004d,
  kContinue = 0xc500'0051,
  kGetMeasurements = 0xc500'0052,
  kGetReport = 0xc500'0053,
  kSetTdiState = 0xc500'0054,
  kAbort = 0xc500'0056,
};
constexpr std::uint64_t kBegun = 1;  // RHI_DA_ERROR_INCOMPLETE

// A call to its end: the host may only begin it, and go on when it is asked to. Linux's guest
// does the same (rhi_vdev_set_tdi_state()).
std::uint64_t to_the_end(HostCall call) {
  const std::uint64_t device = call.gprs[1];
  std::uint64_t status = host_call(call);
  const std::uint64_t handle = call.gprs[1];
  while (status == kBegun) status = rhi::go_on(device, handle);
  return status;
}

}  // namespace

std::uint64_t rhi::features(std::uint64_t& bits) {
  HostCall call{0, {kFeatures}};
  bits = host_call(call);
  return bits == ~std::uint64_t{0} ? kError : 0;
}

std::uint64_t rhi::set_state(std::uint64_t device, State state) {
  return to_the_end({0, {kSetTdiState, device, static_cast<std::uint64_t>(state)}});
}

bool rhi::begin_state(std::uint64_t device, State state, std::uint64_t& handle) {
  HostCall call{0, {kSetTdiState, device, static_cast<std::uint64_t>(state)}};
  const std::uint64_t status = host_call(call);
  handle = call.gprs[1];
  return status == kBegun;
}

std::uint64_t rhi::go_on(std::uint64_t device, std::uint64_t handle) {
  HostCall call{0, {kContinue, device, handle}};
  return host_call(call);
}

std::uint64_t rhi::abort(std::uint64_t device) {
  HostCall call{0, {kAbort, device}};
  return host_call(call);
}

std::uint64_t rhi::get_report(std::uint64_t device) {
  return to_the_end({0, {kGetReport, device}});
}

std::uint64_t rhi::get_measurements(std::uint64_t device, std::uint64_t parameters_gpa) {
  return to_the_end({0, {kGetMeasurements, device, parameters_gpa}});
}

std::uint64_t rhi::object_size(std::uint64_t device, Object object, std::uint64_t& size) {
  HostCall call{0, {kObjectSize, device, static_cast<std::uint64_t>(object)}};
  const std::uint64_t status = host_call(call);
  size = call.gprs[1];
  return status;
}

std::uint64_t rhi::object_read(std::uint64_t device, Object object, std::uint64_t size,
                               std::uint64_t buffer_gpa) {
  HostCall call{0, {kObjectRead, device, static_cast<std::uint64_t>(object), 0, size, buffer_gpa}};
  return host_call(call);
}

// Emulated accesses, which the host sees as data aborts outside of the protected half.
namespace host {

namespace {
template <class T>
volatile T& emulated_at(std::uint64_t gpa) {
  return *reinterpret_cast<volatile T*>(platform::kUnprotected + gpa);
}
}  // namespace

std::uint64_t mmio_read(std::uint64_t gpa, unsigned size) {
  if (size == 1) return emulated_at<std::uint8_t>(gpa);
  if (size == 2) return emulated_at<std::uint16_t>(gpa);
  return size == 4 ? emulated_at<std::uint32_t>(gpa) : emulated_at<std::uint64_t>(gpa);
}

void mmio_write(std::uint64_t gpa, unsigned size, std::uint64_t value) {
  if (size == 1)
    emulated_at<std::uint8_t>(gpa) = static_cast<std::uint8_t>(value);
  else if (size == 2)
    emulated_at<std::uint16_t>(gpa) = static_cast<std::uint16_t>(value);
  else if (size == 4)
    emulated_at<std::uint32_t>(gpa) = static_cast<std::uint32_t>(value);
  else
    emulated_at<std::uint64_t>(gpa) = value;
}

void port_out(std::uint16_t port, unsigned, std::uint64_t value) {
  mmio_write(platform::kPorts + 16ULL * (port & 0xff), 4, value);
}

void wait() { asm volatile("wfi"); }

}  // namespace host
