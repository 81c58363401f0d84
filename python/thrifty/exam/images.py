"""Pictures of questions: bytes as they came, and the kind that the bytes say."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Image"]


@dataclass(frozen=True, slots=True)
class Image:
    """One picture.

    Attributes
    ----------
    data : bytes
        As they came; never decoded and never changed.
    mime : str
        Told from the bytes: ``image/png``, ``image/jpeg``, ``image/gif`` or ``image/webp``.
    width, height : int
        Pixels, from the header.
    """

    data: bytes
    mime: str
    width: int
    height: int
