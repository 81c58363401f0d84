"""Searches of other libraries over the same tables: Optuna's TPE and GPSampler, BoTorch's LogCEI, and chance.

Each asks for the number of a setting and is told logarithms: the objective, and how far the limit is exceeded. All ask
for the default first. Optuna sees a knob as the number of its value, in order; a question that was answered before is
answered from memory and counted apart, and one for a combination that no table has fails. BoTorch gets the same first
questions as ours, and looks at all settings that were not asked yet.
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty.throttle.starts import starts

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from thrifty.throttle import Space


class Chance:
    """Settings at random, none twice."""

    def __init__(self, space: Space, seed: int) -> None:
        order = np.random.default_rng(seed).permutation(len(space))
        default = space.default()
        self.order = [default, *(int(i) for i in order if i != default)]

    def ask(self) -> int | None:
        return self.order.pop(0) if self.order else None

    def tell(self, index: int, objective: float, excess: float) -> None:
        pass


class Optuna:
    """A study of integers with a constraint."""

    def __init__(self, space: Space, seed: int, sampler: str) -> None:
        import optuna

        warnings.filterwarnings("ignore", module="optuna")
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        kinds = {"tpe": optuna.samplers.TPESampler, "gp": optuna.samplers.GPSampler}
        options: dict[str, Any] = {"multivariate": True} if sampler == "tpe" else {}
        made = kinds[sampler](seed=seed, constraints_func=lambda trial: trial.user_attrs["c"], **options)
        self.study = optuna.create_study(sampler=made)
        self.space, self.failed = space, optuna.trial.TrialState.FAIL
        self.study.enqueue_trial(dict(zip(self._names(), space.levels[space.default()].tolist(), strict=True)))
        self.index = {tuple(row): i for i, row in enumerate(space.levels.tolist())}
        self.trial: Any = None

    def _names(self) -> list[str]:
        return [knob.name for knob in self.space.knobs]

    def ask(self) -> int | None:
        for _ in range(1000):
            self.trial = self.study.ask()
            levels = tuple(self.trial.suggest_int(k.name, 0, len(k.values) - 1) for k in self.space.knobs)
            if levels in self.index:
                return self.index[levels]
            self.trial.set_user_attr("c", (1.0,))
            self.study.tell(self.trial, state=self.failed)
        return None

    def tell(self, index: int, objective: float, excess: float) -> None:
        self.trial.set_user_attr("c", (excess,))
        self.study.tell(self.trial, objective)


class LogCEI:
    """Gaussian processes of BoTorch and the logarithm of constrained expected improvement."""

    def __init__(self, space: Space, seed: int) -> None:
        import torch

        torch.manual_seed(seed)
        self.space, self.starts = space, starts(space, np.random.default_rng(seed))
        self.seen: list[int] = []
        self.told: list[tuple[float, float]] = []

    def ask(self) -> int | None:
        while self.starts and self.starts[0] in self.seen:
            self.starts.pop(0)
        if self.starts:
            return self.starts[0]
        unseen = np.setdiff1d(np.arange(len(self.space)), self.seen)
        return int(unseen[np.argmax(self._score(unseen))]) if len(unseen) else None

    def _score(self, unseen: NDArray[np.int64]) -> Any:
        import torch
        from botorch.acquisition.analytic import LogConstrainedExpectedImprovement
        from botorch.fit import fit_gpytorch_mll
        from botorch.models import ModelListGP, SingleTaskGP
        from botorch.models.transforms import Standardize
        from gpytorch.mlls import SumMarginalLogLikelihood

        warnings.simplefilter("ignore")
        x = torch.from_numpy(self.space.x[self.seen])
        told = torch.tensor(self.told, dtype=torch.float64)
        models = [SingleTaskGP(x, told[:, i : i + 1], outcome_transform=Standardize(1)) for i in (0, 1)]
        model = ModelListGP(*models)
        fit_gpytorch_mll(SumMarginalLogLikelihood(model.likelihood, model))
        kept = told[told[:, 1] <= 0]
        # Where nothing keeps the limit yet, all that was seen counts as kept.
        best = (kept if len(kept) else told)[:, 0].min()
        score = LogConstrainedExpectedImprovement(
            model, best_f=best, objective_index=0, constraints={1: (None, 0.0)}, maximize=False
        )
        with torch.no_grad():
            return score(torch.from_numpy(self.space.x[unseen])[:, None, :]).numpy()

    def tell(self, index: int, objective: float, excess: float) -> None:
        self.seen.append(index)
        self.told.append((objective, excess))
