// A Normal world for TF-RMM's fake_host program (README.md): it takes the program's place as
// host at the first connect() of its own, brings a device up to RUN and down again, and ends the
// program. Every step is a line: ok, or not ok with what the monitor said.
#include <dlfcn.h>
#include <openssl/core_names.h>
#include <openssl/x509.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstdio>
#include <cstring>
#include <exception>
#include <memory>
#include <stdexcept>

#include "device_link.h"
#include "monitor.h"

namespace normal_world {
namespace {

constexpr std::uint64_t kTdi = 0x100;  // 01:00.0, behind the root port 00:00.0

enum class Object : std::uint8_t { kVca, kCertificate, kMeasurements, kReport };
enum class PdevState : std::uint8_t { kNew, kNeedsKey, kHasKey, kReady, kStopped, kError };
enum class VdevState : std::uint8_t { kNew, kUnlocked, kLocked, kStarted, kError };

/// RmiDevCommData.
constexpr std::uint64_t kExit = 0x800;
enum Flags : std::uint64_t {
  kCacheRequest = 1U << 0U,
  kCacheResponse = 1U << 1U,
  kSend = 1U << 2U,
  kStreamWait = 1U << 6U,
};

class Story {
 public:
  explicit Story(int socket) : device_(socket) {}
  int tell();

 private:
  void open();
  void stream(Rmi command, const char* name);
  void bind();
  void unbind();
  void close();

  void step(const char* what, bool good, std::uint64_t said);
  void good(const char* what, const Result& result) { step(what, result.ok(), result.x[0]); }
  /// Refused as docs/firmware/rmm.md says.
  void refused(const char* what, const Result& result, Status with) {
    step(what, result.status() == with, result.x[0]);
  }
  void is(const char* what, PdevState wanted) {
    const std::uint64_t state = monitor_.call(Rmi::kPdevGetState, {pdev_}).x[1];
    step(what, state == static_cast<std::uint64_t>(wanted), state);
  }
  void is(const char* what, VdevState wanted) {
    const std::uint64_t state = monitor_.call(Rmi::kVdevGetState, {vdev_}).x[1];
    step(what, state == static_cast<std::uint64_t>(wanted), state);
  }
  /// Drives a communication, up to its end or to where the stream's other end comes first.
  Result drive(Rmi command, std::initializer_list<std::uint64_t> objects);
  Result drive_pdev(std::uint64_t pdev) { return drive(Rmi::kPdevCommunicate, {pdev}); }
  Result drive_vdev() { return drive(Rmi::kVdevCommunicate, {realm_, pdev_, vdev_}); }
  void keep(std::uint64_t buffer, std::uint64_t offset);
  /// The device's key, out of its chain, as RmiPublicKeyParams.
  std::uint64_t key();

