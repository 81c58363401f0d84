"""Which decoders a calibration times: sizes of their layers, each deep and narrow, shallow and wide, and between."""

from __future__ import annotations

from thrifty.device.shape import ModelShape
from thrifty.device.timing import Point

__all__ = ["calls_to_time", "of_size"]

#: Parameters in the layers, and depths.
SMALL = {
    0.2e6: (1, 2, 4, 8),
    0.4e6: (1, 3, 10),
    0.7e6: (1, 3, 6, 16),
    1.3e6: (1, 2, 6),
    2.5e6: (1, 2, 4, 8, 24),
    6e6: (1, 3, 8),
    12e6: (1, 3, 6, 16),
    20e6: (1, 4, 12),
}
LARGE = {2e6: (1, 4, 12), 12e6: (1, 3, 8, 24), 60e6: (2, 6, 16), 240e6: (2, 6, 12, 32)}
#: Sequences, and tokens of each, of calls of several rows; shapes have the one and the other in turn.
CALLS = (((1, 2), (1, 8), (8, 1)), ((1, 4), (1, 32), (32, 1)))
CONTEXT, LONG = 32, 512
VOCAB = 256


def of_size(
    parameters: float, layers: int, *, vocab: int = VOCAB, multiple: int = 32, dtype_bytes: float = 4.0
) -> ModelShape:
    """Return a decoder with so many parameters in its layers, units about 8/3 of its width, heads of ``multiple``.

    Examples
    --------
    >>> from thrifty.device.grid import of_size
    >>> str(of_size(0.7e6, 4))
    '4 x 128, 4 heads of 32, 288 units'
    """
    dim = max(multiple, round((parameters / layers / 12) ** 0.5 / multiple) * multiple)
    hidden = max(16, round((parameters / layers - 4 * dim * dim) / (3 * dim) / 16) * 16)
    return ModelShape(
        layers=layers,
        dim=dim,
        heads=dim // multiple,
        hidden=hidden,
        vocab=vocab,
        tied=True,
        dtype_bytes=dtype_bytes,
    )


def calls_to_time(dtype_bytes: float, *, large: bool = False) -> list[Point]:
    """Return the calls of a calibration; ``large`` for what has the bandwidth of an accelerator."""
    sizes, multiple = (LARGE, 64) if large else (SMALL, 32)

    def shape(parameters: float, layers: int, vocab: int = VOCAB) -> ModelShape:
        return of_size(parameters, layers, vocab=vocab, multiple=multiple, dtype_bytes=dtype_bytes)

    points = [
        Point(shape=shape(parameters, layers), context=CONTEXT)
        for parameters, depths in sizes.items()
        for layers in depths
    ]
    small, middle, large_ = (2e6, 12e6, 60e6) if large else (0.7e6, 2.5e6, 12e6)
    # Keys and values, and the output layer, apart from the rest.
    points += [Point(shape=shape(size, 4), context=LONG) for size in (small, large_)]
    points += [Point(shape=shape(small, 2, vocab), context=CONTEXT) for vocab in (4096, 32_000)]
    several = [(size, layers) for size in (small, middle, large_) for layers in (1, 3, 16)]
    points += [
        Point(shape=shape(size, layers), batch=batch, tokens=tokens, context=CONTEXT)
        for number, (size, layers) in enumerate(several)
        for batch, tokens in CALLS[number % 2]
    ]
    points += [Point(shape=shape(small, 4), batch=8, context=LONG)]
    return points
