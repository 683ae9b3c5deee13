"""Finds function bodies and their statements in C++ as this house formats it.

No parser: comments and literals are blanked, brackets are matched, and what does not
look like a statement is left alone. A mutant made from a mistake here does not
compile, and what does not compile is dropped.
"""

import bisect
import re
from dataclasses import dataclass, field

LITERALS = re.compile(
    r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|(?<![0-9a-fA-F])\'(?:\\.|[^\'\\\n])+\'',
    re.S)
DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n\\]|\\\n|\\.)*", re.M)
OPENS, CLOSES = "([{", ")]}"
LABEL = re.compile(r"(?:case\b(?:[^:;{]|::)*|default\s*):(?!:)")
LAMBDA = re.compile(r"(?<![\w\])])\[[^\[\]]*\]\s*(?=[({])")
EXPRESSION = re.compile(
    r"(?:\(void\))?[*]?(?:\+\+|--)?\(?[*]?[\w:]+(?:<[^;=()]*>)?\)?\s*"
    r"(?:\(|\.|->|=(?!=)|\[|\+\+|--|[-+|&^]=|<<=|>>=|;)")


def blank(text):
    """The same length and lines, without what comments and literals say."""

    def spaces(match):
        said = match.group(0)
        if said[0] in "\"'R":
            return said[0] + re.sub(r"[^\n]", "_", said[1:-1]) + said[-1]
        return re.sub(r"[^\n]", " ", said)

    code = LITERALS.sub(spaces, text)
    return DIRECTIVE.sub(lambda m: re.sub(r"[^\n]", " ", m.group(0)), code)


@dataclass
class Statement:
    kind: str  # expression, lock, declaration, return, if, while, for, block, jump, other
    start: int
    end: int
    condition: tuple = ()  # of if, while, for: (start, end)
    parts: list = field(default_factory=list)  # lists of statements: bodies, lambdas
    has_else: bool = False


@dataclass
class Function:
    name: str
    start: int
    end: int
    body: list


