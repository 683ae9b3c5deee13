"""docs/mutants.md, and the hand-made lists of equivalent mutants and of why some survive."""

import re
import tomllib
from collections import Counter

HEAD = "<!-- From here on written by tools/mutate; what stands above is kept. -->"


def equivalents(path):
    """key -> reason."""
    if not path.exists():
        return {}
    listed = tomllib.loads(path.read_text()).get("equivalent", [])
    for entry in listed:
        if not entry.get("reason") or not entry.get("mutant"):
            raise SystemExit(f"mutate: {path}: each entry has `mutant` and `reason`")
    return {entry["mutant"]: " ".join(entry["reason"].split()) for entry in listed}


def reasons(path):
    """[(what a key matches, reason)]: the first that matches is the reason. Those of one
    mutant come before those of a class."""
    if not path.exists():
        return []
    listed = tomllib.loads(path.read_text())
    own = [(re.compile(re.escape(entry["mutant"]) + "$"), entry["reason"])
           for entry in listed.get("survived", [])]
    of_class = [(re.compile(entry["matches"]), entry["reason"]) for entry in listed.get("class", [])]
    return [(key, " ".join(reason.split())) for key, reason in own + of_class]


def cell(text):
    return text.replace("|", "\\|").replace("\n", " ")


def code(text):
    return "`" + cell(text).replace("`", "'") + "`"


def read(path):
    """key -> {"by", "how"} of each row of the table: what earlier runs have found."""
    found = {}
    section = ""
    for line in path.read_text().split(HEAD)[-1].splitlines() if path.exists() else []:
        if line.startswith("## "):
            section = line[3:]
        if section not in ("Survived", "Caught") or not re.match(r"\| \S+:\d+ \|", line):
            continue
        cells = [c.strip().replace("\\|", "|") for c in re.split(r"(?<!\\)\|", line)[1:-1]]
        place, function, rule, stood, last = cells
        text, nth = re.fullmatch(r"`(.*)`( #\d+)?", stood).groups()
        key = f"src/{place.rsplit(':', 1)[0]}: {function.strip('`')}: {rule}: {text}{nth or ''}"
        by, how = re.fullmatch(r"(.*?)(?: \((.*)\))?", last).groups()
        found[key] = {"by": None, "how": ""} if section == "Survived" else {"by": by, "how": how or ""}
    return found


def stood(mutant):
    return code(mutant.code) + (f" #{mutant.nth}" if mutant.nth > 1 else "")


def write(path, results, equivalent, why, mutants, said):
    before = path.read_text().split(HEAD)[0] if path.exists() else "# Mutants\n\n"
    by_key = {m.key: m for m in mutants}
    judged = [(by_key[k], r) for k, r in results.items() if k in by_key]
    judged.sort(key=lambda mr: (mr[0].file, mr[0].line, mr[0].key))
    real = [(m, r) for m, r in judged if m.key not in equivalent]
    caught = [(m, r) for m, r in real if r["by"]]
    lines = [before + HEAD, "", said, ""]
    share = 100 * len(caught) / len(real) if real else 0
    lines.append(f"**{len(judged)} mutants were tried: {len(judged) - len(real)} are equivalent, "
                 f"{len(caught)} of the other {len(real)} were caught ({share:.1f} %).**")
    for title, name in (("rule", lambda m: m.rule),
                        ("room", lambda m: m.file.removeprefix("src/").rsplit("/", 1)[0])):
        lines += ["", f"| {title} | tried | equivalent | caught | survived |", "|---|---|---|---|---|"]
        counts = Counter(name(m) for m, _ in judged)
        good = Counter(name(m) for m, _ in caught)
        all_real = Counter(name(m) for m, _ in real)
        lines += [f"| `{n}` | {counts[n]} | {counts[n] - all_real[n]} | {good[n]} | "
                  f"{all_real[n] - good[n]} |" for n in sorted(counts)]
    lines += ["", "## Survived", "", "| place | function | rule | what stood there | why |",
              "|---|---|---|---|---|"]
    for m, r in real:
        if not r["by"]:
            reason = next((reason for matches, reason in why if matches.search(m.key)), "not looked at")
            lines.append(f"| {m.file.removeprefix('src/')}:{m.line} | `{m.function}` | {m.rule} | "
                         f"{stood(m)} | {cell(reason)} |")
    lines += ["", "## Equivalent", "", "| place | function | rule | what stood there | why |",
              "|---|---|---|---|---|"]
    lines += [f"| {m.file.removeprefix('src/')}:{m.line} | `{m.function}` | {m.rule} | {stood(m)} | "
              f"{cell(equivalent[m.key])} |" for m, r in judged if m.key in equivalent]
    lines += ["", "## Caught", "", "| place | function | rule | what stood there | by |", "|---|---|---|---|---|"]
    for m, r in caught:
        how = f" ({r['how']})" if r["how"] else ""
        lines.append(f"| {m.file.removeprefix('src/')}:{m.line} | `{m.function}` | {m.rule} | "
                     f"{stood(m)} | {cell(r['by'])}{how} |")
    path.write_text("\n".join(lines) + "\n")
    return share
