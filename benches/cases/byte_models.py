"""Small models of transformers over bytes, trained on the novels of the package and kept: a target, three drafts.

``wide`` has one layer and ``deep`` six narrow ones, both of their own; ``trunc2`` begins as the first two layers of
the target and is trained on. All read the same text. ``python byte_models.py FOLDER --seconds 300`` makes them; a model
that is in the folder already is not made again. On a GPU all steps take a minute; two CPU cores give weaker models.
"""

from __future__ import annotations

import argparse
import lzma
import math
import sys
import time
from pathlib import Path
from typing import Any

import torch

SHAPES = {
    "target": {"hidden_size": 320, "intermediate_size": 896, "num_hidden_layers": 8, "num_attention_heads": 5},
    "wide": {"hidden_size": 240, "intermediate_size": 672, "num_hidden_layers": 1, "num_attention_heads": 4},
    "deep": {"hidden_size": 96, "intermediate_size": 256, "num_hidden_layers": 6, "num_attention_heads": 3},
    "trunc2": {"hidden_size": 320, "intermediate_size": 896, "num_hidden_layers": 2, "num_attention_heads": 5},
}
DRAFTS = ("wide", "deep", "trunc2")
LENGTH, ROWS, RATE = 512, 16, 1e-3
#: More would teach large models this text by heart.
STEPS = {"target": 400, "wide": 800, "deep": 800, "trunc2": 400}
TEXT = Path(__file__).resolve().parents[2] / "python" / "thrifty" / "data" / "pairconnect" / "novels.txt.xz"


def novels() -> torch.Tensor:
    """The bytes that all are trained on."""
    return torch.frombuffer(bytearray(lzma.open(TEXT).read()), dtype=torch.uint8)


def made(name: str, target: Any = None) -> Any:
    """A model of random weights, but for ``trunc2`` with those of the target."""
    from transformers import LlamaConfig, LlamaForCausalLM

    shape = SHAPES[name]
    config = LlamaConfig(
        vocab_size=256,
        max_position_embeddings=2048,
        tie_word_embeddings=True,
        num_key_value_heads=shape["num_attention_heads"],
        bos_token_id=None,
        eos_token_id=None,
        pad_token_id=None,
        **shape,
    )
    torch.manual_seed(1)
    model = LlamaForCausalLM(config)
    if name == "trunc2":
        found = model.load_state_dict({k: v for k, v in target.state_dict().items() if k in model.state_dict()})
        assert not found.missing_keys
    return model


def trained(model: Any, text: torch.Tensor, steps: int, seconds: float) -> tuple[Any, int, float]:
    """Train for so many steps, or as many as there is time for; the steps made, and the last losses in nats a byte."""
    device = "cuda" if torch.cuda.is_available() else "cpu"
    model.to(device).train()
    text = text.to(device)
    random = torch.Generator().manual_seed(2)
    optimizer = torch.optim.AdamW(model.parameters(), lr=RATE, betas=(0.9, 0.95), weight_decay=0.1)
    begun, step, last = time.monotonic(), 0, []
    while (share := max((time.monotonic() - begun) / seconds, step / steps)) < 1:
        for group in optimizer.param_groups:
            group["lr"] = RATE * min(1.0, (step + 1) / 100) * (0.05 + 0.95 * (1 + math.cos(math.pi * share)) / 2)
        at = torch.randint(0, len(text) - LENGTH, (ROWS, 1), generator=random)
        ids = text[(at + torch.arange(LENGTH)).to(device)].long()
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            loss = model(input_ids=ids, labels=ids, use_cache=False).loss
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        step += 1
        if step % 20 == 0:
            last = [*last[-9:], loss.item()]
    return model.to("cpu").eval(), step, sum(last) / max(len(last), 1)


def models(folder: Path, seconds: float) -> dict[str, Any]:
    """All four, from the folder or trained: the target for ``seconds``, drafts for half of it each."""
    from transformers import LlamaForCausalLM

    found: dict[str, Any] = {}
    for name in SHAPES:
        path = folder / name
        if not (path / "model.safetensors").exists():
            model = made(name, found.get("target"))
            model, steps, loss = trained(model, novels(), STEPS[name], seconds if name == "target" else seconds / 2)
            model.generation_config.pad_token_id = 0
            model.save_pretrained(path)
            print(f"{name}: {steps} steps, {loss:.3f} nats a byte", file=sys.stderr, flush=True)
        found[name] = LlamaForCausalLM.from_pretrained(path, dtype=torch.float32).eval()
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--seconds", type=float, default=300.0)
    arguments = parser.parse_args()
    models(arguments.folder, arguments.seconds)
