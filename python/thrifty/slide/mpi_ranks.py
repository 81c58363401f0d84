"""Ranks of an MPI communicator of mpi4py: started by mpiexec, on networks whose MPI is better than sockets."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from thrifty.errors import WorkerLost
from thrifty.slide.ranks import Ranks

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from numpy.typing import NDArray

    Bytes = NDArray[np.uint8]

__all__ = ["MPIRanks"]


class MPIRanks(Ranks):
    """Ranks of a communicator. MPI has no way to go on without a rank: what it does when one is lost is up to it."""

    def __init__(self, comm: Any) -> None:
        from mpi4py import MPI  # type: ignore[import-not-found,unused-ignore]

        self.comm, self.mpi = comm.Dup(), MPI
        self.comm.Set_errhandler(MPI.ERRORS_RETURN)
        super().__init__(comm.Get_rank(), comm.Get_size())

    def exchange(self, blocks: Bytes, sizes: Sequence[int], comes: Sequence[int]) -> Callable[[], Bytes]:
        """Send blocks to ranks."""
        got = np.empty(sum(comes), np.uint8)
        send = [blocks, (list(sizes), self._starts(sizes)), self.mpi.BYTE]
        receive = [got, (list(comes), self._starts(comes)), self.mpi.BYTE]
        request = self._guarded(lambda: self.comm.Ialltoallv(send, receive))

        def wait(blocks: Bytes = blocks) -> Bytes:  # what is sent lives until it was
            self._guarded(request.Wait)
            return got

        return wait

    def objects(self, value: Any) -> list[Any]:
        """Return a small value of each rank."""
        out: list[Any] = self._guarded(lambda: self.comm.allgather(value))
        return out

    @staticmethod
    def _starts(sizes: Sequence[int]) -> list[int]:
        return [0, *np.cumsum(sizes)[:-1].tolist()]

    def _guarded(self, call: Callable[[], Any]) -> Any:
        try:
            return call()
        except self.mpi.Exception as error:
            raise WorkerLost.of(None, self.step, str(error)) from error
