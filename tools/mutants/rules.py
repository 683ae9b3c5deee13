"""The rules that make mutants. Each is a few characters put around what stands there."""

import hashlib
import re
from dataclasses import dataclass, field

from cxx import Source

# What only tells the trace or the explorer, or checks our own mistakes, is no behaviour of the host.
TELLS = re.compile(r"\btrace(?:_|\(\))?\.|^(?:\w+\.)?call(?:\.|->)|\bfact\(|^emit|^tell|_CHECK\("
                   r"|assert_held\(|\.refuse\(|^\(void\)\w+;|unreachable\(\)|schedule::consult|\bseeded\("
                   r"|\btouch\w*\([^;]*How::k|^(?:reads|writes)\((?:turn_)?\);$")
KINDS = (
    ("drop-notify", re.compile(r"notify_|\bwake")),
    ("drop-get", re.compile(r"\b(?:add_ref|add_user|get|hold|pin|increment|share|emplace|push_back"
                            r"|insert|use|claim)\w*\(|^\+\+|\+\+;")),
    ("drop-put", re.compile(r"\b(?:drop_|put|release|reset|erase|free|unpin|clear|remove|decrement"
                            r"|detach|unbind|undo|unmap|pop_|destroy|delete)\w*\(|^--|--;|^delete")),
)
OTHER_ERRNO = {"kInval": "kBusy"}
COMPARES = re.compile(r" (<|<=|>|>=)(?= )")
ONES = re.compile(r"(?<= [+-] )1(?=U?L?L?[;,) \]}])U?L?L?")
TEARDOWN = re.compile(r"destroy|release|close|unbind|disable|remove|stop|free|shut|tear|detach|reset"
                      r"|exit|disconnect|revoke|cleanup|undo|forget|unmap|reclaim|end$|last_put|~|abort"
                      r"|kill|delete|zap|put", re.I)
ERRNOS = re.compile(r"\bfail\((Errno::(k\w+))")


@dataclass
class Mutant:
    file: str
    line: int
    function: str
    rule: str
    code: str  # what stands there, in one line
    nth: int = 1  # of those with the same five
    body: tuple = ()  # of its function: (start, end)
    number: int = 0
    edits: list = field(default_factory=list)  # (start, end, before, after), with @ for the switch
    span: tuple = ()

    @property
    def key(self):
        nth = f" #{self.nth}" if self.nth > 1 else ""
        return f"{self.file}: {self.function}: {self.rule}: {self.code}{nth}"

    def rank(self, seed):
        return hashlib.sha256(f"{seed} {self.key}".encode()).hexdigest()