  Monitor monitor_;
  DeviceLink device_;
  std::vector<std::byte> objects_[4];
  std::uint64_t data_ = monitor_.page(), request_ = monitor_.page(), response_ = monitor_.page();
  std::uint64_t realm_ = monitor_.realm(), pdev_ = monitor_.granule(), port_ = monitor_.granule();
  std::uint64_t vdev_ = monitor_.granule(), handle_ = 0;
  int failed_ = 0, steps_ = 0;
};

void Story::step(const char* what, bool good, std::uint64_t said) {
  ++steps_;
  failed_ += good ? 0 : 1;
  std::printf("%s %d - %s", good ? "ok" : "not ok", steps_, what);
  if (!good) std::printf(": %#llx", static_cast<unsigned long long>(said));
  std::puts("");
  std::fflush(stdout);
  if (!good) throw std::runtime_error("the rest builds on that step");
}

void Story::keep(std::uint64_t buffer, std::uint64_t offset) {
  const auto object = at<std::uint8_t>(data_, kExit + 0x28) & 3U;
  const auto* bytes = &at<std::byte>(buffer, at<std::uint64_t>(data_, kExit + offset));
  const auto size = at<std::uint64_t>(data_, kExit + offset + 8);
  objects_[object].insert(objects_[object].end(), bytes, bytes + size);
}

Result Story::drive(Rmi command, std::initializer_list<std::uint64_t> objects) {
  std::memset(&at<std::byte>(data_), 0, kPage);
  at<std::uint64_t>(data_, 0x8) = request_;
  at<std::uint64_t>(data_, 0x10) = response_;
  for (;;) {
    const std::uint64_t* o = objects.begin();
    const Result result = objects.size() == 1 ? monitor_.call(command, {o[0], data_})
                                              : monitor_.call(command, {o[0], o[1], o[2], data_});
    if (!result.ok()) return result;
    const auto flags = at<std::uint64_t>(data_, kExit);
    if ((flags & kCacheRequest) != 0) keep(request_, 0x8);
    if ((flags & kCacheResponse) != 0) keep(response_, 0x18);
    if (flags == 0 || (flags & kStreamWait) != 0) return result;
    at<std::uint8_t>(data_) = 0;
    at<std::uint64_t>(data_, 0x18) = 0;
    if ((flags & kSend) == 0) continue;
    const auto answer =
        device_.exchange({&at<std::byte>(request_), at<std::uint64_t>(data_, kExit + 0x40)},
                         at<std::uint8_t>(data_, kExit + 0x30) == 1);
    std::ranges::copy(answer, &at<std::byte>(response_));
    at<std::uint8_t>(data_) = answer.empty() ? 2 : 1;
    at<std::uint64_t>(data_, 0x18) = answer.size();
  }
}

std::uint64_t Story::key() {
  const auto& chain = objects_[static_cast<std::size_t>(Object::kCertificate)];
  const auto* next = reinterpret_cast<const unsigned char*>(chain.data());
  const auto* end = next + chain.size();
  std::unique_ptr<X509, decltype(&X509_free)> leaf(nullptr, X509_free);
  while (next < end) {
    X509* certificate = d2i_X509(nullptr, &next, end - next);
    if (certificate == nullptr) break;
    leaf.reset(certificate);
  }
  const std::uint64_t params = monitor_.page();
  constexpr std::size_t kMost = 1024;
  std::size_t size = 0;
  const bool point = leaf != nullptr && EVP_PKEY_get_octet_string_param(
                                            X509_get0_pubkey(leaf.get()), OSSL_PKEY_PARAM_PUB_KEY,
                                            &at<unsigned char>(params), kMost, &size) == 1;
  step("the chain is whole and ends with an ECDSA key", point && next == end, chain.size());
  at<std::uint64_t>(params, 0x800) = size;
  at<std::uint8_t>(params, 0x810) = size == 97 ? 2 : 1;  // P-384, P-256
  return params;
}

void Story::open() {
  monitor_.make_root_port();
  const std::uint64_t params = monitor_.page();
  at<std::uint64_t>(params, 0x08) = monitor_.host_bridge();
  good("RMI_PDEV_CREATE of the root port", monitor_.call(Rmi::kPdevCreate, {port_, params}));
  good("the root port is READY", drive_pdev(port_));
  at<std::uint64_t>(params, 0x00) = 1U | 1U << 1U;  // SPDM, an off-chip end point
  at<std::uint64_t>(params, 0x10) = kTdi;
  at<std::uint32_t>(params, 0x28) = kTdi;
  at<std::uint32_t>(params, 0x30) = kTdi + 1;
  at<std::uint8_t>(params, 0x38) = 1;  // SHA-512
  good("RMI_PDEV_CREATE of the end point", monitor_.finish(Rmi::kPdevCreate, {pdev_, params}));
  good("connection and certificates", drive_pdev(pdev_));
  is("NEEDS_KEY", PdevState::kNeedsKey);
  good("RMI_PDEV_SET_PUBKEY", monitor_.call(Rmi::kPdevSetPubkey, {pdev_, key()}));
  refused("a second RMI_PDEV_SET_PUBKEY", monitor_.call(Rmi::kPdevSetPubkey, {pdev_, key()}),
          Status::kDevice);
  good("the session", drive_pdev(pdev_));
  is("READY", PdevState::kReady);
}

/// Both ends of an operation of the stream, in turns, and its end.
void Story::stream(Rmi command, const char* name) {
  if (command == Rmi::kPdevStreamConnect) {
    const std::uint64_t params = monitor_.page();
    at<std::uint8_t>(params, 0x08) = 1;  // non-coherent
    at<std::uint64_t>(params, 0x10) = pdev_;
    at<std::uint64_t>(params, 0x18) = port_;
    const Result connected = monitor_.call(command, {params});
    good(name, connected);
    handle_ = connected.x[1];
  } else {
    good(name, monitor_.call(command, {pdev_, port_, handle_}));
  }
  for (const std::uint64_t pdev : {port_, pdev_, port_, pdev_}) good("a turn", drive_pdev(pdev));
  good("RMI_PDEV_STREAM_COMPLETE",
       monitor_.call(Rmi::kPdevStreamComplete, {pdev_, port_, handle_}));
}

void Story::bind() {
  const std::uint64_t params = monitor_.page();
  at<std::uint64_t>(params, 0x10) = kTdi;
  good("RMI_PSMMU_ACTIVATE",
       monitor_.finish(Rmi::kPsmmuActivate, {monitor_.psmmu(), monitor_.page()}));
  refused("RMI_VDEV_CREATE without a level-2 stream table",
          monitor_.call(Rmi::kVdevCreate, {realm_, pdev_, vdev_, params}), Status::kDevice);
  good("RMI_PSMMU_ST_L2_CREATE", monitor_.finish(Rmi::kPsmmuStL2Create, {monitor_.psmmu(), kTdi}));
  good("RMI_VDEV_CREATE", monitor_.call(Rmi::kVdevCreate, {realm_, pdev_, vdev_, params}));
  good("a step without a message", drive_vdev());
  is("UNLOCKED", VdevState::kUnlocked);
  refused("RMI_VDEV_START of an unlocked TDI",
          monitor_.call(Rmi::kVdevStart, {realm_, pdev_, vdev_}), Status::kDevice);
  refused("RMI_VDEV_GET_INTERFACE_REPORT of an unlocked TDI",
          monitor_.call(Rmi::kVdevGetInterfaceReport, {realm_, pdev_, vdev_}), Status::kDevice);

  good("RMI_VDEV_LOCK", monitor_.call(Rmi::kVdevLock, {realm_, pdev_, vdev_}));
  good("LOCK_INTERFACE", drive_vdev());
  is("LOCKED", VdevState::kLocked);
  good("RMI_VDEV_GET_MEASUREMENTS",
       monitor_.call(Rmi::kVdevGetMeasurements, {realm_, pdev_, vdev_, monitor_.page()}));
  good("MEASUREMENTS", drive_vdev());
  const std::size_t measured = objects_[static_cast<std::size_t>(Object::kMeasurements)].size();
  step("they are there", measured != 0, measured);
  good("RMI_VDEV_GET_INTERFACE_REPORT",
       monitor_.call(Rmi::kVdevGetInterfaceReport, {realm_, pdev_, vdev_}));
  good("DEVICE_INTERFACE_REPORT", drive_vdev());
  const std::size_t reported = objects_[static_cast<std::size_t>(Object::kReport)].size();
  step("it is there", reported >= 16, reported);
  good("RMI_VDEV_START", monitor_.call(Rmi::kVdevStart, {realm_, pdev_, vdev_}));
  good("START_INTERFACE", drive_vdev());
  is("STARTED", VdevState::kStarted);
}

void Story::unbind() {
  refused("RMI_VDEV_DESTROY of a started TDI",
          monitor_.call(Rmi::kVdevDestroy, {realm_, pdev_, vdev_}), Status::kDevice);
  refused("RMI_PDEV_STREAM_DISCONNECT under a VDEV",
          monitor_.call(Rmi::kPdevStreamDisconnect, {pdev_, port_, handle_}), Status::kDevice);
  good("RMI_VDEV_UNLOCK", monitor_.call(Rmi::kVdevUnlock, {realm_, pdev_, vdev_}));
  good("STOP_INTERFACE", drive_vdev());
  is("UNLOCKED again", VdevState::kUnlocked);
  good("RMI_VDEV_DESTROY", monitor_.call(Rmi::kVdevDestroy, {realm_, pdev_, vdev_}));
  good("RMI_PSMMU_ST_L2_DESTROY",
       monitor_.finish(Rmi::kPsmmuStL2Destroy, {monitor_.psmmu(), kTdi}));
  good("RMI_PSMMU_DEACTIVATE", monitor_.finish(Rmi::kPsmmuDeactivate, {monitor_.psmmu()}));
}

void Story::close() {
  refused("RMI_PDEV_STOP with a stream", monitor_.call(Rmi::kPdevStop, {pdev_}), Status::kDevice);
  stream(Rmi::kPdevStreamDisconnect, "RMI_PDEV_STREAM_DISCONNECT");
  good("RMI_PDEV_STOP", monitor_.call(Rmi::kPdevStop, {pdev_}));
  good("END_SESSION", drive_pdev(pdev_));
  is("STOPPED", PdevState::kStopped);
  good("RMI_PDEV_DESTROY", monitor_.finish(Rmi::kPdevDestroy, {pdev_}));
  good("RMI_PDEV_STOP of the root port", monitor_.call(Rmi::kPdevStop, {port_}));
  good("its step", drive_pdev(port_));
  good("RMI_PDEV_DESTROY of the root port", monitor_.call(Rmi::kPdevDestroy, {port_}));
}

int Story::tell() {
  try {
    open();
    stream(Rmi::kPdevStreamConnect, "RMI_PDEV_STREAM_CONNECT");
    stream(Rmi::kPdevStreamKeyRefresh, "RMI_PDEV_STREAM_KEY_REFRESH");
    bind();
    unbind();
    close();
  } catch (const std::exception& why) {
    std::printf("Bail out! %s\n", why.what());
  }
  std::printf("1..%d\n", steps_);
  std::fflush(stdout);
  return failed_ == 0 ? 0 : 1;
}

}  // namespace
}  // namespace normal_world

/// The program's host wants to talk to its device: from here on this one is the host.
extern "C" int connect(int socket, const sockaddr* address, socklen_t size) {
  using Connect = int (*)(int, const sockaddr*, socklen_t);
  const auto real = reinterpret_cast<Connect>(::dlsym(RTLD_NEXT, "connect"));
  const int failed = real(socket, address, size);
  if (failed != 0 || address->sa_family != AF_INET) return failed;
  int status = 1;
  try {
    status = normal_world::Story(::dup(socket)).tell();
  } catch (const std::exception& why) {
    std::printf("Bail out! %s\n", why.what());
    std::fflush(stdout);
  }
  ::_exit(status);
}
