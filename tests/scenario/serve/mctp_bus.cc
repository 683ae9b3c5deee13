// mctp_bus COMMAND…: an MCTP network of its own for COMMAND, in a network namespace of its own.
// At this end of its wire is the kernel (EID 8), at the other one a device (EID 9), which carries
// messages to a `teeio serve --transport mctp` on 127.0.0.1:2323 and back. The wire is a TUN device
// that takes packets of 68 bytes, so that the kernel's own code takes every message apart and puts
// it together. Exit status: COMMAND's; 77 where the kernel has no AF_MCTP or no TUN device.
//
// Source: Linux net/mctp/route.c (mctp_do_fragment_route(), mctp_pkttype_receive(),
// mctp_newroute()) and device.c (mctp_rtm_newaddr()), which take TUN devices as they are
// (mctp_known()); DSP0236, 8.1.

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_ether.h>
#include <linux/if_tun.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstring>
#include <optional>
#include <vector>

namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::uint8_t kHost = 8;
constexpr std::uint8_t kDevice = 9;
constexpr std::size_t kHeader = 4;
constexpr std::size_t kPayload = 64;  // DSP0236: the baseline transmission unit
constexpr std::uint8_t kFirst = 0x80;
constexpr std::uint8_t kLast = 0x40;
constexpr std::uint8_t kOwner = 0x08;
constexpr std::uint8_t kTag = 0x07;
constexpr unsigned kSequenceShift = 4;
constexpr std::uint16_t kPort = 2323;
constexpr int kSkipped = 77;

int skip(const char* why) {
  std::printf("skipped: %s\n", why);
  return kSkipped;
}

bool set(int socket, const char* name, unsigned long what, void (*how)(ifreq&)) {
  ifreq request{};
  std::strncpy(request.ifr_name, name, IFNAMSIZ - 1);
  how(request);
  return ::ioctl(socket, what, &request) == 0;
}

bool bring_up(int socket, const char* name) {
  return set(socket, name, SIOCSIFFLAGS, [](ifreq& request) { request.ifr_flags = IFF_UP; });
}

/// A message of rtnetlink with the attributes' bytes behind it, and whether it was taken.
template <class Head>
bool tell(int type, const Head& head, const Bytes& attributes) {
  Bytes message(NLMSG_LENGTH(sizeof(Head)));
  message.insert(message.end(), attributes.begin(), attributes.end());
  nlmsghdr begin{};
  begin.nlmsg_len = static_cast<std::uint32_t>(message.size());
  begin.nlmsg_type = static_cast<std::uint16_t>(type);
  begin.nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL;
  std::memcpy(message.data(), &begin, sizeof(begin));
  std::memcpy(message.data() + NLMSG_HDRLEN, &head, sizeof(head));
  const int link = ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  std::array<char, 4096> answer{};
  bool taken =
      ::send(link, message.data(), message.size(), 0) > 0 &&
      ::recv(link, answer.data(), answer.size(), 0) >= long(NLMSG_LENGTH(sizeof(nlmsgerr)));
  int error = 0;
  std::memcpy(&error, answer.data() + NLMSG_HDRLEN, sizeof(error));
  ::close(link);
  return taken && error == 0;
}

void attribute(Bytes& to, std::uint16_t type, const void* value, std::uint16_t size) {
  const rtattr head{static_cast<std::uint16_t>(RTA_LENGTH(size)), type};
  const std::size_t at = to.size();
  to.resize(at + RTA_SPACE(size));
  std::memcpy(&to[at], &head, sizeof(head));
  std::memcpy(&to[at + RTA_LENGTH(0)], value, size);
}

bool give_addresses(unsigned interface) {
  ifaddrmsg ours{};
  ours.ifa_family = AF_MCTP;
  ours.ifa_index = interface;
  Bytes local;
  attribute(local, IFA_LOCAL, &kHost, 1);
  rtmsg route{};
  route.rtm_family = AF_MCTP;
  route.rtm_type = RTN_UNICAST;
  Bytes way;
  attribute(way, RTA_DST, &kDevice, 1);
  attribute(way, RTA_OIF, &interface, sizeof(interface));
  return tell(RTM_NEWADDR, ours, local) && tell(RTM_NEWROUTE, route, way);
}

