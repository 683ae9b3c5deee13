#!/usr/bin/env python3
"""tools/interop_rmm.py ends in a sentence, whatever its server and the monitor do.

  interop_rmm_test.py TOOLS
"""

import pathlib
import sys
import tempfile

sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv[1])
import interop_rmm  # noqa: E402

SHORT_S, LONG_S = 0.2, 30
LISTENS = 'if [ "$1" = decode ]; then echo no capture >&2; exit 2; fi\necho it listens\n'
FOR_EVER = "exec tail -f /dev/null\n"
# Traps come before it is said that anybody listens.
DEAF = "trap '' TERM\n" + LISTENS + FOR_EVER
ORDERLY = "trap 'exit 0' TERM\n" + LISTENS + "tail -f /dev/null & wait\n"
ILL = ORDERLY.replace("exit 0", "exit 7")
# The server, the monitor, the sentence.
CASES = ((DEAF, "", "did not stop within 0.2 s of SIGTERM"),
         (ILL, "", "the server ended with status 7"),
         (LISTENS + FOR_EVER, "", "the server ended with status -15"),
         (ORDERLY, "", "no capture"),
         (ORDERLY, "exit 3\n", "status 3"),
         (ORDERLY, "echo '\\0377'\n" + FOR_EVER, "no end within 0.2 s"))

for server, monitor, sentence in CASES:
    interop_rmm.STOP_S = SHORT_S if server == DEAF else LONG_S
    interop_rmm.TIME_S = SHORT_S if FOR_EVER in monitor else LONG_S
    with tempfile.TemporaryDirectory() as folder:
        for name, script in (("teeio", server), ("rmm.elf", monitor), *((app, "") for app in interop_rmm.APPS)):
            path = pathlib.Path(folder, name)
            path.write_text("#!/bin/sh\n" + script)
            path.chmod(0o755)
        why, said = interop_rmm.run(f"{folder}/teeio", folder, None)
        assert why is not None and sentence in why and isinstance(said, str), (sentence, why)
