"""Operands with more to them: brackets, functions, fractions, sums, matrices."""

from __future__ import annotations

from abc import abstractmethod

from thrifty.exam.maths.atoms import BIG, Atoms
from thrifty.exam.maths.names import ACCENTS, ARROWED, STYLES
from thrifty.exam.maths.tree import Node, NotMathsError, number

__all__ = ["Operands"]

INVERSES = {name: f"arc{name}" for name in ("sin", "cos", "tan", "cot", "sec", "csc")} | {
    "sinh": "arsinh",
    "cosh": "arcosh",
    "tanh": "artanh",
}
MATRICES = frozenset({"matrix", "pmatrix", "bmatrix", "Bmatrix", "vmatrix", "Vmatrix", "smallmatrix", "array"})
ROWS = frozenset({"cases", "aligned", "align", "gathered", "gather", "equation", "split", "dcases"})
MARKS = {"": "gradient", "*": "divergence", "cross": "rotation"}
NAMED = frozenset({"overline", "bar", "angle", "triangle", "overarc", "measuredangle", "dot", "ddot"})
HATS, UNITS = frozenset({"hat", "widehat"}), frozenset({"i", "j", "k"})
FRACTIONS = frozenset({"frac", "dfrac", "tfrac", "cfrac", "nicefrac", "sfrac", "rfrac"})


