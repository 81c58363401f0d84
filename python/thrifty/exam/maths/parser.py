"""Tokens into trees: a parser by hand of what answers are written in."""

from __future__ import annotations

from fractions import Fraction
from functools import lru_cache

from thrifty.exam.maths.logic import ARROWS, is_proposition
from thrifty.exam.maths.names import PRODUCTS, RELATED
from thrifty.exam.maths.operands import Operands
from thrifty.exam.maths.tokens import tokens
from thrifty.exam.maths.tree import Node, NotMathsError, number, pieces, symbols

__all__ = ["parse"]

RELATIONS = frozenset({"=", "<", "<=", ">", ">=", "!=", "~", "in", "notin", "==", "->", "=>", "<=>"})
SUMS = frozenset({"oplus", "uplus", "sqcup", "sqcap", "amalg"})
DOMAINS = frozenset("RZQNC")
SEPARATORS = frozenset({",", ";", "and", "or", ";;", "land", "lor"})
WORDS = {"land": "and", "lor": "or"}


class Parser(Operands):
    """What stands between operands; :class:`Operands` reads the operands."""

    def answer(self) -> Node:
        """Everything up to the end."""
        found = self.items()
        if self.here.kind != "end":
            raise NotMathsError(f"not read: {self.here.text}")
        return found

    def items(self) -> Node:
        """Values with commas, semicolons or words between; one value alone is itself."""
        self.deeper()
        values = [self.chain()]
        between: list[str] = []
        joined = False
        while self.here.kind == "op" and self.here.text in SEPARATORS:
            marks = set()
            while self.here.kind == "op" and self.here.text in SEPARATORS:
                marks.add(WORDS.get(self.here.text, self.here.text))
                joined |= self.here.text in WORDS
                self.at += 1
            if self.ended():
                break
            between.append(next(mark for mark in ("and", "or", ";", ";;", ",") if mark in marks))
            values.append(self.chain())
        self.depth -= 1
        if len(values) == 1:
            return values[0]
        if joined and any(value.kind != "chain" and symbols(value) for value in values):
            raise NotMathsError("what is joined is no statement")
        return self.grouped(values, between)

    def grouped(self, values: list[Node], between: list[str]) -> Node:
        """Make a list; p = 5, q = 2; p = 7, q = 2 is one of lists."""
        groups: list[list[Node]] = [values[:1]]
        for mark, value in zip(between, values[1:], strict=True):
            if mark == ",":
                groups[-1].append(value)
            else:
                groups.append([value])
        equations = len({len(group) for group in groups}) == 1 and all(value.kind == "chain" for value in values)
        if "," in between and len(groups) > 1 and (equations or set(between) & {";", ";;"}):
            values = [group[0] if len(group) == 1 else self.made("list", *group, name=",") for group in groups]
        mark = next(mark for mark in ("or", "and", ";", ";;", ",") if mark in between)
        return self.made("list", *values, name=";" if mark == ";;" else mark)

    def chain(self) -> Node:
        """Expressions with relations between."""
        first = self.proposition()
        operators, sides = [], [first]
        while self.relates():
            operators.append(self.here.text)
            self.at += 1
            side = self.proposition() if operators[-1] in ARROWS else self.union()
            sides.append(self.domain(side) if operators[-1] in {"in", "notin"} else side)
        found = self.made("chain", *sides, name=" ".join(operators)) if operators else first
        modulus = self.modulus()
        return found if modulus is None else self.made("mod", found, modulus)

    def relates(self) -> bool:
        """Whether a relation stands here."""
        if self.here.kind == "command":
            return self.here.text in RELATED
        return self.here.kind == "op" and self.here.text in RELATIONS and not (self.angle and self.here.text == ">")

    def proposition(self) -> Node:
        """Read propositions with signs of logic between; and binds closer than or."""
        found = [self.union()]
        while self.here.kind == "op" and self.here.text in WORDS and is_proposition(found[-1]):
            both = self.here.text == "land"
            self.at += 1
            part = self.union()
            if not is_proposition(part):
                raise NotMathsError("a proposition is missing")
            found[-1:] = [self.made("logic", found[-1], part, name="land")] if both else [found[-1], part]
        return found[0] if len(found) == 1 else self.made("logic", *found, name="lor")

    def modulus(self) -> Node | None:
        r"""Read what follows ``\pmod``, ``mod``, or ``(mod``."""
        opened = self.here.text == "(" and self.next.text in {"mod", "bmod"}
        self.at += opened
        if self.here.text not in {"mod", "bmod", "pmod"} or self.here.kind not in {"command", "op"}:
            return None
        self.at += 1
        found = self.group() if self.here.text == "{" else self.sum()
        if opened:
            self.expect(")")
        return found

    def union(self) -> Node:
        """Read sets with unions, intersections and differences between."""
        left = self.ratio()
        while self.here.kind == "op" and self.here.text in {"cup", "cap", "minus"}:
            kind = {"cup": "union", "cap": "meet", "minus": "minus"}[self.here.text]
            self.at += 1
            right = self.ratio()
            left = self.domain(left) if kind == "minus" else left
            left = self.made(kind, *(left.args if left.kind == kind == "union" else (left,)), right)
        return left

    def domain(self, node: Node) -> Node:
        """Make a set of numbers of its letter, where a set is meant."""
        return self.made("domain", name=node.name) if node.kind == "symbol" and node.name in DOMAINS else node

    def ratio(self) -> Node:
        """Read sums with colons between."""
        parts = [self.sum()]
        while self.here.text == ":" and self.here.kind == "op" and not self.in_set:
            self.at += 1
            parts.append(self.sum())
        return parts[0] if len(parts) == 1 else self.made("ratio", *parts)

    def sum(self) -> Node:
        """Products with plus and minus between."""
        terms = [self.product()]
        while self.here.kind == "op" and self.here.text in {"+", "-", "+-", "-+"}:
            sign = self.here.text
            self.at += 1
            if sign == "+" and self.here.kind == "op" and self.here.text == "...":
                raise NotMathsError("a sum that goes on")
            term = self.product()
            terms.append(
                term if sign == "+" else self.negative(term) if sign == "-" else self.made("pm", term, name=sign)
            )
        found = terms[0] if len(terms) == 1 else self.made("add", *terms)
        if self.took("choose"):
            return self.made("call", found, self.sum(), name="binom")
        if self.took("over"):
            return self.made("div", found, self.sum())
        return found

    def product(self) -> Node:
        """Factors with signs, or nothing, between."""
        found = self.signed()
        while True:
            token = self.here
            if token.kind == "op" and token.text in {"*", "cross"}:
                self.at += 1
                found = self.multiplied(found, self.signed(), token.text)
            elif token.kind == "command" and token.text in PRODUCTS:
                self.at += 1
                factors = (found, self.signed())
                found = self.made(
                    "call", *(sorted(factors, key=repr) if token.text in SUMS else factors), name=token.text
                )
            elif token.kind == "op" and token.text == "/":
                self.at += 1
                found = self.fraction(found, self.denominator())
            elif token.kind in {"text", "word"} and found.kind not in {"text", "symbol"}:
                found = self.unit(found)
            elif self.here.text == "(" and self.next.kind in {"word", "text"} and not symbols(found):
                self.remark()
            elif self.starts() and not (self.differential and token.text == "d" and self.next.kind == "letter"):
                found = self.juxtaposed(found)
            else:
                return found

    def remark(self) -> None:
        """Pass over words in brackets."""
        while self.here.kind in {"word", "text", "letter"} or self.here.text == "(":
            self.at += 1
        self.expect(")")

    def denominator(self) -> Node:
        """Read what stands below a slash: letters that stand together belong together, as in ``1/xy``."""
        found = self.signed()
        while (
            found.kind != "number" and self.here.kind == "letter" and (not self.here.space or found.name == "partial")
        ):
            found = self.times(found, self.power())
        return found

    def juxtaposed(self, left: Node) -> Node:
        """Read a factor without a sign before it, or the fraction of a mixed number."""
        is_number = self.here.kind == "number"
        if left.kind == "number" and left.places < 0 and left.number is not None and left.number.denominator == 1:
            if self.here.text in {"frac", "dfrac", "tfrac", "cfrac"} and self.here.kind == "command":
                right = self.power()
                if right.kind == "div" and all(part.kind == "number" for part in right.args) and left.number:
                    return self.mixed(left, right)
                return self.times(left, right)
            after = self.tokens[self.at + 1 : self.at + 3]
            if is_number and self.here.space and len(after) == 2 and after[0].text == "/" and after[1].kind == "number":
                above, below = Fraction(self.here.text), Fraction(after[1].text)
                if above.denominator == below.denominator == 1 and 0 < above < below:
                    self.at += 3
                    return self.mixed(left, self.made("div", number(above), number(below)))
        if is_number and (left.kind == "number" or self.tokens[self.at - 1].kind == "number"):
            raise NotMathsError("two numbers side by side")
        if left.kind == "text":
            raise NotMathsError("words beside mathematics")
        right = self.power()
        if left == Node("symbol", name="C") and right.kind == "tuple" and len(right.args) == 2:
            return self.made("call", *right.args, name="binom")
        return self.times(left, right)

    def mixed(self, whole: Node, fraction: Node) -> Node:
        """Two and a third; the sign is of both."""
        assert whole.number is not None
        return self.made("add", whole, fraction if whole.number >= 0 else self.negative(fraction))

    def unit(self, value: Node) -> Node:
        """Words after a value: units, or what is counted."""
        if self.here.kind == "word" and not any(part.kind == "number" for part in pieces(value)):
            raise NotMathsError("words beside letters")
        words: list[str] = []
        while self.here.kind in {"text", "word"} or (words and self.here.text in {"/", "^"} and self.here.kind == "op"):
            token = self.here
            self.at += 1
            if token.text == "^":
                power = self.exponent()
                words.append(f"^{power.number}" if power.number is not None else "^?")
            else:
                words.append(token.text.strip(" .,"))
        name = " ".join(words).replace(" ^", "^").replace(" / ", "/")
        if not name or name.startswith("("):  # a remark
            return value
        return self.made("unit", value, name=name.lower() if len(name) > 3 else name)

    def signed(self) -> Node:
        """Read a power with signs before it."""
        minus = False
        while self.here.kind == "op" and self.here.text in {"+", "-"}:
            minus ^= self.here.text == "-"
            self.at += 1
        if self.here.kind == "op" and self.here.text in {"+-", "-+"}:
            sign = self.here.text
            self.at += 1
            return self.made("pm", self.product_of_sign(), name=sign)
        found = self.power()
        if not minus:
            return found
        # -2 1/3 is minus two and a third: the sign is of the number
        return self.negative(found)

    def product_of_sign(self) -> Node:
        self.deeper()
        found = self.product()
        self.depth -= 1
        return found


@lru_cache(maxsize=4096)
def parse(text: str, vectors: frozenset[str] = frozenset()) -> Node:
    """Read an answer into a tree, in which these names are those of vectors.

    Raises
    ------
    NotMathsError
        For what can't be read, or goes beyond the limits of length, nodes and depth.
    """
    return Parser(tokens(text), styled="\\" in text or "$" in text, arrowed=vectors).answer()
