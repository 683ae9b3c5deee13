// A device has no poll operation: poll finds it ready, epoll refuses it, as
// Linux does for a VFIO device. An eventfd is the program's own and works.
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/select.h>

#include "programs/check.h"

int main() {
  const int fd = open_device();
  pollfd state = {fd, POLLIN | POLLOUT, 0};
  CHECK(poll(&state, 1, 0) == 1 && state.revents == (POLLIN | POLLOUT));
  fd_set set;
  FD_ZERO(&set);
  FD_SET(fd, &set);
  timeval now = {0, 0};
  CHECK(select(fd + 1, &set, nullptr, nullptr, &now) == 1);
  const int epoll = epoll_create1(0);
  epoll_event event = {EPOLLIN, {}};
  CHECK_ERRNO(epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &event), EPERM);
  const int irq = eventfd(0, 0);
  CHECK(epoll_ctl(epoll, EPOLL_CTL_ADD, irq, &event) == 0);
  CHECK(epoll_wait(epoll, &event, 1, 0) == 0);
  CHECK(ioctl(fd, DUMMY_SIGNAL, irq) == 0);
  CHECK(epoll_wait(epoll, &event, 1, 0) == 1);
  eventfd_t count = 0;
  CHECK(eventfd_read(irq, &count) == 0 && count == 1);
  CHECK_ERRNO(ioctl(fd, DUMMY_SIGNAL, 0), EINVAL);
  CHECK_ERRNO(ioctl(fd, DUMMY_SIGNAL, fd), EINVAL);
  CHECK_ERRNO(ioctl(fd, DUMMY_SIGNAL, 555), EBADF);
}