class Source:
    def __init__(self, text):
        self.text = text
        self.code = blank(text)
        self.lines = [0] + [i + 1 for i, c in enumerate(text) if c == "\n"]
        self.functions = []
        self._scope(0, len(self.code))

    def line(self, at):
        return bisect.bisect_right(self.lines, at)

    def match(self, at):
        """The place behind the bracket that closes the one at `at`."""
        depth = 0
        for i in range(at, len(self.code)):
            if self.code[i] in OPENS:
                depth += 1
            elif self.code[i] in CLOSES:
                depth -= 1
                if depth == 0:
                    return i + 1
        return len(self.code)

    # -- namespaces and classes ------------------------------------------------

    def _scope(self, at, end):
        last = at
        while at < end:
            c = self.code[at]
            if c in "([":
                at = self.match(at)
            elif c in ";}":
                at += 1
                last = at
            elif c == "{":
                head = self.code[last:at]
                after = self.match(at)
                glued = at > 0 and not self.code[at - 1].isspace()
                if re.search(r"\b(namespace|class|struct|union)\b[^()]*$", head) or \
                        re.search(r'extern "_*"\s*$', head):
                    self._scope(at + 1, after - 1)
                elif ")" in head and glued and not head.rstrip().endswith(")"):
                    at = after  # a_{b} in a constructor's list
                    continue
                elif ")" in head and not re.search(r"=\s*$|\benum\b", head):
                    if "constexpr" not in head and "consteval" not in head:
                        self._function(head, at, after)
                else:
                    self._lambdas(at, after, self._name(head))
                at = after
                if not re.search(r"=\s*$", head):
                    last = at
            else:
                at += 1

    @staticmethod
    def _name(head):
        found = re.search(r"([~\w]+(?:::[~\w]+)*)\s*(?:\(|\[|=|$)", head.strip())
        return found.group(1) if found else "?"

    def _function(self, head, start, end):
        names = re.findall(r"((?:[\w~]+::)*(?:operator\W+|[\w~]+))\s*\(", head)
        name = next((n for n in names if not n.startswith("TEEIO_") and n != "decltype"), "?")
        self.functions.append(Function(name, start, end, self.block(start + 1, end - 1)))

    def _lambdas(self, at, end, name):
        """Those of a table at namespace scope."""
        for body in self._lambda_bodies(at, end):
            self.functions.append(Function(name, body[0], body[1],
                                           self.block(body[0] + 1, body[1] - 1)))

    def _lambda_bodies(self, at, end):
        bodies = []
        while (found := LAMBDA.search(self.code, at, end)) is not None:
            i = found.end()
            if self.code[i] == "(":
                i = self.match(i)
            brace = self.code.find("{", i, end)
            between = self.code[i:brace] if brace >= 0 else ";"
            if brace < 0 or not re.fullmatch(r"\s*(?:mutable|noexcept)?\s*(?:->\s*[\w:<>*&, ]+)?\s*",
                                             between):
                at = found.end()
                continue
            bodies.append((brace, self.match(brace)))
            at = bodies[-1][1]
        return bodies

    # -- statements ------------------------------------------------------------

    def block(self, at, end):
        statements = []
        while True:
            at = self._skip(at, end)
            if at >= end:
                return statements
            statement = self.statement(at, end)
            if statement.end <= at:
                return statements
            statements.append(statement)
            at = statement.end

    def _skip(self, at, end):
        while at < end:
            if self.code[at].isspace():
                at += 1
            elif (label := LABEL.match(self.code, at, end)) is not None:
                at = label.end()
            else:
                break
        return at

    def statement(self, at, end):
        code = self.code
        if code[at] == "{":
            after = self.match(at)
            return Statement("block", at, after, parts=[self.block(at + 1, after - 1)])
        word = re.match(r"[A-Za-z_]\w*|", code[at:at + 40]).group(0)
        if word in ("if", "while", "for", "switch"):
            return self._compound(word, at, end)
        if word == "do":
            body = self.statement(self._skip(at + 2, end), end)
            after = code.find(";", body.end, end) + 1
            return Statement("other", at, after, parts=[[body]])
        after = self._semicolon(at, end)
        parts = [self.block(s + 1, e - 1) for s, e in self._lambda_bodies(at, after)]
        if word == "return":
            kind = "return"
        elif word in ("break", "continue", "goto", "co_return"):
            kind = "jump"
        elif re.match(r"(?:const )?schedule::(?:Read|Write)?Lock \w+\(", code[at:after]):
            kind = "lock"
        elif word.endswith("_ASSIGN"):
            kind = "declaration"
        elif word not in ("using", "static", "const", "constexpr", "auto", "delete", "throw") and \
                EXPRESSION.match(code, at, after):
            kind = "expression"
        elif word == "delete":
            kind = "expression"
        else:
            kind = "declaration"
        return Statement(kind, at, after, parts=parts)

    def _semicolon(self, at, end):
        while at < end:
            if self.code[at] in OPENS:
                at = self.match(at)
            elif self.code[at] == ";":
                return at + 1
            else:
                at += 1
        return end

    def _compound(self, word, at, end):
        opening = self.code.find("(", at, end)
        closing = self.match(opening)
        body = self.statement(self._skip(closing, end), end)
        kind = word if word != "switch" else "other"
        made = Statement(kind, at, body.end, (opening + 1, closing - 1), [[body]])
        after = self._skip(body.end, end)
        if word == "if" and re.match(r"else\b", self.code[after:after + 5]):
            other = self.statement(self._skip(after + 4, end), end)
            made.parts.append([other])
            made.end = other.end
            made.has_else = True
        made.parts += [self.block(s + 1, e - 1)
                       for s, e in self._lambda_bodies(opening + 1, closing - 1)]
        return made

    def split(self, start, end, operators):
        """Operands of the top-level operators in a condition, as (operator, start, end)."""
        operands, at, begin, found = [], start, start, None
        while at < end:
            if self.code[at] in OPENS:
                at = self.match(at)
                continue
            two = self.code[at:at + 2]
            if two in operators and self.code[at - 1] == " " or two in operators and \
                    self.code[at - 1] == "\n":
                operands.append((begin, at))
                begin, found = at + 2, found or two
                if two != found:
                    return None, []
                at += 2
            else:
                at += 1
        operands.append((begin, end))
        return found, operands
