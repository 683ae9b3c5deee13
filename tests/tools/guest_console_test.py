#!/usr/bin/env -S python3 -B
"""A guest's answers are read as its programs wrote them, wherever the kernel's own lines fall.

  guest_console_test.py FOLDER-OF-GUEST.PY
"""

import sys

sys.path.insert(0, sys.argv[1])
import guest  # noqa: E402

TIMED = "[    5.123456] "
CASES = {
    # The kernel speaks in the middle of an answer, before its end, and behind it.
    f"ins{TIMED}teeio_tsm 0000:02:00.0: tsm0\r\nmod = ok\r\n": "insmod = ok",
    f"insmod = ok\r{TIMED}pci 0000:01:00.0: reset\r\n\n": "insmod = ok",
    f"insmod = ok\r\n<4>{TIMED}[    T1] two\r\n{TIMED}lines\r\n": "insmod = ok",
    f"insmod = ok\r\n{TIMED}cut off by the power": "insmod = ok",
    # What a program says in brackets is its own.
    "irq: [12] = ok\r\n": "irq: [12] = ok",
}


def main():
    for raw, expected in CASES.items():
        console = guest.Console(["printf", "%s", raw])
        assert console.read_until("= ok", 60), raw
        assert console.finish(60) == 0
        assert console.text.split("\n")[0].strip() == expected, (raw, console.text)
        assert console.raw == raw
    print(f"{len(CASES)} consoles read")


if __name__ == "__main__":
    main()
