#!/usr/bin/env python3
"""The page of --chart-file in a browser: levels, folding, search, links.

  page_test.py TEEIO PROGRAM MACHINES

Runs PROGRAM twice, the second time on a machine that closes as mainline does, and
opens each page in a headless Chromium with driver.js beside it. Skips (status 77)
with a sentence where there is no Chromium.
"""

import html
import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).parent
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
         "--disable-background-networking", "--disable-component-update", "--disable-sync"]
RESULT = re.compile(r'<pre id="test-result">(.*?)</pre>', re.DOTALL)


# What Blink takes for the user's choice: mojom::PreferredColorScheme.
SCHEMES = {"dark": "--blink-settings=preferredColorScheme=0",
           "light": "--blink-settings=preferredColorScheme=1"}


def open_page(chromium, page, address, wanted, folder):
    """The lines that driver.js left."""
    driver = (HERE / "driver.js").read_text(encoding="utf-8")
    script = f"<script data-wanted='{html.escape(json.dumps(wanted))}'>{driver}</script></body>"
    copy = folder / "driven.html"
    text = page.read_text(encoding="utf-8")
    copy.write_text(script.join(text.rsplit("</body>", 1)), encoding="utf-8")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        done = subprocess.run([chromium, *FLAGS, f"--user-data-dir={profile}", "--dump-dom",
                               *([SCHEMES[wanted["scheme"]]] if "scheme" in wanted else []),
                               "--window-size=1280,900", f"file://{copy}{address}"],
                              capture_output=True, text=True, timeout=240, check=False)
    found = RESULT.search(done.stdout)
    if not found:
        sys.exit(f"{address}: the page did not come to its end\n{done.stderr[-2000:]}")
    return html.unescape(found[1]).splitlines()


def many_events(page):
    """The page with its events over and over until there are 10,000."""
    head, rest = page.read_text(encoding="utf-8").split("const data = ", 1)
    text, tail = rest.split(";\n", 1)
    data = json.loads(text)
    events, levels = data["events"], data["levels"]
    top = events[-1]["n"]
    copies = range(10000 // len(events) + 1)

    def moved(step, by):
        return [step[0] + by, *step[1:6], [n + by for n in step[6]] if step[6] else 0, *step[7:]]

    data["events"] = [dict(e, n=e["n"] + k * top, **({"in": e["in"] + k * top} if "in" in e else {}))
                      for k in copies for e in events]
    data["levels"] = {name: [moved(s, k * top) for k in copies for s in steps]
                      for name, steps in levels.items()}
    out = page.with_name("many.html")
    text = json.dumps(data, ensure_ascii=False).replace("<", "\\u003c")
    out.write_text(head + "const data = " + text + ";\n" + tail, encoding="utf-8")
    return out


def run(teeio, folder, name, status, *words):
    page = folder / f"{name}.html"
    done = subprocess.run([teeio, "run", "--chart-file", str(page), *words], capture_output=True,
                          text=True, timeout=120, check=False)
    if done.returncode != status:
        sys.exit(f"{name} left with {done.returncode}\n{done.stderr}")
    return page


def main():
    teeio, program, machines = sys.argv[1:]
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if chromium is None:
        print("skipped: there is no chromium here (apt install chromium)")
        sys.exit(77)
    failed = 0
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        tdx = (pathlib.Path(machines) / "tdx-connect.toml").read_text(encoding="utf-8")
        mainline = folder / "mainline.toml"
        mainline.write_text(tdx.replace('close_order = "unbind-first"', 'close_order = "mainline"'))
        demo = run(teeio, folder, "demo", 0, "--", program)
        close = run(teeio, folder, "mainline", 99, "--machine", str(mainline), "--", program,
                    "--no-unbind", "--close-order=vfio,iommufd,vm")
        life = ["connect", "build", "bind", "attest", "accept private MMIO", "accept trusted DMA",
                "start", "trusted DMA", "unbind", "close", "the machine is as it was"]
        broken = life[:8] + ["close", "broken: R2"]
        data = json.loads(close.read_text().split("const data = ", 1)[1].split(";\n", 1)[0])
        first = next(b["n"] for b in data["broken"] if b["rule"] == "R4")
        for page, address, wanted in (
                (demo, "", {"phases": life, "search": "LOCK_INTERFACE", "scheme": "light"}),
                (close, f"#e{first}", {"phases": broken, "search": "STOP_INTERFACE",
                                       "selected": first, "rule": "R4"}),
                (close, "#R2", {"phases": broken, "search": "unbound", "rule": "R2",
                                "scheme": "dark"}),
                (many_events(demo), "", {"phases": life[:3], "search": "LOCK_INTERFACE"})):
            for line in open_page(chromium, page, address, wanted, folder):
                failed += line.startswith("not ok")
                print(f"{page.name}{address}: {line}")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