class Maker:
    """All mutants of one file."""

    def __init__(self, path, text):
        self.path = path
        self.source = Source(text)
        self.mutants = []
        self.function = None
        for self.function in self.source.functions:
            self._block(self.function.body, undoing=False)
        self.mutants.sort(key=lambda m: (m.span, m.rule))
        seen = {}
        for mutant in self.mutants:
            seen[mutant.key] = mutant.nth = seen.get(mutant.key, 0) + 1

    def _add(self, rule, start, end, edits, shown=None):
        shown = shown or (start, end)
        code = " ".join(self.source.text[shown[0]:shown[1]].split())
        code = re.sub(r"\s*//.*?$", "", code) if "\n" not in code else code
        if len(code) > 90:
            code = code[:87] + "..."
        self.mutants.append(Mutant(self.path, self.source.line(start), self.function.name, rule, code,
                                   edits=edits, span=(start, end),
                                   body=(self.function.start, self.function.end)))

    def _block(self, statements, undoing):
        for i, statement in enumerate(statements):
            following = statements[i + 1:]
            getattr(self, "_of_" + statement.kind, self._nothing)(statement, following, undoing)
            self._values(statement)
            self._inside(statement, undoing)

    def _inside(self, statement, undoing):
        guard = statement.kind == "if" and self._is_refusal(statement)
        for part in statement.parts:
            self._block(part, undoing or guard)

    def _nothing(self, statement, following, undoing):
        pass

    def _text(self, statement):
        return self.source.code[statement.start:statement.end]

    def _leaves(self, statement):
        """It ends in return, break or continue."""
        body = statement.parts[0]
        while len(body) > 0 and body[-1].kind == "block":
            body = body[-1].parts[0]
        return len(body) > 0 and body[-1].kind in ("return", "jump")

    def _is_refusal(self, statement):
        condition = self.source.code[slice(*statement.condition)]
        return self._leaves(statement) and \
            re.search(r"(?:^|; |[(| ])!\w|== nullptr|has_value\(\)|\.ok\(\)", condition) is not None

    # -- statements ------------------------------------------------------------

    def _of_expression(self, statement, following, undoing):
        text = self._text(statement)
        if TELLS.search(text):
            return
        if undoing:
            rule = "skip-undo"
        elif re.match(r"\w*_REFUSE_IF\w*\(", text):
            rule = "skip-check"
        elif re.match(r"\w*_TRY\(", text):
            rule = "drop-try"
        else:
            rule = next((name for name, words in KINDS if words.search(text)), None) or \
                ("drop-assign" if re.match(r"[^(]*[^=!<>]=[^=]", text) else "drop-call")
        self._add(rule, statement.start, statement.end,
                  [(statement.start, statement.end, "{ if (!@) { ", " } }")])
        if following and following[0].kind == "expression" and \
                TEARDOWN.search(self.function.name.split("::")[-1]) and \
                not TELLS.search(self._text(following[0])):
            second = following[0]
            said = " ".join(self.source.text[second.start:second.end].split())
            if "//" not in said:
                self._add("swap", statement.start, second.end,
                          [(statement.start, statement.start, f"if (@) {{ {said} }} ", ""),
                           (second.start, second.end, "{ if (!@) { ", " } }")])

    def _of_lock(self, statement, following, undoing):
        text = self._text(statement)
        kind, name, argument = re.fullmatch(
            r"(?:const )?(schedule::\w+) (\w+)\((.*)\);", text, re.S).groups()
        start, end = statement.start, statement.end
        # Declared, then taken: one declaration serves the three mutants of this lock.
        taken = f"std::optional<{kind}> {name}; if (!(@drop) && !(@late)) {name}.emplace({argument}); "
        self.locks = getattr(self, "locks", {})
        self.locks[start] = (end, taken)
        self._add("drop-lock", start, end, [])
        self.mutants[-1].lock = (start, "drop")
        self.mutants[-1].as_text = [(start, end, "")]
        if following:
            after = following[0].end
            self._add("late-lock", start, end, [(after, after, f" if (@) {name}.emplace({argument});", "")])
            self.mutants[-1].lock = (start, "late")
            self.mutants[-1].as_text = [(start, end, ""), (after, after, " " + text)]
        if len(following) > 1:
            after = following[0].end
            self._add("narrow-lock", start, end, [(after, after, f" if (@) {name}.reset();", "")])
            self.mutants[-1].lock = (start, "narrow")
            self.mutants[-1].as_text = [(after, after, f" mutant_lets_go({argument});")]

    def _of_if(self, statement, following, undoing):
        found = self._condition(statement)
        if found is None:
            return
        start, end = found
        if self._leaves(statement) and not statement.has_else:
            self._add("skip-check", start, end, [(start, end, "(!@ && bool(", "))")])
        else:
            self._add("never", start, end, [(start, end, "(!@ && bool(", "))")])
            self._add("always", start, end, [(start, end, "(@ || bool(", "))")])
        self._operands(start, end)

    def _of_while(self, statement, following, undoing):
        found = self._condition(statement)
        if found is not None:
            waits = re.search(r"\bwait", self._text(statement)) is not None
            self._add("skip-wait" if waits else "skip-loop", *found,
                      [(*found, "(!@ && bool(", "))")])
            self._operands(*found)

    def _of_return(self, statement, following, undoing):
        start = statement.start + len("return ")
        if not self.source.code[start:statement.end].lstrip().startswith("{"):
            self._operands(start, statement.end - 1)

    def _condition(self, statement):
        start, end = statement.condition
        code = self.source.code
        semicolon = code.rfind(";", start, end)
        if semicolon >= 0:
            start = semicolon + 1
            while code[start].isspace():
                start += 1
        if "seeded(" in code[start:end] or re.match(r"[\w:<>*&, ]+[ *&]\w+ = ", code[start:end]):
            return None
        return start, end

    def _operands(self, start, end):
        operator, operands = self.source.split(start, end, ("&&", "||"))
        if operator is None or len(operands) < 2:
            return
        for s, e in operands:
            while self.source.code[s].isspace():
                s += 1
            while self.source.code[e - 1].isspace():
                e -= 1
            before = "(@ || bool(" if operator == "&&" else "(!@ && bool("
            self._add("drop-operand", s, e, [(s, e, before, "))")])

    # -- values ----------------------------------------------------------------

    def _values(self, statement):
        """Of the statement itself, not of what stands inside."""
        start, end = statement.start, statement.end
        if statement.kind in ("if", "while", "for"):
            start, end = statement.condition
        elif statement.kind not in ("expression", "return", "declaration"):
            return
        inner = [(s.start, s.end) for part in statement.parts for s in part]
        code = self.source.code
        if TELLS.search(code[start:end]) or "constexpr" in code[start:end]:
            return

        def own(found):
            return not any(s <= found.start() < e for s, e in inner)

        for found in filter(own, COMPARES.finditer(code, start, end)):
            sign = "" if found.group(1) in ("<", ">=") else "-"
            at = found.end()
            self._add("off-by-one", found.start(1), at,
                      [(at, at, f" {sign}int(@) +", "")], shown=self._around(found))
        for found in filter(own, ONES.finditer(code, start, end)):
            self._add("off-by-one", *found.span(), [(*found.span(), "(", " * unsigned(!@))")],
                      shown=self._around(found))
        for found in filter(own, ERRNOS.finditer(code, start, end)):
            other = OTHER_ERRNO.get(found.group(2), "kInval")
            at = found.start(1)
            self._add("wrong-errno", at, found.end(1), [(at, at, f"@ ? Errno::{other} : ", "")],
                      shown=(found.start(), self.source.match(found.start() + 4)))

    def _around(self, found):
        """The line of it."""
        text = self.source.text
        start = text.rfind("\n", 0, found.start()) + 1
        end = text.find("\n", found.end())
        return start, end


