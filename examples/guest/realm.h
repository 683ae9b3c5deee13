// A realm's words: SMC to its monitor (RSI), and through it to the host (RHI).
// Sources: DEN0137 (RMM), chapter "Realm Services Interface", with device assignment as
// TF-RMM has it (lib/smc/include/smc-rsi.h); DEN0148 (RHI).
#pragma once

#include <cstdint>

extern "C" void smc(std::uint64_t* registers);  // x0-x9, in and out

namespace rsi {

// Each gives the status: 0 is success.
std::uint64_t version();
std::uint64_t realm_config(unsigned& address_bits);
enum class Ripas : std::uint64_t { kEmpty, kRam };
// All of it, or an error. `destroyed`: also what the host has taken away.
std::uint64_t set_state(std::uint64_t base, std::uint64_t top, Ripas ripas, bool destroyed);
std::uint64_t get_state(std::uint64_t base, std::uint64_t& ripas);

// The realm's own measurements (SHA-256: four words), of which it extends 1 to 4; and a token
// with them and with the challenge.
constexpr unsigned kMeasurementWords = 4;
std::uint64_t measurement(std::uint64_t slot, std::uint64_t (&words)[kMeasurementWords]);
std::uint64_t extend(std::uint64_t slot, const unsigned char* value, std::uint64_t size);
constexpr unsigned kChallenge = 64;
std::uint64_t begin_token(const unsigned char (&challenge)[kChallenge], std::uint64_t& most);
// All of it, into a page of the realm's, or an error.
std::uint64_t token(std::uint64_t page, std::uint64_t& size);

// Devices. `device` is the host's name for a function.
struct alignas(512) DeviceInfo {
  std::uint64_t flags;
  std::uint64_t certificate_slot;
  std::uint64_t hash;  // 1: SHA-512
  std::uint64_t lock_nonce, measurement_nonce, report_nonce;
  std::uint64_t format, format_version;
  std::uint64_t state;
  std::uint64_t reserved[7];
  unsigned char vca[64], certificate[64], public_key[64], measurements[64], report[64];
  std::uint64_t smmu, stream;
  std::uint64_t padding[6];
};
static_assert(sizeof(DeviceInfo) == 512);
constexpr std::uint64_t kLocked = 1;
constexpr std::uint64_t kStarted = 2;
std::uint64_t device_info(std::uint64_t device, DeviceInfo& info);
std::uint64_t validate_mapping(std::uint64_t device, std::uint64_t base, std::uint64_t size,
                               std::uint64_t pa, const DeviceInfo& info);
std::uint64_t dma_enable(std::uint64_t device, const DeviceInfo& info);
std::uint64_t dma_disable(std::uint64_t device);

}  // namespace rsi

namespace rhi {

// Each gives the host's status: 0 is success.
constexpr std::uint64_t kAllFeatures = 0x3b;  // but CONTINUE and ABORT
constexpr std::uint64_t kContinueAndAbort = 1U << 2U | 1U << 7U;
std::uint64_t features(std::uint64_t& bits);
enum class State : std::uint64_t { kUnlocked, kLocked, kRun };
std::uint64_t set_state(std::uint64_t device, State state);
// Asks for a state, and leaves it at that: true where the host has only begun.
bool begin_state(std::uint64_t device, State state, std::uint64_t& handle);
std::uint64_t go_on(std::uint64_t device, std::uint64_t handle);
std::uint64_t abort(std::uint64_t device);
std::uint64_t get_report(std::uint64_t device);
std::uint64_t get_measurements(std::uint64_t device, std::uint64_t parameters_gpa);
enum class Object : std::uint64_t { kVca, kCertificates, kMeasurements, kReport };
std::uint64_t object_size(std::uint64_t device, Object object, std::uint64_t& size);
std::uint64_t object_read(std::uint64_t device, Object object, std::uint64_t size,
                          std::uint64_t buffer_gpa);

// What get_measurements() is given, in shared memory.
struct MeasureParameters {
  std::uint64_t flags;
  unsigned char reserved[248];
  unsigned char nonce[32];
  unsigned char reserved2[224];
};
static_assert(sizeof(MeasureParameters) == 512);

}  // namespace rhi
