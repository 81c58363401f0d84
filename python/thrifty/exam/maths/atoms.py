"""Operands: numbers, letters, functions, fractions, roots, brackets and what is written on them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from fractions import Fraction
from typing import TYPE_CHECKING

from thrifty.exam.maths.derivatives import cyclic, derivative
from thrifty.exam.maths.names import PRODUCTS, RELATED
from thrifty.exam.maths.tree import MAX_DEPTH, MAX_NODES, Node, NotMathsError, number, pieces

if TYPE_CHECKING:
    from thrifty.exam.maths.tokens import Token

__all__ = ["Atoms"]

BIG = {"sum": "sum", "prod": "prod", "int": "int", "iint": "int", "oint": "oint", "lim": "lim", "bigcup": "bigcup"}
SIGNS = frozenset({"*", "+", "-", "'"})
CLOSERS = frozenset({")", "]", "}", "\\}", "|", ">", "rangle", "rfloor", "rceil", "&", "end"})
MAX_DIGITS = 2000


class Atoms(ABC):
    """The lower half of the parser; what is above it is read through methods of the class that extends it."""

    def __init__(self, found: list[Token], *, styled: bool, arrowed: frozenset[str] = frozenset()) -> None:
        self.tokens, self.styled, self.at, self.depth, self.nodes = found, styled, 0, 0, 0
        self.bars, self.angle, self.in_set, self.differential = 0, 0, 0, 0
        self.arrowed = set(arrowed)

    @abstractmethod
    def items(self) -> Node:
        """Read values with separators between."""

    @abstractmethod
    def sum(self) -> Node:
        """Read terms with signs between."""

    @abstractmethod
    def product(self) -> Node:
        """Read factors, with signs between or none."""

    @abstractmethod
    def function(self) -> Node:
        """Read a function and its argument."""

    @abstractmethod
    def command(self) -> Node:
        """Read what a command begins."""

    @abstractmethod
    def acting(self) -> Node:
        """Read what nabla is of."""

    @abstractmethod
    def bracket(self) -> Node:
        """Read what an opening sign begins."""

    @abstractmethod
    def inside(self, closer: str) -> tuple[Node, ...]:
        """Read arguments up to a closing sign."""

    @property
    def here(self) -> Token:
        """The token that is read next."""
        return self.tokens[self.at]

    @property
    def next(self) -> Token:
        """The token behind it."""
        return self.tokens[min(self.at + 1, len(self.tokens) - 1)]

    def made(self, kind: str, *args: Node, name: str = "") -> Node:
        """Make a node, and count it."""
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise NotMathsError("too many parts")
        return Node(kind, args, name)

    def negative(self, node: Node) -> Node:
        """Make the opposite."""
        if node.kind == "number" and node.number is not None:
            return number(-node.number, node.places)
        if node.kind == "unit":
            return node._replace(args=(self.negative(node.args[0]),))
        return self.made("mul", number(-1), node)

    def times(self, left: Node, right: Node) -> Node:
        """Make a product."""
        if left.kind == "div" and (group := cyclic(left.args[0], Node("mul", (left.args[1], right)))):
            return group
        return self.made("mul", *(left.args if left.kind == "mul" else (left,)), right)

    def multiplied(self, left: Node, right: Node, sign: str) -> Node:
        """Make a product with its sign; that of two vectors is no number."""
        *before, last = left.args if left.kind == "mul" else (left,)
        if sign != "cross" or not (self.is_vector(last) and self.is_vector(right)):
            return self.times(left, right)
        crossed = self.made("call", last, right, name="cross")
        return self.made("mul", *before, crossed) if before else crossed

    def is_vector(self, node: Node) -> bool:
        """Whether something in it has an arrow, or is bold."""
        return any(part.name in self.arrowed or part.name.startswith("unit vector") for part in pieces(node))

    def fraction(self, above: Node, below: Node) -> Node:
        """Make a fraction, or what is written as one."""
        if (group := cyclic(above, below)) is not None:
            return group
        found = derivative(above, below)
        if found is None:
            return self.made("div", above, below)
        of = found.of or ((self.power(),) if self.starts() else (self.made("symbol", name="operand"),))
        inner = of[0] if len(of) == 1 else self.made("mul", *of)
        made = self.made("call", inner, *found.by, name=f"derivative {found.letter}")
        return self.made("mul", *found.before, made) if found.before else made

    def deeper(self) -> None:
        """Count a level of nesting."""
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise NotMathsError("too deep")

    def expect(self, text: str) -> None:
        """Read this sign, or fail."""
        if self.here.text != text or self.here.kind not in {"op", "command"}:
            raise NotMathsError(f"{text} is missing")
        self.at += 1

    def took(self, text: str) -> bool:
        """Whether this operator stands here; it is read then."""
        if self.here.kind == "op" and self.here.text == text:
            self.at += 1
            return True
        return False

    def ended(self) -> bool:
        """Whether nothing more belongs to what is read."""
        return self.here.kind == "end" or self.here.text in CLOSERS

    def starts(self) -> bool:
        """Whether an operand may begin here."""
        kind, text = self.here.kind, self.here.text
        if kind == "command":
            return text not in CLOSERS and text not in {"pmod", "bmod"} and text not in RELATED and text not in PRODUCTS
        if kind == "op":
            if text == "(" and self.next.text in {"mod", "bmod"}:
                return False
            if text == "[" and (self.next.kind == "end" or self.next.text in {"cup", "cap", "minus", "and", "or", ","}):
                return False  # ]0, 1[
            return text in {"(", "[", "{", "\\{", "infinity"} or (text == "|" and not self.bars and not self.in_set)
        return kind in {"number", "letter", "function"}

    def group(self) -> Node:
        """One argument: a group in braces, or one operand."""
        if self.took("{"):
            if self.took("}"):
                raise NotMathsError("an empty group")
            bars, self.bars = self.bars, 0
            found = self.items()
            self.bars = bars
            self.expect("}")
            return found
        self.deeper()
        found = self.atom()
        self.depth -= 1
        return found

    def exponent(self) -> Node:
        """Read what follows ``^``."""
        self.deeper()
        minus = False
        while self.here.kind == "op" and self.here.text in {"-", "+"}:
            minus ^= self.here.text == "-"
            self.at += 1
        found = self.group() if self.here.text == "{" else self.atom()
        if self.took("^"):
            found = self.made("pow", found, self.exponent())
        self.depth -= 1
        return self.negative(found) if minus else found

    def power(self) -> Node:  # noqa: PLR0912 - one a mark
        """Read an operand with what is written on it: indices, powers, factorials, percent, degrees."""
        found = self.atom()
        if found.kind == "symbol" and self.here.kind == "number" and not self.here.space and self.here.text.isdigit():
            found = self.index(found, self.numeral())  # x1
        while self.here.kind == "op":
            if self.took("_"):
                found = self.index(found, self.name_below() or self.group())
            elif self.here.text == "^" and self.next.text in {"°", "'", "{"} and self.marked():
                found = self.made("degree", found)
            elif self.took("^"):
                if (sign := self.sign_above()) is not None:
                    found = self.signed_above(found, sign.name)
                    continue
                raised = self.exponent()
                if raised.kind == "symbol" and raised.name in {"dagger", "dag"}:
                    found = self.made("call", found, name="dagger")
                    continue
                transposed = found.kind == "tuple" and raised.kind == "symbol" and raised.name in {"T", "top"}
                found = found if transposed else self.made("pow", found, raised)
            elif self.took("!"):
                found = self.made("call", found, name="factorial2" if self.took("!") else "factorial")
            elif self.took("%"):
                found = self.made("percent", found)
            elif self.took("°"):
                composed = found.kind == "symbol" and self.here.kind == "letter"
                found = (
                    self.made("call", found, self.power(), name="compose") if composed else self.made("degree", found)
                )
            elif self.took("'"):
                found = self.made("index", found, self.made("symbol", name="'"))
            elif self.here.text == "(" and self.applied(found):
                self.at += 1
                found = self.of_arguments(found, self.inside(")"))
            elif self.here.text == "[" and self.indexed(found):
                found = self.made("index", found, self.made("symbol", name=f"[{self.next.text}]"))
                self.at += 3
            else:
                break
        return found

    def of_arguments(self, head: Node, arguments: tuple[Node, ...]) -> Node:
        """Apply a function; that of Euler is a factorial."""
        if head == Node("symbol", name="Gamma") and len(arguments) == 1:
            return self.made("call", self.made("add", *arguments, number(-1)), name="factorial")
        return self.made("apply", head, *arguments)

    def indexed(self, found: Node) -> bool:
        """Whether a square bracket has an index in it: a[i]."""
        closed = self.tokens[min(self.at + 2, len(self.tokens) - 1)].text == "]"
        return found.kind == "symbol" and not self.here.space and self.next.kind in {"letter", "number"} and closed

    def name_below(self) -> Node | None:
        r"""Read a function's name that is an index, as that of ``x_{\max}``."""
        texts = [token.text for token in self.tokens[self.at : self.at + 3]]
        bare = self.here.kind == "function"
        braced = texts[0] == "{" and self.next.kind == "function" and texts[-1] == "}"
        if not (bare or braced):
            return None
        self.at += 1 if bare else 3
        return self.made("symbol", name=texts[0] if bare else texts[1])

    def signed_above(self, found: Node, sign: str) -> Node:
        """Give what has a sign above: primes one by one, positive numbers as an interval, else a name with an index."""
        if found == Node("domain", name="R") and sign == "+":
            return self.made("tuple", number(0), self.made("symbol", name="infinity"), name="()")
        for mark in sign if sign[0] == "'" else (sign,):
            found = self.made("index", found, self.made("symbol", name=mark))
        return found

    def sign_above(self) -> Node | None:
        """Read a sign that stands alone above: ``x^*``, ``K^{+}``, ``f^{''}``."""
        at = self.at + (self.here.text == "{")
        end = at
        while self.tokens[end].kind == "op" and self.tokens[end].text in SIGNS and end - at < 4:
            end += 1
        signs = "".join(token.text for token in self.tokens[at:end])
        after = self.tokens[min(end, len(self.tokens) - 1)]
        if not signs or (at > self.at and after.text != "}"):
            return None
        if at == self.at and set(signs) != {"'"} and after.kind != "end" and after.text not in {*CLOSERS, ",", "="}:
            return None
        self.at = end + (at > self.at)
        return self.made("symbol", name=signs)

    def applied(self, found: Node) -> bool:
        """Whether a bracket after this operand has arguments in it: f(x), f'(x), g_1(x)."""
        inverse = found.kind == "pow" and found.args[1].number == -1
        head = found.args[0] if found.kind == "index" or inverse else found
        return head.kind == "symbol" and head.name in {"f", "g", "F", "G", "Gamma", "zeta"}

    def marked(self) -> bool:
        r"""Read ``^\circ`` or ``^{\circ}``; anything else is left."""
        texts = [token.text for token in self.tokens[self.at + 1 : self.at + 4]]
        for pattern in (["°"], ["{", "°", "}"]):
            if texts[: len(pattern)] == pattern:
                self.at += 1 + len(pattern)
                return True
        return False

    def index(self, base: Node, below: Node) -> Node:
        """Read a subscript: the base of a number, else a part of the name."""
        if base.kind == "number" and base.places < 0 and base.number is not None:
            if below.number is None or not 2 <= below.number <= 36 or below.number.denominator != 1:
                raise NotMathsError("no such base")
            try:
                return number(int(str(base.number), int(below.number)))
            except ValueError as error:
                raise NotMathsError("a digit that the base does not have") from error
        if base.kind == "domain":
            base = base._replace(kind="symbol")  # Z_2
        if below.kind == "mul" and all(part.kind == "symbol" for part in below.args):
            below = below._replace(kind="list")  # ij is not ji
        return self.made("index", base, below)

    def numeral(self) -> Node:
        r"""Digits, with repeating ones behind: 0.1\overline{6}, 0.333..."""
        text = self.here.text
        if len(text) > MAX_DIGITS:
            raise NotMathsError("too many digits")
        self.at += 1
        self.nodes += 1
        if "." in text or (self.here.kind == "op" and self.here.text == "."):
            repeated = self.repeated()
            whole, _, places = text.partition(".")
            if repeated:
                scale = 10 ** len(places)
                return number(
                    Fraction(int(whole + places or "0"), scale)
                    + Fraction(int(repeated), scale * (10 ** len(repeated) - 1))
                )
            if self.took("..."):
                if len(places) >= 3 and len(set(places[-3:])) == 1:
                    return number(Fraction(text) + Fraction(int(places[-1]), 9 * 10 ** len(places)))
                return number(Fraction(text), len(places) - 1)
            return number(Fraction(text), len(places))
        return number(int(text))

    def repeated(self) -> str:
        """Digits below a bar, or in brackets behind decimals: 0.(3)."""
        after = [token.text for token in self.tokens[self.at : self.at + 4]]
        if self.here.text == ".":
            after = [token.text for token in self.tokens[self.at + 1 : self.at + 5]]
        barred = len(after) == 4 and after[0] in {"overline", "bar", "dot"} and after[1] == "{" and after[3] == "}"
        if barred and after[2].isdigit():
            self.at += 4 + (self.here.text == ".")
            return after[2]
        if len(after) >= 3 and after[0] == "(" and after[2] == ")" and after[1].isdigit() and not self.here.space:
            self.at += 3 + (self.here.text == ".")
            return after[1]
        return ""

    def atom(self) -> Node:  # noqa: PLR0911 - one a kind
        """One operand with nothing on it."""
        token = self.here
        if token.kind == "number":
            return self.numeral()
        if token.kind == "letter":
            self.at += 1
            if token.text == "nabla":
                return self.acting()
            return self.made("symbol", name=token.text)
        if token.kind == "function":
            return self.function()
        if token.kind in {"text", "word"}:
            words = []
            while self.here.kind in {"text", "word"}:
                words.append(self.here.text)
                self.at += 1
            return self.made("text", name=" ".join(" ".join(words).lower().split()))
        if token.kind == "command":
            return self.command()
        if token.kind == "op":
            return self.bracket()
        raise NotMathsError("an operand is missing")
