"""A slow, readable twin of a training step in numpy, float64: all neurons active, Adam for touched rows."""

from __future__ import annotations

from typing import Any

import numpy as np


class Twin:
    """The network of a trainer, and the moments of Adam."""

    def __init__(self, weights: dict[str, Any], lr: float) -> None:
        self.w = {name: w.astype(np.float64) for name, w in weights.items()}
        self.m = {name: np.zeros_like(w) for name, w in self.w.items()}
        self.v = {name: np.zeros_like(w) for name, w in self.w.items()}
        self.lr, self.steps = lr, 0

    def hidden(self, inputs: Any) -> Any:
        return np.maximum(inputs @ self.w["input"] + self.w["input_bias"], 0)

    def scores(self, inputs: Any) -> Any:
        return self.hidden(inputs) @ self.w["output"].T + self.w["output_bias"]

    def step(self, inputs: Any, targets: Any) -> float:
        """One step over dense rows; returns the mean loss."""
        inputs, targets = inputs.toarray().astype(np.float64), targets.toarray().astype(np.float64)
        shares = targets / targets.sum(axis=1, keepdims=True)
        hidden, scores = self.hidden(inputs), self.scores(inputs)
        p = np.exp(scores - scores.max(axis=1, keepdims=True))
        p /= p.sum(axis=1, keepdims=True)
        delta = (p - shares) / len(inputs)
        back = (delta @ self.w["output"]) * (hidden > 0)
        gradients = {
            "output": delta.T @ hidden,
            "output_bias": delta.sum(axis=0),
            "input": inputs.T @ back,
            "input_bias": back.sum(axis=0),
        }
        self.steps += 1
        for name, g in gradients.items():
            touched = (inputs != 0).any(axis=0) if name == "input" else np.ones(len(g), bool)
            m, v = self.m[name], self.v[name]
            m[touched] = 0.9 * m[touched] + 0.1 * g[touched]
            v[touched] = 0.999 * v[touched] + 0.001 * g[touched] ** 2
            size = self.lr * np.sqrt(1 - 0.999**self.steps) / (1 - 0.9**self.steps)
            self.w[name][touched] -= size * m[touched] / (np.sqrt(v[touched]) + 1e-8)
        return float(-(shares * np.log(p)).sum(axis=1).mean())
