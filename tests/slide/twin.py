"""A slow, readable twin of a training step in numpy, float64: a loss over active neurons, Adam for touched rows."""

from __future__ import annotations

from typing import Any

import numpy as np


class Twin:
    """The network of a trainer, and the moments of Adam."""

    def __init__(self, weights: dict[str, Any], lr: float, dense: bool = False) -> None:
        self.w = {name: w.astype(np.float64) for name, w in weights.items()}
        self.m = {name: np.zeros_like(w) for name, w in self.w.items()}
        self.v = {name: np.zeros_like(w) for name, w in self.w.items()}
        self.lr, self.steps, self.dense = lr, 0, dense
        self.gradients: dict[str, Any] = {}

    def hidden(self, inputs: Any) -> Any:
        return np.maximum(inputs @ self.w["input"] + self.w["input_bias"], 0)

    def scores(self, inputs: Any) -> Any:
        return self.hidden(inputs) @ self.w["output"].T + self.w["output_bias"]

    def step(self, inputs: Any, targets: Any, active: Any = None, shifts: Any = 0.0, loss: str = "softmax") -> float:
        """One step over dense rows; returns the mean loss.

        ``active`` are the neurons that count (ascending, all labels among them; by default all), ``shifts`` what their
        scores are raised by. What the step did is left in ``gradients``, rows of neurons that are not active zero.
        """
        inputs, targets = inputs.toarray().astype(np.float64), targets.toarray().astype(np.float64)
        active = np.arange(targets.shape[1]) if active is None else np.asarray(active)
        labels = targets[:, active]
        hidden, scores = self.hidden(inputs), self.scores(inputs)[:, active] + shifts
        if loss == "softmax":
            shares = labels / labels.sum(axis=1, keepdims=True)
            most = scores.max(axis=1, keepdims=True)
            logs = scores - most - np.log(np.exp(scores - most).sum(axis=1, keepdims=True))
            lost, p = -(shares * logs).sum(axis=1), np.exp(logs)
        else:
            shares, p = labels, 1 / (1 + np.exp(-scores))
            lost = (np.logaddexp(0, scores) - labels * scores).sum(axis=1)
        delta = np.zeros(targets.shape)
        delta[:, active] = (p - shares) / inputs.shape[0]
        of_hidden = delta @ self.w["output"]
        back = of_hidden * (hidden > 0)
        self.gradients = {
            "output": delta.T @ hidden,
            "output_bias": delta.sum(axis=0),
            "hidden": of_hidden,
            "input": inputs.T @ back,
            "input_bias": back.sum(axis=0),
        }
        touched = {
            "output": active,
            "output_bias": active,
            "input": np.flatnonzero((inputs != 0).any(axis=0)),
            "input_bias": np.arange(hidden.shape[1]),
        }
        self.steps += 1
        size = self.lr * np.sqrt(1 - 0.999**self.steps) / (1 - 0.9**self.steps)
        for name, with_gradient in touched.items():
            rows = slice(None) if self.dense else with_gradient
            g, m, v = self.gradients[name], self.m[name], self.v[name]
            m[rows] = 0.9 * m[rows] + 0.1 * g[rows]
            v[rows] = 0.999 * v[rows] + 0.001 * g[rows] ** 2
            self.w[name][rows] -= size * m[rows] / (np.sqrt(v[rows]) + 1e-8)
        return float(lost.mean())
