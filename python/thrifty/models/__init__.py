"""Small language models in torch: one decoder, one trainer; models of transformers as targets and drafts."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from thrifty.models.branches import Branch, train_branches
    from thrifty.models.cached import CachedDecoder
    from thrifty.models.decoder import Decoder, DecoderConfig
    from thrifty.models.folder import load_decoder, save_decoder
    from thrifty.models.hf import HFModel
    from thrifty.models.trainer import TrainSettings, train

__all__ = [
    "Branch",
    "CachedDecoder",
    "Decoder",
    "DecoderConfig",
    "HFModel",
    "TrainSettings",
    "load_decoder",
    "save_decoder",
    "train",
    "train_branches",
]


def __getattr__(name: str) -> object:
    if name in ("Decoder", "DecoderConfig"):
        from thrifty.models import decoder

        return getattr(decoder, name)
    if name in ("load_decoder", "save_decoder"):
        from thrifty.models import folder

        return getattr(folder, name)
    if name == "CachedDecoder":
        from thrifty.models import cached

        return cached.CachedDecoder
    if name == "HFModel":
        from thrifty.models import hf

        return hf.HFModel
    if name in ("TrainSettings", "train"):
        from thrifty.models import trainer

        return getattr(trainer, name)
    if name in ("Branch", "train_branches"):
        from thrifty.models import branches

        return getattr(branches, name)
    raise AttributeError(f"module 'thrifty.models' has no attribute {name!r}")
