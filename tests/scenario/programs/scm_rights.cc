// A descriptor sent over a socket works in the receiver, keeps the file alive
// while it is in flight, and releases it from there.
#include "programs/check.h"

static void send_fd(int socket, int fd) {
  char data = 0;
  iovec part = {&data, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(header), &fd, sizeof(fd));
  CHECK(sendmsg(socket, &message, 0) == 1);
}

static int receive_fd(int socket) {
  char data = 0;
  iovec part = {&data, 1};
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof(int))] = {};
  msghdr message = {};
  message.msg_iov = &part;
  message.msg_iovlen = 1;
  message.msg_control = control;
  message.msg_controllen = sizeof(control);
  CHECK(recvmsg(socket, &message, 0) == 1);
  int fd = -1;
  memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof(fd));
  return fd;
}

int main() {
  int pair[2];
  CHECK(socketpair(AF_UNIX, SOCK_STREAM, 0, pair) == 0);
  const int watch = open_device();
  const int fd = open_device();
  const int serial = ioctl(fd, DUMMY_SERIAL);
  send_fd(pair[0], fd);
  CHECK(close(fd) == 0);
  CHECK(ioctl(watch, DUMMY_RELEASED) == 0);
  const pid_t child = fork();
  if (child == 0) {
    const int got = receive_fd(pair[1]);
    CHECK(got < 768 && echoes(got) && ioctl(got, DUMMY_SERIAL) == serial);
    _exit(0);
  }
  CHECK(status_of(child) == 0);
  CHECK(ioctl(watch, DUMMY_RELEASED) == 1);
}
