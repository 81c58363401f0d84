"""Language models that look up instead of attend (arXiv 2106.08235).

>>> from thrifty.pairconnect import PairSpec, PairTable
>>> table = PairTable(PairSpec(vocab=256, rows=1024, heads=4, head_dim=32))
>>> table.lookup([1, 2, 3]).shape
(3, 128)
"""

from thrifty.pairconnect.bpe import ByteBPE
from thrifty.pairconnect.draft import PairDraft
from thrifty.pairconnect.engram import EngramFuture, EngramTable
from thrifty.pairconnect.engram_spec import EngramSpec
from thrifty.pairconnect.model import PairLM
from thrifty.pairconnect.spec import PairSpec
from thrifty.pairconnect.table import PairTable
from thrifty.pairconnect.text import Bytes, Tokenizer, read_text

__all__ = [
    "ByteBPE",
    "Bytes",
    "EngramFuture",
    "EngramSpec",
    "EngramTable",
    "PairDraft",
    "PairLM",
    "PairSpec",
    "PairTable",
    "Tokenizer",
    "read_text",
]
