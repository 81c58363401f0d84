"""Fine-tuning beside inference: a job starts only where requests will keep their limit, and one at a time."""

from __future__ import annotations

import math
import threading
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from thrifty.throttle.latency import LatencyModel, Work

__all__ = ["Admission"]


class Admission:
    """Decides whether a fine-tuning job may start now.

    It may where no other runs and the mean and ``z`` standard deviations of what a request will then take are within
    the limit. Source: arXiv 2310.19991. Threads may share it.

    Parameters
    ----------
    model : LatencyModel
        Learned from requests alone and beside fine-tuning; somebody goes on telling it what they take.
    z : float
        1.645 leaves one request in twenty over the limit where times are normal.

    Attributes
    ----------
    reason : str
        Why the last job was or was not let in.

    Raises
    ------
    ValueError
        For a z below 0.

    Examples
    --------
    >>> from thrifty.throttle import LatencyModel, Work
    >>> model, request, step = LatencyModel(), Work(1e9), Work(8e9)
    >>> for _ in range(40):
    ...     model.update(request, None, 0.002)
    ...     model.update(request, step, 0.010)
    >>> admission = Admission(model)
    >>> admission.admit(step, request, 0.008)
    False
    >>> admission.reason
    'a request would take 0.01 s and at times 0.01 s, over the limit of 0.008 s'
    >>> admission.admit(step, request, 0.020), admission.admit(step, request, 0.020)
    (True, False)
    >>> admission.completed()
    >>> admission.admit(step, request, 0.020)
    True
    """

    def __init__(self, model: LatencyModel, *, z: float = 1.645) -> None:
        if not 0 <= z < math.inf:
            raise ValueError(f"z: {z} is not a number of at least 0")
        self.model, self.z = model, z
        self.reason = ""
        self._lock = threading.Lock()
        self._running = False

    @property
    def running(self) -> bool:
        """Whether a job runs."""
        return self._running

    def admit(
        self, fine_tuning: Work, inference: Work, slo_s: float, *, clock: float = 1.0, memory_clock: float = 1.0
    ) -> bool:
        """Return whether a job starts now; it then runs until :meth:`completed`.

        Parameters
        ----------
        fine_tuning : Work
            A step of the job.
        inference : Work
            A request.
        slo_s : float
            Seconds that a request may take.
        clock, memory_clock : float
            As for :meth:`LatencyModel.predict`.

        Raises
        ------
        ValueError
            For a limit that is not above 0.
        """
        if not slo_s > 0:
            raise ValueError(f"slo_s: {slo_s} is not above 0")
        with self._lock:
            if self._running:
                self.reason = "another job runs"
                return False
            told = self.model.predict(inference, fine_tuning, clock=clock, memory_clock=memory_clock)
            often = told.seconds + self.z * told.sd
            if not often <= slo_s:
                self.reason = (
                    "nothing like it was seen yet"
                    if math.isinf(often)
                    else f"a request would take {told.seconds:.3g} s and at times {often:.3g} s, over the limit of"
                    f" {slo_s:.3g} s"
                )
                return False
            self._running = True
            self.reason = f"a request takes {often:.3g} s at times, within the limit of {slo_s:.3g} s"
            return True

    def completed(self) -> None:
        """Say that the job has ended, well or not; the next may start.

        Raises
        ------
        ValueError
            Where none runs.
        """
        with self._lock:
            if not self._running:
                raise ValueError("completed: no job runs")
            self._running = False
