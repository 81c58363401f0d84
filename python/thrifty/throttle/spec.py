"""What is to be tuned, as a TOML file (docs/formats.md)."""

from __future__ import annotations

import math
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from thrifty.errors import FormatError
from thrifty.throttle.command import Command
from thrifty.throttle.evaluation import Constraint
from thrifty.throttle.replay import Replay

if TYPE_CHECKING:
    from os import PathLike

    from thrifty.throttle.space import Value

__all__ = ["Spec", "read_spec"]

TOP = {
    "objective": str,
    "evaluations": int,
    "seconds": float,
    "energy_j": float,
    "seed": int,
    "record": str,
    "max_slowdown": float,
    "groups": list,
    "knob": list,
    "constraint": list,
    "workload": dict,
    "prior": dict,
}
KNOB = {"name": str, "values": list, "kind": str, "unit": str, "default": object, "relative": bool}
CONSTRAINT = {"name": str, "upper": float, "prob": float}
WORKLOAD = {
    "command": list,
    "environment": dict,
    "items": object,
    "timeout": float,
    "runs": int,
    "seconds": float,
    "error": float,
    "warm": float,
}
PRIOR = {"table": str, "where": dict}
LEAST = {"evaluations": 1, "seconds": 0, "energy_j": 0, "max_slowdown": 1, "seed": 0}
LEAST_WORK = {"timeout": 1e-3, "runs": 1, "seconds": 1e-3, "error": 1e-6, "warm": 0}
NAMES = {str: "text", int: "whole number", float: "number", bool: "true or false", list: "list", dict: "table"}


@dataclass(frozen=True)
class Spec:
    """A file that was read.

    Attributes
    ----------
    knobs : list of dict
        Arguments of :class:`~thrifty.throttle.Knob`; a knob without values is one of a device.
    record : Path
        Where the search is written; beside the file, and called like it, by default.
    max_slowdown : float or None
        How many times the default's seconds a setting may take.
    """

    path: Path
    objective: str
    knobs: list[dict[str, Any]]
    constraints: list[Constraint]
    command: Command
    record: Path
    evaluations: int = 40
    seconds: float = math.inf
    energy_j: float = math.inf
    seed: int = 0
    max_slowdown: float | None = None
    groups: list[list[str]] | None = None
    prior: tuple[Path, dict[str, str]] | None = None

    def prior_rows(self, limited: list[str]) -> list[tuple[dict[str, Value], dict[str, float]]] | None:
        """Return what another device measured of the objective and what has limits."""
        if self.prior is None:
            return None
        measured = dict.fromkeys([self.objective, *limited])
        return Replay(self.prior[0], [knob["name"] for knob in self.knobs], list(measured), where=self.prior[1]).rows()


def read_spec(path: str | PathLike[str]) -> Spec:
    """Read a file.

    Raises
    ------
    FormatError
        The message names the file and the key.
    """
    path = Path(path)
    try:
        given = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise FormatError(f"{path}: this is no TOML file: {error}") from None
    _check(path, "", given, TOP, needed=("objective", "knob", "workload"))
    work = given["workload"]
    _check(path, "workload", work, WORKLOAD, needed=("command",))
    _texts(path, "workload.command", work["command"])
    _texts(path, "workload.environment", list(work.get("environment", {}).values()))
    for number, knob in enumerate(_tables(path, "knob", given), 1):
        _check(path, f"knob {number}", knob, KNOB, needed=("name",))
    limits = []
    for number, limit in enumerate(_tables(path, "constraint", given), 1):
        _check(path, f"constraint {number}", limit, CONSTRAINT, needed=("name", "upper"))
        try:
            limits.append(Constraint(**limit))
        except ValueError as error:
            raise FormatError(f"{path}, constraint {number}: {error}") from None
    for where, table, limits_ in (("", given, LEAST), ("workload, ", work, LEAST_WORK)):
        for name, least in limits_.items():
            if name in table and not least <= table[name] < math.inf:
                raise FormatError(f"{path}, {where}{name}: {table[name]}; it must be finite and at least {least:g}")
    for group in given.get("groups", []):
        if not isinstance(group, list) or not all(isinstance(name, str) for name in group):
            raise FormatError(f"{path}, groups: {group!r} is no list of names of knobs")
    prior = given.get("prior")
    if prior is not None:
        _check(path, "prior", prior, PRIOR, needed=("table",))
    plain = ("evaluations", "seconds", "energy_j", "seed", "max_slowdown", "groups")
    return Spec(
        path=path,
        objective=given["objective"],
        knobs=given["knob"],
        constraints=limits,
        command=Command(**work),
        record=path.parent / given.get("record", path.stem + ".jsonl"),
        prior=None if prior is None else (path.parent / prior["table"], _words(prior.get("where", {}))),
        **{name: given[name] for name in plain if name in given},
    )


def _tables(path: Path, name: str, given: dict[str, Any]) -> list[dict[str, Any]]:
    found = given.get(name, [])
    if not all(isinstance(one, dict) for one in found):
        raise FormatError(f"{path}, {name}: it must be tables, each under [[{name}]]")
    return list(found)


def _check(path: Path, where: str, given: dict[str, Any], known: dict[str, Any], needed: tuple[str, ...]) -> None:
    for name, value in given.items():
        place = f"{path}, {where}{', ' if where else ''}{name}"
        if name not in known:
            raise FormatError(f"{place}: there is no such key; known are {', '.join(known)}")
        kind = known[name]
        fits = isinstance(value, (int, float) if kind is float else kind) and (kind is bool) == isinstance(value, bool)
        if kind is not object and not fits:
            raise FormatError(f"{place}: {value!r} is no {NAMES[kind]}")
    for name in needed:
        if name not in given:
            raise FormatError(f"{path}{', ' if where else ''}{where}: {name} is missing")


def _texts(path: Path, where: str, values: list[Any]) -> None:
    if not values and where.endswith("command"):
        raise FormatError(f"{path}, {where}: it is empty")
    for value in values:
        if not isinstance(value, str):
            raise FormatError(f"{path}, {where}: {value!r} is no text; write it in quotes")


def _words(values: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in values.items()}
