#!/usr/bin/env python3
"""in_container_filter knows each capability that Linux has, and says so of a name that there is not.

  in_container_filter_test.py IN_CONTAINER_FILTER
"""

import importlib.machinery
import importlib.util
import subprocess
import sys

TOOL = sys.argv[1]
sys.dont_write_bytecode = True
loader = importlib.machinery.SourceFileLoader("in_container_filter", TOOL)
tool = importlib.util.module_from_spec(importlib.util.spec_from_loader(loader.name, loader))
loader.exec_module(tool)

for word in ("NET_ADMIM", "CAP_", "", "21"):
    done = subprocess.run([TOOL, "--cap-add", word, "/dev/null", "true"], capture_output=True, text=True)
    said = f"in_container_filter: --cap-add {word}: there is no such capability\n"
    assert (done.returncode, done.stderr) == (1, said), (word, done)
# Numbers by <linux/capability.h>, at both ends and between.
for word, number in (("CHOWN", 0), ("cap_net_admin", 12), ("CAP_SYS_ADMIN", 21), ("setfcap", 31),
                     ("CHECKPOINT_RESTORE", 40)):
    caps = tool.capabilities([word])
    name = "CAP_" + word.upper().removeprefix("CAP_")
    assert caps == tool.GIVEN | {name} and tool.NUMBERS[name] == number, (word, caps)
assert tool.capabilities([]) == tool.GIVEN <= set(tool.NUMBERS)
assert tool.capabilities(["ALL"]) == set(tool.NUMBERS) and len(tool.NUMBERS) == 41
