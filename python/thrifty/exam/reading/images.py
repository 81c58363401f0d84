"""Pictures of questions: bytes as they came, and the kind that the bytes say. Nothing is decoded or fetched."""

from __future__ import annotations

import base64
import binascii
import struct
from dataclasses import dataclass

__all__ = ["MOST_PIXELS", "Image", "read_uri"]

#: Larger pictures are refused, by what their headers say.
MOST_PIXELS = 40_000_000
#: Letters of a longer data URI are not looked at.
MOST_LETTERS = 32 << 20


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


def read_uri(uri: str, most_pixels: int = MOST_PIXELS) -> tuple[Image, str]:
    r"""Return the picture of a data URI, and the MIME type that it is labelled with.

    Raises
    ------
    ValueError
        For anything that is no whole header of a PNG, JPEG, GIF or WebP file in base64, or has too many pixels.

    Examples
    --------
    >>> read_uri("data:image/gif;base64,R0lGODlhAgADAAAAADs=")
    (Image(data=b'GIF89a\x02\x00\x03\x00\x00\x00\x00;', mime='image/gif', width=2, height=3), 'image/gif')
    """
    head, comma, payload = uri.partition(",")
    parts = head[:200].split(";")
    if not comma or parts[0][:5].lower() != "data:":
        raise ValueError("it is no data URI; files and addresses are never opened")
    label = parts[0][5:].strip().lower()
    label = "image/jpeg" if label == "image/jpg" else label  # as many write it
    if label.partition("+")[0] == "image/svg":
        raise ValueError("SVG is refused, it is a program; give PNG, JPEG, GIF or WebP")
    if parts[-1].strip().lower() != "base64":
        raise ValueError("the data URI is not in base64")
    if len(payload) > MOST_LETTERS:
        raise ValueError(f"{len(payload):,} letters of base64; at most {MOST_LETTERS:,} are read")
    try:
        # The first bytes alone tell the size: what is too large is not even copied.
        mime, width, height = header(base64.b64decode(payload[:40_000], validate=True), len(payload) > 40_000)
        if width * height > most_pixels:
            raise ValueError(f"{width} x {height} pixels; at most {most_pixels:,} are allowed")
        data = base64.b64decode(payload, validate=True)
    except binascii.Error as error:
        raise ValueError(f"it is not base64: {error}") from None
    mime, width, height = header(data, False)
    if width * height > most_pixels:
        raise ValueError(f"{width} x {height} pixels; at most {most_pixels:,} are allowed")
    return Image(data, mime, width, height), label


def header(data: bytes, more: bool) -> tuple[str, int, int]:
    """Return MIME type, width and height that the first bytes tell; 0 x 0 where that takes ``more`` bytes to come.

    Sources: PNG 11.2.1, JPEG (T.81) B.2.2, GIF89a 18, WebP container (RFC 9649) 2.
    """
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        mime, size = "image/png", _png(data)
    elif data[:3] == b"\xff\xd8\xff":
        mime, size = "image/jpeg", _jpeg(data)
    elif data[:6] in (b"GIF87a", b"GIF89a"):
        mime, size = "image/gif", struct.unpack_from("<HH", data, 6) if len(data) >= 10 else None
    elif data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        mime, size = "image/webp", _webp(data)
    elif data.lstrip()[:5].lower() in (b"<svg ", b"<?xml", b"<!doc"):
        raise ValueError("its bytes are SVG or other XML, which is refused; give PNG, JPEG, GIF or WebP")
    else:
        raise ValueError(
            f"its bytes are neither PNG, JPEG, GIF nor WebP: they begin with {data[:8].hex(' ') or 'none'}"
        )
    if size is None and more:
        return mime, 0, 0
    if size is None or not (size[0] and size[1]):
        raise ValueError(f"the header of the {mime.partition('/')[2].upper()} file is damaged or cut off")
    return mime, size[0], size[1]


def _png(data: bytes) -> tuple[int, int] | None:
    if len(data) < 33 or data[8:16] != b"\x00\x00\x00\x0dIHDR":
        return None
    width, height = struct.unpack_from(">II", data, 16)
    return (width, height) if max(width, height) < 1 << 31 else None


#: Markers of frames that have a size: SOF0 to SOF15 without DHT, JPG and DAC.
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}


def _jpeg(data: bytes) -> tuple[int, int] | None:
    at = 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:  # no length follows
            at += 2
        elif marker in _FRAMES:
            if at + 9 > len(data):
                return None
            height, width = struct.unpack_from(">HH", data, at + 5)
            return width, height
        elif marker in (0xD9, 0xDA):  # the picture ends, or begins, without a frame
            return None
        else:
            length = int.from_bytes(data[at + 2 : at + 4], "big")
            if length < 2:
                return None
            at += 2 + length
    return None


def _webp(data: bytes) -> tuple[int, int] | None:
    kind = data[12:16]
    if kind == b"VP8X" and len(data) >= 30:
        return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    if kind == b"VP8L" and len(data) >= 25 and data[20] == 0x2F:
        bits = int.from_bytes(data[21:25], "little")
        return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
    if kind == b"VP8 " and len(data) >= 30 and data[23:26] == b"\x9d\x01\x2a":
        width, height = struct.unpack_from("<HH", data, 26)
        return width & 0x3FFF, height & 0x3FFF
    return None