/// The wire's far end; -1: there is none to be had.
int make_wire() {
  const int control = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  const int wire = ::open("/dev/net/tun", O_RDWR | O_CLOEXEC);
  ifreq request{};
  request.ifr_flags = IFF_TUN;
  std::strncpy(request.ifr_name, "mctp0", IFNAMSIZ - 1);
  if (wire < 0 || ::ioctl(wire, TUNSETIFF, &request) != 0) return -1;
  const bool made =
      bring_up(control, "lo") &&
      set(control, "mctp0", SIOCSIFMTU, [](ifreq& one) { one.ifr_mtu = kHeader + kPayload; }) &&
      bring_up(control, "mctp0") && give_addresses(::if_nametoindex("mctp0"));
  ::close(control);
  return made ? wire : -1;
}

bool take(int server, void* to, std::size_t size) {
  return size == 0 || ::recv(server, to, size, MSG_WAITALL) == static_cast<ssize_t>(size);
}

/// What the device answers to a message; of no bytes: nothing. nullopt: the server is gone.
std::optional<Bytes> ask(int server, const Bytes& message) {
  const auto size = static_cast<std::uint32_t>(message.size());
  std::array<std::uint32_t, 3> frame{htonl(1), htonl(1), htonl(size)};
  Bytes all(sizeof(frame));
  std::memcpy(all.data(), frame.data(), sizeof(frame));
  all.insert(all.end(), message.begin(), message.end());
  if (::send(server, all.data(), all.size(), MSG_NOSIGNAL) != static_cast<ssize_t>(all.size()))
    return std::nullopt;
  if (!take(server, frame.data(), sizeof(frame))) return std::nullopt;
  Bytes answer(ntohl(frame[2]));
  if (!take(server, answer.data(), answer.size())) return std::nullopt;
  return answer;
}

void put(int wire, const Bytes& message, std::uint8_t tag) {
  for (std::size_t at = 0; at < message.size(); at += kPayload) {
    const std::size_t size = std::min(kPayload, message.size() - at);
    const tun_pi head{0, htons(ETH_P_MCTP)};
    Bytes packet(sizeof(head));
    std::memcpy(packet.data(), &head, sizeof(head));
    const unsigned flags = (at == 0 ? kFirst : 0U) | (at + size == message.size() ? kLast : 0U) |
                           ((at / kPayload % 4) << kSequenceShift) | tag;
    packet.insert(packet.end(), {1, kHost, kDevice, static_cast<std::uint8_t>(flags)});
    packet.insert(packet.end(), message.begin() + long(at), message.begin() + long(at + size));
    (void)!::write(wire, packet.data(), packet.size());
  }
}

int connect_server() {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(kPort);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  const int server = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  if (::connect(server, reinterpret_cast<const sockaddr*>(&address), sizeof(address)) == 0)
    return server;
  ::close(server);
  return -1;
}

/// Messages from the wire, whole and one at a time, until the server is gone.
void be_the_device(int wire) {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  int server = -1;
  Bytes message;
  std::array<std::uint8_t, 2048> read{};
  for (;;) {
    const ssize_t got = ::read(wire, read.data(), read.size());
    const std::size_t before = sizeof(tun_pi) + kHeader;
    if (got <= static_cast<ssize_t>(before)) continue;
    const std::uint8_t* header = read.data() + sizeof(tun_pi);
    if (header[1] != kDevice || static_cast<std::size_t>(got) > before + kPayload) continue;
    if ((header[3] & kFirst) != 0) message.clear();
    message.insert(message.end(), read.begin() + long(before), read.begin() + got);
    if ((header[3] & (kLast | kOwner)) != (kLast | kOwner)) continue;
    if (server < 0) server = connect_server();
    const auto answer = ask(server, message);
    if (!answer) {  // it ended the connection: the next message begins anew
      ::close(server);
      server = -1;
      continue;
    }
    put(wire, *answer, header[3] & kTag);
  }
}

}  // namespace

int main(int count, char** words) {
  if (count < 2) return 125;
  // EINVAL: a kernel that has but one, as a guest's may.
  if (::unshare(CLONE_NEWNET) != 0 && errno != EINVAL)
    return skip("no network namespace of its own: not root");
  const int tried = ::socket(AF_MCTP, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  if (tried < 0) return skip("this kernel has no AF_MCTP");
  ::close(tried);
  const int wire = make_wire();
  if (wire < 0) return skip("no TUN device that MCTP goes through");
  const pid_t device = ::fork();
  if (device == 0) {
    be_the_device(wire);
    return 0;
  }
  const pid_t child = ::fork();
  if (child == 0) {
    ::execvp(words[1], words + 1);
    return 127;
  }
  int status = 0;
  ::waitpid(child, &status, 0);
  ::kill(device, SIGKILL);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
