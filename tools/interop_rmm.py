"""TF-RMM's fake_host program as the requester of a device that `teeio serve` has: tools/interop.

The program's own host takes the device as far as the monitor's sources do: connection, key, session,
IDE keys, their refresh, a VDEV that stays UNLOCKED, and down again. contrib/tf-rmm's host, preloaded,
takes it to RUN: LOCK_INTERFACE, measurements, interface report, START_INTERFACE, STOP_INTERFACE."""

import os
import pathlib
import re
import signal
import socket
import subprocess
import tempfile

PORT = 2323  # which the program knows
TIME_S = 120
STOP_S = 10
# TF-RMM 9a7f8ef46378 opens no session without HANDSHAKE_IN_THE_CLEAR, and asks IDE_KM of port 1.
SERVE = ("--capabilities", "+CLEAR_HANDSHAKE", "--ide-port", "1")
APPS = ("rmm_app_random.elf", "rmm_app_attestation.elf", "rmm_app_dev_assign.elf")
OF_ITS_OWN_HOST = ["KEY_EXCHANGE", "QUERY", "KEY_PROG", "K_SET_GO", "K_SET_STOP", "END_SESSION"]
OF_OURS = [*OF_ITS_OWN_HOST, "LOCK_INTERFACE", "GET_MEASUREMENTS", "GET_DEVICE_INTERFACE_REPORT",
           "START_INTERFACE", "STOP_INTERFACE"]


def missing(folder):
    """Why it cannot run; None: it can."""
    absent = [name for name in ("rmm.elf", *APPS) if not os.path.exists(os.path.join(folder, name))]
    if not folder or absent:
        return f"TF_RMM_DIR names no folder with {', '.join(absent or ['rmm.elf'])}"
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", PORT))
        except OSError:
            return f"port {PORT}, which TF-RMM's host connects to, is taken"
    return None


def place(folder, into):
    """The program with its applications beside it, and with nothing where it starts a responder."""
    for name in ("rmm.elf", *APPS):
        os.symlink(os.path.abspath(os.path.join(folder, name)), into / name)
    (into / "spdm_emu/keys").mkdir(parents=True)
    os.symlink("/bin/true", into / "spdm_emu/spdm_responder_emu")


def stop(server):
    """Ends the server in order; a sentence when it does not end so."""
    server.send_signal(signal.SIGTERM)
    try:
        server.wait(timeout=STOP_S)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()
        return f"the server did not stop within {STOP_S} s of SIGTERM"
    return None if server.returncode == 0 else f"the server ended with status {server.returncode}"


def run(teeio, folder, preload):
    """One life of the device. A sentence when it failed, and what was said."""
    with tempfile.TemporaryDirectory() as kept:
        here = pathlib.Path(kept)
        place(folder, here)
        files = (f"{kept}/p.pcap", "--keylog", f"{kept}/keys")
        server = subprocess.Popen([teeio, "serve", "--listen", f"127.0.0.1:{PORT}", *SERVE,
                                   "--pcap", *files], stdout=subprocess.PIPE, text=True)
        server.stdout.readline()
        environment = {**os.environ, **({"LD_PRELOAD": os.path.abspath(preload)} if preload else {})}
        try:
            monitor = subprocess.run([f"{kept}/rmm.elf"], capture_output=True, text=True,
                                     errors="replace", timeout=TIME_S, env=environment, check=False)
        except subprocess.TimeoutExpired as late:
            return f"no end within {TIME_S} s", (late.stdout or b"").decode(errors="replace")
        finally:
            unstopped = stop(server)
        seen = subprocess.run([teeio, "decode", *files], capture_output=True, text=True, check=False)
    said = monitor.stdout + monitor.stderr
    if unstopped:
        return unstopped, said
    wrong = [line for line in said.splitlines() if re.match(r"not ok|Bail out|.*ERROR", line)]
    if monitor.returncode != 0 or wrong:
        return f"status {monitor.returncode}: {'; '.join(wrong[:4]) or 'no step is named'}", said
    absent = [word for word in (OF_OURS if preload else OF_ITS_OWN_HOST) if word not in seen.stdout]
    if absent:
        return f"nothing in the capture is {', '.join(absent)}{': ' if seen.stderr else ''}{seen.stderr.strip()}", said
    return None, said


def interop(teeio, results):
    """Whether all is well; None: it is not here."""
    folder = os.environ.get("TF_RMM_DIR", "")
    why = missing(folder)
    if why:
        print(f"skipped: {why}: TF-RMM's host and contrib/tf-rmm's", flush=True)
        return None
    ours = pathlib.Path(teeio).parent / "contrib/tf-rmm/normal_world.so"
    good = True
    for name, preload in (("TF-RMM's host", None), ("contrib/tf-rmm's host", ours)):
        if preload and not preload.exists():
            print(f"skipped: {preload} is not built: {name}", flush=True)
            continue
        why, said = run(teeio, folder, preload)
        if results:
            os.makedirs(results, exist_ok=True)
            pathlib.Path(results, re.sub(r"[^\w]+", "-", name) + ".txt").write_text(said)
        good = good and why is None
        steps = len(re.findall(r"^ok ", said, re.MULTILINE))
        print(f"{'not ok' if why else 'ok'} - {name}{f', {steps} steps' if steps else ''}"
              f"{': ' + why if why else ''}", flush=True)
    return good