def rewrite(maker, header):
    """The file with all its mutants in it, each behind its switch. Lines stay lines."""
    edits = []  # (start, end, before, after)
    for mutant in maker.mutants:
        switch = f"teeio_mutants::is({mutant.number})"
        for start, end, before, after in mutant.edits:
            edits.append((start, end, before.replace("@", switch), after.replace("@", switch)))
    for start, (end, taken) in getattr(maker, "locks", {}).items():
        made = {"drop": "false", "late": "false"}
        wanted = False
        for mutant in maker.mutants:
            at, what = getattr(mutant, "lock", (None, None))
            if at == start:
                made[what] = f"teeio_mutants::is({mutant.number})"
                wanted = True
        if not wanted:
            continue
        taken = taken.replace("@drop", made["drop"]).replace("@late", made["late"])
        taken = " ".join(taken.split()) + "\n" * maker.source.text.count("\n", start, end)
        edits.append((start, end, taken + "/*", "*/"))
    inserts = []
    for i, (start, end, before, after) in enumerate(edits):
        if start == end:  # behind what ends here, before what starts here
            inserts.append((start, 1, 0, i, before))
        else:
            inserts.append((start, 2, -end, i, before))
            inserts.append((end, 0, -start, -i, after))
    inserts.sort(key=lambda e: e[:4])
    text, out, at = maker.source.text, [header], 0
    for place, _, _, _, said in inserts:
        out.append(text[at:place])
        out.append(said)
        at = place
    out.append(text[at:])
    return "".join(out)
