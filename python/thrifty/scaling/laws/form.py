"""A law as data: a sum of terms, coefficient times powers, by a factor of the shape or none."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["COLUMNS", "Form", "Power", "Quadratic", "Term"]

#: What powers may be of; ``ratio`` is d_model / n_layers.
COLUMNS = ("n_params", "n_tokens", "d_model", "n_layers", "ratio")

#: The most of each that a form may have.
TERMS, POWERS, LETTERS = 8, 4, 32


@dataclass(frozen=True)
class Term:
    """A coefficient of at least 0 times columns to the power of minus an exponent.

    Attributes
    ----------
    coefficient : str
    powers : tuple of (str, str)
        Column of :data:`COLUMNS`, and name of its exponent; none for a constant.
    """

    coefficient: str
    powers: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class Power:
    """The factor 1 + coefficient * column ** exponent (2501.18107, where the column is ``ratio``)."""

    coefficient: str = "gamma"
    exponent: str = "eta"
    column: str = "ratio"


@dataclass(frozen=True)
class Quadratic:
    """The factor 1 + coefficient * (ln R - centre - drift * ln(N / 1e8)) ** 2, least at a shape R = d_model / n_layers.

    ``drift`` is the name of a coefficient, or empty: the best shape is then the same at all sizes.
    """

    coefficient: str = "g"
    centre: str = "m"
    drift: str = ""


@dataclass(frozen=True)
class Form:
    """A law without its numbers: (sum of terms) * (factor of the shape).

    Attributes
    ----------
    name : str
    terms : tuple of Term
    shape : Power, Quadratic or None
    bounds : dict of str to (float, float)
        Lowest and highest values of coefficients, beside what each may be anyway.

    Examples
    --------
    >>> from thrifty.scaling import Form, Term
    >>> Form("tokens", (Term("E"), Term("B", (("n_tokens", "beta"),)))).names
    ('E', 'B', 'beta')
    """

    name: str
    terms: tuple[Term, ...]
    shape: Power | Quadratic | None = None
    bounds: dict[str, tuple[float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._check_columns()
        self._check_names()
        for name, (low, high) in self.bounds.items():
            if name not in self.names:
                raise ValueError(f"bounds: {name!r} is none of {', '.join(self.names)}")
            if not low <= high:
                raise ValueError(f"bounds: {name} needs low <= high, got {low} and {high}")
            if name in self.linear and not high > 0:
                raise ValueError(f"bounds: {name} is at least 0, got at most {high}")

    def _check_columns(self) -> None:
        if not 1 <= len(self.terms) <= TERMS:
            raise ValueError(f"terms: 1 to {TERMS} are needed, got {len(self.terms)}")
        used = [[column for column, _ in term.powers] for term in self.terms]
        for term, columns in zip(self.terms, used, strict=True):
            if len(columns) > POWERS or len(set(columns)) < len(columns):
                raise ValueError(f"terms: {term.coefficient} has more than {POWERS} powers, or a column twice")
        shape = [self.shape.column] if isinstance(self.shape, Power) else []
        if unknown := [column for columns in [*used, shape] for column in columns if column not in COLUMNS]:
            raise ValueError(f"terms: column {unknown[0][:80]!r} is none of {', '.join(COLUMNS)}")

    def _check_names(self) -> None:
        for name in (self.name, *self.names):
            if not (isinstance(name, str) and name.isidentifier() and len(name) <= LETTERS):
                raise ValueError(f"names: letters, digits and _ are needed, at most {LETTERS}, got {str(name)[:80]!r}")
        each = list(self.linear)
        if isinstance(self.shape, Quadratic):
            each += [name for name in (self.shape.centre, self.shape.drift) if name]
        if len(set(each)) < len(each) or set(each) & set(self.exponents):
            raise ValueError(f"terms: each coefficient needs a name of its own, got {', '.join(each)}")

    @property
    def linear(self) -> tuple[str, ...]:
        """Names of coefficients that are at least 0, those of the terms first."""
        shape = () if self.shape is None else (self.shape.coefficient,)
        return (*(term.coefficient for term in self.terms), *shape)

    @property
    def exponents(self) -> tuple[str, ...]:
        """Names of exponents, in the order in which they first appear."""
        each = [exponent for term in self.terms for _, exponent in term.powers]
        if isinstance(self.shape, Power):
            each.append(self.shape.exponent)
        return tuple(dict.fromkeys(each))

    @property
    def names(self) -> tuple[str, ...]:
        """All that is fitted: coefficients of terms, exponents, and the rest of the shape's."""
        of_terms = tuple(term.coefficient for term in self.terms)
        if self.shape is None:
            return (*of_terms, *self.exponents)
        of_shape: tuple[str, ...] = (self.shape.coefficient,)
        if isinstance(self.shape, Quadratic):
            of_shape += tuple(name for name in (self.shape.centre, self.shape.drift) if name)
        return (*of_terms, *self.exponents, *of_shape)

    @property
    def columns(self) -> tuple[str, ...]:
        """Columns that its powers are of, in the order of :data:`COLUMNS`."""
        used = {column for term in self.terms for column, _ in term.powers}
        if isinstance(self.shape, Power):
            used.add(self.shape.column)
        if isinstance(self.shape, Quadratic):
            used |= {"ratio", "n_params"} if self.shape.drift else {"ratio"}
        return tuple(column for column in COLUMNS if column in used)

    def beside(self, name: str) -> tuple[str, ...]:
        """Columns whose centring a coefficient depends on; ``drift`` for the centre of a shape that drifts."""
        if isinstance(self.shape, Power) and name == self.shape.coefficient:
            return (self.shape.column,)
        if isinstance(self.shape, Quadratic) and name == self.shape.centre:
            return ("ratio", "drift") if self.shape.drift else ("ratio",)
        return tuple(column for term in self.terms if term.coefficient == name for column, _ in term.powers)

    def tied(self, *names: str) -> Form:
        """Return the form in which these exponents are one, under the first name.

        Raises
        ------
        ValueError
            When one is no exponent of it.
        """
        if unknown := [name for name in names if name not in self.exponents]:
            raise ValueError(f"tie: {unknown[0]!r} is none of {', '.join(self.exponents)}")
        to = dict.fromkeys(names, names[0]) if names else {}
        terms = tuple(replace(t, powers=tuple((c, to.get(e, e)) for c, e in t.powers)) for t in self.terms)
        shape = self.shape
        if isinstance(shape, Power):
            shape = replace(shape, exponent=to.get(shape.exponent, shape.exponent))
        kept = {name: ends for name, ends in self.bounds.items() if to.get(name, name) == name}
        return replace(self, terms=terms, shape=shape, bounds=kept)

    def as_dict(self) -> dict[str, Any]:
        """Return it as what JSON can hold; :meth:`of` reads it."""
        shape = None if self.shape is None else {"kind": type(self.shape).__name__.lower()} | vars(self.shape)
        terms = [{"coefficient": t.coefficient, "powers": [list(power) for power in t.powers]} for t in self.terms]
        bounds = {name: list(ends) for name, ends in self.bounds.items()}
        return {"name": self.name, "terms": terms, "shape": shape, "bounds": bounds}

    @classmethod
    def of(cls, given: Mapping[str, Any]) -> Form:
        """Return a form from what :meth:`as_dict` gave.

        Raises
        ------
        ValueError
            When something is missing, of another kind, or no form.
        """
        try:
            terms = tuple(
                Term(str(t["coefficient"]), tuple((str(c), str(e)) for c, e in t["powers"]))
                for t in given["terms"][: TERMS + 1]
            )
            shape = dict(given.get("shape") or {})
            kind = shape.pop("kind", None)
            kinds: dict[Any, Any] = {"power": Power, "quadratic": Quadratic}
            bounds = {str(name): (float(low), float(high)) for name, (low, high) in given.get("bounds", {}).items()}
            factor = kinds[kind](**{str(name): str(value) for name, value in shape.items()}) if kind else None
            return cls(str(given["name"]), terms, factor, bounds)
        except (KeyError, TypeError, AttributeError) as error:
            raise ValueError(f"form: {type(error).__name__}: {error}") from None
