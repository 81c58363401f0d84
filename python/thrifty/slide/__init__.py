"""Train huge output layers on CPUs at the cost of their active neurons (arXiv 2201.12667 and its predecessors).

>>> import numpy as np
>>> from scipy.sparse import csr_matrix
>>> from thrifty.slide import LSHConfig, Trainer
>>> inputs = csr_matrix(np.eye(40, dtype=np.float32))
>>> trainer = Trainer(features=40, labels=40, hidden=32, head=LSHConfig(k=1, active=40), lr=0.05)
>>> losses = [epoch.loss for epoch in trainer.fit(inputs, inputs, epochs=60)]
>>> losses[-1] < losses[0]
True
>>> trainer.evaluate(inputs, inputs)["p_at_1"]
1.0
"""

from typing import TYPE_CHECKING

from thrifty.slide.config import LSHConfig
from thrifty.slide.data import read_xml, write_xml
from thrifty.slide.hashing import hash_codes
from thrifty.slide.metrics import ndcg_at, precision_at, propensities, psp_at, scores
from thrifty.slide.trainer import Epoch, Trainer

if TYPE_CHECKING:
    from thrifty.slide.linear import LSHLinear

__all__ = [
    "Epoch",
    "LSHConfig",
    "LSHLinear",
    "Trainer",
    "hash_codes",
    "ndcg_at",
    "precision_at",
    "propensities",
    "psp_at",
    "read_xml",
    "scores",
    "write_xml",
]


def __getattr__(name: str) -> object:
    if name == "LSHLinear":  # the only name that needs torch
        from thrifty.slide.linear import LSHLinear

        return LSHLinear
    raise AttributeError(f"module 'thrifty.slide' has no attribute {name!r}")