class Operands(Atoms):
    """The middle of the parser."""

    def bracket(self) -> Node:  # noqa: PLR0911, PLR0912 - one a kind
        """Whatever an opening sign begins."""
        opened = self.here.text
        if opened in {"infinity", "..."}:
            self.at += 1
            return self.made("symbol", name=opened)
        if opened == "empty":
            self.at += 1
            return self.made("set", name="hard")
        if opened == "{" and not self.styled:
            return self.braces("}")
        if opened == "{":
            found = self.group()
            return found._replace(kind="set", name="soft") if found.kind == "list" else found
        if opened not in {"(", "[", "]", "\\{", "|", "<"}:
            raise NotMathsError("an operand is missing")
        if opened == "\\{":
            return self.braces("\\}")
        self.at += 1
        kept, self.bars = self.bars, int(opened == "|")
        kept_set, self.in_set = self.in_set, 0
        kept_angle, self.angle = self.angle, int(opened == "<")
        if opened == "|" and self.here.kind == "number" and self.next.text == "rangle":
            found = self.made("symbol", name=self.here.text)  # 01 is not 1
            self.at += 1
        else:
            found = self.items()
        self.bars, self.in_set, self.angle = kept, kept_set, kept_angle
        closed = self.here.text
        self.at += 1
        if opened == "|" and closed == "|":
            return self.made("call", found, name="abs")
        if opened == "|" and closed == "rangle":
            return self.made("call", found, name="ket")
        if opened == "<" and closed == ">" and found.kind == "list":
            return found._replace(kind="tuple", name="<>")
        if opened in {"(", "[", "]"} and closed in {")", "]", "["} and self.tokens[self.at - 1].kind == "op":
            if found.kind == "list":
                if opened + closed == "[]" and _is_table(found):
                    return found._replace(kind="matrix", args=tuple(row._replace(kind="list") for row in found.args))
                left, right = "(" if opened in {"(", "]"} else "[", "]" if closed == "]" else ")"
                return found._replace(kind="tuple", name=left + right)
            if opened + closed in {"()", "[]"}:
                return found
        raise NotMathsError("brackets do not match")

    def braces(self, closer: str) -> Node:
        """Read a set, by its members or by what they fulfil."""
        below = self.tokens[self.at - 1].text == "/" and self.at > 0
        self.at += 1
        if self.took(closer):
            return self.made("set", name="hard")
        kept_bars, self.bars = self.bars, 0
        self.in_set += 1
        found = self.items()
        conditions = None
        if self.here.text in {"mid", "|", ":"} and self.here.kind == "op":
            self.at += 1
            self.in_set -= 1
            conditions = self.items()
            self.in_set += 1
        self.in_set -= 1
        self.bars = kept_bars
        self.expect(closer)
        if conditions is not None:
            return self.made("builder", found, conditions)
        if closer == "}" and found.kind != "list" and (below or self.here.text in {"/", "^"}):
            return found  # {3}/{4}
        return self.made(
            "set", *(found.args if found.kind == "list" else (found,)), name="hard" if closer == "\\}" else "soft"
        )

    def inside(self, closer: str) -> tuple[Node, ...]:
        """Read arguments up to a closing sign."""
        kept, self.bars = self.bars, 0
        found = self.items()
        self.bars = kept
        self.expect(closer)
        return found.args if found.kind == "list" else (found,)

    def function(self) -> Node:
        """Read a function with its power, base and argument."""
        name = self.here.text
        self.at += 1
        power, base = None, None
        while self.here.kind == "op" and self.here.text in {"^", "_"}:
            raised = self.here.text == "^"
            self.at += 1
            if raised:
                power = self.exponent()
            else:
                base = self.group()
        if (
            name == "log"
            and base is None
            and self.here.kind == "number"
            and not self.here.space
            and self.next.text == "("
        ):
            base = self.numeral()  # log2(8)
        if power is not None and power.number == -1 and name in INVERSES:
            name, power = INVERSES[name], None
        arguments = self.arguments(name)
        found = self.called(name, arguments, base)
        return found if power is None else self.made("pow", found, power)

    def called(self, name: str, arguments: tuple[Node, ...], base: Node | None) -> Node:
        """One form for functions that have several."""
        if name == "exp":
            return self.made("pow", self.made("symbol", name="e"), *arguments[:1])
        if name == "cis":
            turned = self.made("mul", self.made("symbol", name="i"), *arguments[:1])
            return self.made("pow", self.made("symbol", name="e"), turned)
        if name == "cbrt":
            return self.made("call", *arguments[:1], number(3), name="root")
        if name == "lg":
            return self.made("call", *arguments[:1], number(10), name="log")
        if base is not None:
            return self.made("call", *arguments, base, name=name)
        return self.made("call", *arguments, name=name)

    def arguments(self, name: str) -> tuple[Node, ...]:
        """Read what a function is of: in brackets, or the product that follows."""
        if self.took("("):
            return self.inside(")")
        if self.here.text in {"{", "|"} and self.here.kind == "op":
            return (self.group() if self.here.text == "{" else self.atom(),)
        self.deeper()
        if name in {"sqrt", "cbrt"}:
            found = self.atom()
        else:
            found = self.signed()
            while self.starts() and self.here.kind != "function" and not self.at_differential():
                found = self.times(found, self.power())
        self.depth -= 1
        return (found,)

    def at_differential(self) -> bool:
        """Whether the ``dx`` of an integral stands here."""
        return bool(self.differential) and self.here.text == "d" and self.next.kind == "letter"

    def command(self) -> Node:  # noqa: PLR0911, PLR0912 - one a kind
        """Read what a LaTeX command begins."""
        name = self.here.text
        self.at += 1
        if name in FRACTIONS:
            return self.fraction(self.group(), self.group())
        if name == "sqrt":
            degree = None
            if self.took("["):
                degree = self.inside("]")[0]
            inner = self.group()
            return (
                self.made("call", inner, name="sqrt")
                if degree is None
                else self.made("call", inner, degree, name="root")
            )
        if name in {"binom", "dbinom", "tbinom"}:
            return self.made("call", self.group(), self.group(), name="binom")
        if name in {"boxed", "fbox"}:
            return self.group()
        if name in STYLES or name in NAMED or name in ACCENTS:
            return self.styled_name(name)
        if name == "mathbb":
            found = self.group()
            return self.made("domain", name=found.name)
        if name in BIG:
            return self.big(BIG[name])
        if name in {"lfloor", "lceil"}:
            found = self.items()
            self.expect(name.replace("l", "r", 1))
            return self.made("call", found, name=name[1:])
        if name == "langle":
            return self.angled()
        if name in {"neg", "lnot"}:
            return self.made("call", self.power(), name="not")
        if name == "begin":
            return self.environment()
        if self.here.text == "{":
            raise NotMathsError(f"unknown command {name}")
        return self.made("symbol", name=name)

    def styled_name(self, name: str) -> Node:  # noqa: PLR0911 - one a kind
        """Letters with something above or before them."""
        inner = self.group()
        if name in STYLES and inner == Node("symbol", name="nabla"):
            return self.acting()
        if name in ACCENTS and not (name in HATS and (inner.name in UNITS or inner.name.startswith("unit vector"))):
            mark = ACCENTS[name]
            if inner.kind == "symbol":
                return inner._replace(name=f"{mark} {inner.name}")
            return self.made("call", inner, name=mark)
        if name in {"angle", "triangle", "measuredangle"}:
            while self.here.kind == "letter" and not self.here.space:
                inner = self.times(inner, self.group())
            return self.made("call", inner, name="angle" if "angle" in name and name != "triangle" else name)
        if name in {"dot", "ddot"}:
            return self.made("call", inner, name=name)
        if name in {"overline", "bar", "overarc"}:
            return self.made("call", inner, name="bar")
        if inner.kind == "symbol" and inner.name in UNITS:
            return inner._replace(name=f"unit vector {inner.name}")
        if name in {"vec", "overrightarrow"} and inner.kind == "mul":
            return self.made("call", inner._replace(kind="list"), name="vector")  # from A to B
        if name in ARROWED and inner.kind == "symbol":
            self.arrowed.add(inner.name)
        return inner

    def acting(self) -> Node:
        """Read what nabla is of, with its power and its sign; alone it is a symbol."""
        symbol = self.made("symbol", name="nabla")
        power: tuple[Node, ...] = ()
        if self.here.text == "_":
            return symbol
        if self.took("^"):
            power = (self.exponent(),)
        mark = self.here.text if self.here.kind == "op" and self.here.text in MARKS else ""
        self.at += bool(mark)
        if not self.starts():
            return self.made("pow", symbol, *power) if power else symbol
        return self.made("call", self.power(), *power, name=MARKS[mark])

    def angled(self) -> Node:
        """Read what stands in angles: vectors, means, and brackets of states."""
        self.in_set += 1  # a bar is none of an absolute value
        parts = [self.items()]
        while self.here.text in {"|", "mid"} and self.here.kind == "op":
            self.at += 1
            if self.ended() or not self.starts():
                break
            parts.append(self.items())
        self.in_set -= 1
        if self.here.text != "rangle" and len(parts) == 1 and self.tokens[self.at - 1].text in {"|", "mid"}:
            return self.made("call", *parts, name="bra")
        self.expect("rangle")
        if len(parts) > 1:
            return self.made("call", *parts, name="braket")
        if parts[0].kind == "list":
            return parts[0]._replace(kind="tuple", name="<>")
        return self.made("call", *parts, name="mean")

    def big(self, name: str) -> Node:
        """Read a sum, product, limit or integral, with its variable, limits and body."""
        nothing = Node("text")
        below = above = variable = nothing
        while self.here.kind == "op" and self.here.text in {"_", "^"}:
            under = self.here.text == "_"
            self.at += 1
            if under:
                below = self.group()
            else:
                above = self.group()
        if below.kind == "chain" and below.name in {"=", "->"}:
            variable, below = below.args
        self.deeper()
        if name in {"int", "oint"}:
            self.differential += 1
            body = self.sum()
            self.differential -= 1
            if self.here.text == "d" and self.next.kind == "letter":
                self.at += 1
                variable = self.made("symbol", name=self.here.text)
                self.at += 1
        else:
            body = self.product()
        self.depth -= 1
        return self.made("big", variable, below, above, body, name=name)

    def environment(self) -> Node:
        """Read a matrix, or lines below each other."""
        name = self.environment_name()
        if name in ROWS:
            end = next((i for i in range(self.at, len(self.tokens)) if self.tokens[i].text == "end"), len(self.tokens))
            self.tokens[self.at : end] = [token for token in self.tokens[self.at : end] if token.text != "&"]
            found = self.items()
            self.close(name)
            return found._replace(kind="list", name=";") if found.kind == "list" else found
        if name not in MATRICES:
            raise NotMathsError(f"unknown environment {name}")
        if name == "array" and self.took("{"):
            while not self.took("}"):
                if self.here.kind == "end":
                    raise NotMathsError("} is missing")
                self.at += 1
        rows: list[list[Node]] = [[]]
        while self.here.text != "end":
            rows[-1].append(self.chain())
            if self.took(";;"):
                rows.append([])
            elif not self.took("&") and self.here.text != "end":
                raise NotMathsError("a matrix that does not go on")
        self.close(name)
        filled = [self.made("list", *row, name=",") for row in rows if row]
        if not filled or len({len(row.args) for row in filled}) > 1:
            raise NotMathsError("rows of unlike length")
        found = self.made("matrix", *filled)
        return self.made("call", found, name="det") if name == "vmatrix" else found

    def environment_name(self) -> str:
        """Read the name of an environment in its braces."""
        self.expect("{")
        parts: list[str] = []
        while not self.took("}"):
            if self.here.kind == "end" or len(parts) > 12:
                raise NotMathsError("} is missing")
            parts.append(self.here.text)
            self.at += 1
        return "".join(parts).rstrip("*")

    def close(self, name: str) -> None:
        """Read the end of an environment."""
        self.expect("end")
        if self.environment_name() != name:
            raise NotMathsError(f"{name} does not end")

    @abstractmethod
    def chain(self) -> Node:
        """Read expressions with relations between."""

    @abstractmethod
    def signed(self) -> Node:
        """Read a power with signs before it."""


def _is_table(node: Node) -> bool:
    """Whether these are rows of one length in square brackets."""
    return len({(row.kind, row.name, len(row.args)) for row in node.args}) == 1 and node.args[0].name == "[]"
