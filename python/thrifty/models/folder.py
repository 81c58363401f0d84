"""Decoders of any layers as folders: config.json, model.safetensors, and tokenizer.json where text is no bytes."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from thrifty._torch import require_torch
from thrifty.errors import FormatError, MismatchError, MissingExtra
from thrifty.models.decoder import Decoder, DecoderConfig
from thrifty.pairconnect.spec import PairSpec

if TYPE_CHECKING:
    from os import PathLike

torch: Any = require_torch()

__all__ = ["load_decoder", "save_decoder"]

FORMAT, VERSION = "thrifty.decoder", 1


def _safetensors() -> Any:
    try:
        import safetensors.torch
    except ImportError as error:
        raise MissingExtra("this needs safetensors; install it with: pip install 'thrifty[torch]'") from error
    return safetensors


def save_decoder(
    model: Decoder,
    folder: str | PathLike[str],
    *,
    tokenizer: str = "",
    training: dict[str, Any] | None = None,
    dtype: Literal["f32", "bf16"] = "f32",
) -> None:
    """Write a decoder; what the folder has of another one is replaced.

    Parameters
    ----------
    model : Decoder
    folder : path
        Made when it is not there.
    tokenizer : str
        What the file of its tokenizer contains; empty for bytes.
    training : dict, optional
        What config.json shall say of how it was trained.
    dtype : str
        Of the weights in the file.
    """
    if dtype not in ("f32", "bf16"):
        raise ValueError(f"dtype: '{dtype}' is not f32 or bf16")
    path = Path(folder)
    path.mkdir(exist_ok=True)
    # config.json comes last: with it the folder is complete.
    (path / "config.json").unlink(missing_ok=True)
    as_dtype = torch.float32 if dtype == "f32" else torch.bfloat16
    tensors = {name: w.detach().to("cpu", as_dtype).contiguous() for name, w in model.state_dict().items()}
    _safetensors().torch.save_file(tensors, path / "model.safetensors")
    if tokenizer:
        (path / "tokenizer.json").write_text(tokenizer, encoding="utf-8")
    else:
        (path / "tokenizer.json").unlink(missing_ok=True)
    sizes = {"format": FORMAT, "version": VERSION, "decoder": asdict(model.config), "training": training or {}}
    (path / "config.json").write_text(json.dumps(sizes, indent=1) + "\n")


def load_decoder(folder: str | PathLike[str], *, device: str = "cpu") -> tuple[Decoder, str, dict[str, Any]]:
    """Open what :func:`save_decoder` wrote.

    Parameters
    ----------
    folder : path
    device : str
        Where its weights, in f32, shall be.

    Returns
    -------
    model : Decoder
        Ready to predict: without dropout.
    tokenizer : str
        What the file of its tokenizer contains; empty for bytes.
    training : dict
        How it was trained.

    Raises
    ------
    OSError
        When a file is not there.
    FormatError
        When a file is not what it should be.
    MismatchError
        When the folder is of a newer version.

    Examples
    --------
    >>> import tempfile
    >>> from thrifty.models import Decoder, DecoderConfig, load_decoder, save_decoder
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     save_decoder(Decoder(DecoderConfig(vocab=256, dim=32, mixers=("attention",))), folder)
    ...     load_decoder(folder)[0].config.mixers
    ('attention',)
    """
    path = Path(folder)
    config, training = _config(path / "config.json")
    file = path / "model.safetensors"
    if not file.exists():
        raise FileNotFoundError(2, "No such file of weights", str(file))
    try:
        tensors = _safetensors().torch.load_file(file)
    except OSError:
        raise
    except Exception as error:  # the package raises nothing narrower
        raise FormatError(f"{file}: no safetensors: {error}") from None
    try:
        model = Decoder(config)
    except (ValueError, TypeError, RuntimeError) as error:
        raise FormatError(f"{path / 'config.json'}: no decoder has these sizes: {error}") from None
    wanted = {name: tuple(w.shape) for name, w in model.state_dict().items()}
    found = {name: tuple(w.shape) for name, w in tensors.items()}
    for name in sorted(wanted.keys() | found.keys()):
        if wanted.get(name) != found.get(name):
            raise FormatError(
                f"{file}: {name}: shape {found.get(name, 'none')}, and {wanted.get(name, 'none')} by config.json"
            )
    model.load_state_dict(tensors)
    tokenizer = path / "tokenizer.json"
    text = tokenizer.read_text(encoding="utf-8") if tokenizer.exists() else ""
    if not text and config.vocab > 256:
        raise FormatError(f"{folder}: has {config.vocab} ids and no tokenizer.json")
    return model.to(device).eval(), text, training


def _config(path: Path) -> tuple[DecoderConfig, dict[str, Any]]:
    try:
        given = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise FormatError(f"{path}: no JSON: {error}") from None
    if not isinstance(given, dict) or given.get("format") != FORMAT:
        raise FormatError(f"{path}: not of a decoder that thrifty saved: no format '{FORMAT}'")
    if given.get("version") != VERSION:
        raise MismatchError(f"{path}: version {given.get('version')}, and this thrifty reads version {VERSION}")
    try:
        fields = dict(given["decoder"])
        pair = fields.pop("pair")
        fields["mixers"] = tuple(fields["mixers"])
        config = DecoderConfig(**fields, pair=None if pair is None else PairSpec(**pair))
        training = dict(given["training"])
    except (KeyError, TypeError, ValueError) as error:
        raise FormatError(f"{path}: sizes of the decoder can't be read: {type(error).__name__}: {error}") from None
    return config, training
