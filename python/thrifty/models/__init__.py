"""Small language models in torch: one decoder, one trainer; models of transformers as targets and drafts."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from thrifty.models.branches import Branch, branches
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
    "branches",
    "load_decoder",
    "save_decoder",
    "train",
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
    if name in ("Branch", "branches"):
        # A module has the function's name: the function is put in its place here.
        from thrifty.models import branches as module

        globals().update(Branch=module.Branch, branches=module.branches)
        return globals()[name]
    raise AttributeError(f"module 'thrifty.models' has no attribute {name!r}")
