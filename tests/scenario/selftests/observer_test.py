#!/usr/bin/env -S python3 -B
"""What the observer answers, and what it leaves to the kernel. /dev/null stands for a
kernel that does not know the call.

  LD_PRELOAD=kernel_selftests_observer.so observer_test.py
"""

import array
import errno
import fcntl
import os
import unittest

IOMMU_TEST_CMD = 0x3BA0
ADD_RESERVED, MOCK_DOMAIN, CHECK_MAP, CHECK_REFS, MEMORY_LIMIT = 1, 2, 3, 4, 9


def ask(op, *words, fd=None, request=IOMMU_TEST_CMD):
    """errno of the call, 0 for success. `words` follow struct iommu_test_cmd's head."""
    words = [*words, *[0] * (10 - len(words))]
    try:
        fcntl.ioctl(NULL if fd is None else fd, request, array.array("I", [56, op, 0, 0, *words]))
    except OSError as error:
        return error.errno
    return 0


def pins(number):
    return [4096, 0, 0, 0, number]  # length and address have 64 bits


class Observer(unittest.TestCase):
    def test_no_page_is_pinned(self):
        self.assertEqual(ask(CHECK_REFS, *pins(0)), 0)
        self.assertEqual(ask(CHECK_REFS, *pins(1)), errno.EIO)

    def test_a_limit_that_the_kernel_would_refuse_is_refused(self):
        self.assertEqual(ask(MEMORY_LIMIT, 65536), 0)
        self.assertEqual(ask(MEMORY_LIMIT, 11), errno.EINVAL)

    def test_what_does_more_than_watch_stays_with_the_kernel(self):
        for op in range(32):
            if op not in (CHECK_REFS, MEMORY_LIMIT):
                self.assertEqual(ask(op), errno.ENOTTY, op)
        self.assertEqual(ask(CHECK_REFS, *pins(0), request=0x3B80), errno.ENOTTY)

    def test_the_kernel_is_asked_first(self):
        self.assertEqual(ask(CHECK_REFS, *pins(0), fd=CLOSED), errno.EBADF)


NULL = os.open("/dev/null", os.O_RDWR)
CLOSED = 1000
unittest.main()
