"""What grading an answer says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Verdict"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the rules make of one response.

    Attributes
    ----------
    verdict : str
        ``"equal"``, ``"different"``, or ``"abstain"`` where the rules can't tell and a judge is needed.
    rule : str
        The rule that decided.
    gold_normalised, answer_normalised : str
        What was compared.
    confidence_percent : float or None
        As stated in the response, 0 to 100; None where it is not.
    """

    verdict: Literal["equal", "different", "abstain"]
    rule: str
    gold_normalised: str
    answer_normalised: str
    confidence_percent: float | None = None
