"""Which decoders a calibration times: sizes of their layers, each deep and narrow, shallow and wide, and between."""

from __future__ import annotations

from thrifty.device.shape import ModelShape
from thrifty.device.timing import Point

__all__ = ["calls_to_meter", "calls_to_time", "of_size"]

#: Parameters in the layers, and depths, of calls of one row; the widest and the deepest have others beside them,
#: since a law is told wrong most where it ends.
SMALL = {
    0.2e6: (1, 2, 4, 8),
    0.4e6: (1, 3, 10),
    0.7e6: (1, 3, 6, 16),
    1.3e6: (1, 2, 6, 24),
    2.5e6: (1, 2, 4, 8, 24),
    6e6: (1, 3, 8, 32),
    12e6: (1, 3, 6, 16),
    20e6: (1, 4, 12, 32),
    45e6: (1, 6, 24, 48),
}
LARGE = {
    2e6: (1, 4, 12, 24),
    6e6: (2, 8, 32),
    12e6: (1, 3, 8, 24),
    30e6: (2, 6, 20, 48),
    60e6: (1, 4, 10, 32),
    120e6: (2, 8, 16, 40),
    240e6: (2, 6, 12, 32),
    500e6: (3, 10, 24, 48),
    1.1e9: (4, 8, 16, 24, 48),
}
#: Sizes of which some have more ids, a longer cache, or several rows.
SOME = {False: (0.7e6, 2.5e6, 12e6), True: (6e6, 60e6, 500e6)}
#: Sequences, and tokens of each, of calls of several rows; shapes have the one and the other in turn.
CALLS = (((1, 2), (1, 8), (8, 1), (1, 128)), ((1, 2), (1, 4), (1, 32), (32, 1), (4, 16)))
#: Of each such size.
DEPTHS = ((1, 2, 6, 16), (1, 3, 8, 24), (1, 2, 5, 12))
#: Beyond both ends of these, and a long prompt.
ENDS = {False: ((1.3e6, 24), (25e6, 2)), True: ((3e6, 32), (1.1e9, 8))}
AT_ENDS, PROMPT = ((1, 2), (1, 8), (16, 1), (1, 64)), 512
CONTEXT, LONG, LONGEST = 32, 512, 2048
VOCAB, VOCABS = 256, (4096, 16_000, 50_000)


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
    sizes, some = LARGE if large else SMALL, SOME[large]

    def shape(parameters: float, layers: int, vocab: int = VOCAB) -> ModelShape:
        multiple = 64 if large or parameters / layers > 2e6 else 32
        return of_size(parameters, layers, vocab=vocab, multiple=multiple, dtype_bytes=dtype_bytes)

    points = [
        Point(shape=shape(parameters, layers), context=CONTEXT)
        for parameters, depths in sizes.items()
        for layers in depths
    ]
    # Keys and values, and the output layer, apart from the rest.
    points += [Point(shape=shape(size, layers), context=LONG) for size in some for layers in (2, 12)]
    points += [Point(shape=shape(size, layers), context=LONGEST) for size, layers in zip(some[:2], (4, 6), strict=True)]
    points += [
        Point(shape=shape(size, layers, vocab), context=CONTEXT)
        for size, depths in zip(some, ((2, 6), (3, 10), (4, 12)), strict=True)
        for layers, vocab in zip(depths, VOCABS[:2] if size == some[0] else VOCABS[1:], strict=True)
    ]
    points += [
        Point(shape=shape(size, layers), batch=batch, tokens=tokens, context=CONTEXT)
        for size, depths in zip(some, DEPTHS, strict=True)
        for number, layers in enumerate(depths)
        for batch, tokens in CALLS[number % 2]
    ]
    points += [
        Point(shape=shape(size, layers), batch=batch, tokens=tokens, context=CONTEXT)
        for size, layers in ENDS[large]
        for batch, tokens in AT_ENDS
    ]
    points += [Point(shape=shape(size, layers), tokens=PROMPT) for size in some[:2] for layers in (2, 8)]
    points += [Point(shape=shape(size, layers), batch=8, context=LONG) for size in some[:2] for layers in (3, 8)]
    return points


def calls_to_meter(dtype_bytes: float, *, large: bool = False) -> list[Point]:
    """Return the decoding steps whose joules a calibration reads: small and large, deep and shallow, alone and many."""
    sizes = (12e6, 120e6, 1.1e9) if large else (0.7e6, 6e6, 20e6)
    multiple = 64 if large else 32

    def shape(parameters: float, layers: int) -> ModelShape:
        return of_size(parameters, layers, multiple=multiple, dtype_bytes=dtype_bytes)

    points = [Point(shape=shape(size, layers), context=CONTEXT) for size in sizes for layers in (4, 16)]
    points += [Point(shape=shape(sizes[-1], 8), batch=batch, context=CONTEXT) for batch in (8, 32)]
    return points
