from collections.abc import Callable, Sequence
from os import PathLike
from pathlib import Path
from typing import Protocol, TypeAlias, final

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "RamboBuilder",
    "RamboIndex",
    "RamboQueries",
    "SlideHead",
    "SlideTrainer",
    "rambo_add",
    "rambo_build",
    "rambo_fold",
    "rambo_hashes",
    "rambo_hashes_many",
    "rambo_list_inputs",
    "rambo_plan",
    "rambo_plan_files",
    "rambo_remove",
    "rambo_stack",
    "simd_path",
    "slide_codes",
    "slide_read_xml",
    "slide_write_xml",
    "threads",
]

_Path: TypeAlias = str | PathLike[str]
_Pairs: TypeAlias = Sequence[tuple[_Path, str]]
_Progress: TypeAlias = Callable[[str, int, int], object] | None

_Ends: TypeAlias = NDArray[np.uint64]
_Ids: TypeAlias = NDArray[np.uint32]
_Values: TypeAlias = NDArray[np.float32]
_Weights: TypeAlias = NDArray[np.float32] | NDArray[np.uint16]
_Asked: TypeAlias = tuple[_Ids, _Ids, NDArray[np.uint16]]
_Memory: TypeAlias = tuple[int, _Values, _Values, _Values | None]

class _Items(Protocol):
    @property
    def kind(self) -> str: ...
    @property
    def k(self) -> int: ...
    @property
    def n(self) -> int: ...
    @property
    def within(self) -> str: ...

class _Wish(Protocol):
    @property
    def fpr(self) -> float: ...
    @property
    def max_bytes(self) -> int | None: ...
    @property
    def multiplicity(self) -> float: ...
    @property
    def nodes(self) -> int: ...
    @property
    def seed(self) -> int: ...

@final
class RamboBuilder:
    def __new__(cls, plan: str, items: _Items, node: int | None) -> RamboBuilder: ...
    def add(self, name: str, hashes: NDArray[np.uint64]) -> None: ...
    def add_bytes(self, name: str, data: bytes) -> int: ...
    def add_many(self, documents: Sequence[tuple[str, bytes]], threads: int, progress: _Progress) -> int: ...
    def documents(self) -> int: ...
    def freeze(self, path: _Path | None, threads: int, progress: _Progress) -> RamboIndex: ...

@final
class RamboIndex:
    @staticmethod
    def open(path: _Path, load: bool, progress: _Progress) -> RamboIndex: ...
    @property
    def path(self) -> Path | None: ...
    def names(self) -> list[str]: ...
    def item_counts(self) -> NDArray[np.uint64]: ...
    def describe(self) -> str: ...
    def query(
        self, hashes: NDArray[np.uint64], threads: int, progress: _Progress
    ) -> tuple[NDArray[np.int64], NDArray[np.uint32]]: ...
    def search(
        self,
        hashes: NDArray[np.uint64],
        ends: NDArray[np.int64],
        theta: float,
        top: int | None,
        exact: _Pairs | None,
        by: str,
        threads: int,
        progress: _Progress,
    ) -> tuple[
        NDArray[np.int64],
        NDArray[np.uint32],
        NDArray[np.uint64],
        NDArray[np.float64],
        NDArray[np.uint64],
        NDArray[np.float64],
    ]: ...
    def verify(self, progress: _Progress) -> list[tuple[str, int, int]]: ...

@final
class RamboQueries:
    def __new__(cls, path: _Path, items: _Items) -> RamboQueries: ...
    def next_batch(self, letters: int) -> tuple[list[str], NDArray[np.uint64], NDArray[np.int64], list[int]] | None: ...

def rambo_add(
    path: _Path, inputs: _Pairs, by: str, threads: int, progress: _Progress
) -> tuple[RamboIndex, tuple[int, int, int]]: ...
def rambo_build(
    path: _Path,
    inputs: _Pairs,
    by: str,
    items: _Items,
    wish: _Wish,
    plan: str | None,
    node: int | None,
    threads: int,
    checkpoint_seconds: float,
    progress: _Progress,
) -> tuple[RamboIndex, str, str]: ...
def rambo_fold(
    path: _Path,
    out: _Path,
    buckets: int | None,
    rows: int | None,
    max_bytes: int | None,
    threads: int,
    progress: _Progress,
) -> RamboIndex: ...
def rambo_hashes(data: bytes, items: _Items) -> tuple[NDArray[np.uint64], int]: ...
def rambo_hashes_many(
    data: Sequence[bytes], items: _Items
) -> tuple[NDArray[np.uint64], NDArray[np.int64], list[int]]: ...
def rambo_list_inputs(
    paths: Sequence[_Path], list: _Path | None, items: _Items
) -> tuple[list[tuple[Path, str]], int]: ...
def rambo_plan(counts: NDArray[np.uint64], wish: _Wish) -> str: ...
def rambo_plan_files(inputs: _Pairs, by: str, items: _Items, wish: _Wish, threads: int, progress: _Progress) -> str: ...
def rambo_remove(path: _Path, names: Sequence[str], threads: int, progress: _Progress) -> RamboIndex: ...
def rambo_stack(out: _Path, paths: Sequence[_Path], threads: int, progress: _Progress) -> RamboIndex: ...
def simd_path() -> str: ...
def threads() -> int: ...

class _Head(Protocol):
    @property
    def family(self) -> str: ...
    @property
    def k(self) -> int | None: ...
    @property
    def tables(self) -> int: ...
    @property
    def range(self) -> int | None: ...
    @property
    def bucket(self) -> int: ...
    @property
    def active(self) -> int: ...
    @property
    def each(self) -> int: ...
    @property
    def pool(self) -> int: ...
    @property
    def rehash(self) -> int | None: ...
    @property
    def random(self) -> str: ...
    @property
    def sets(self) -> str: ...
    @property
    def correction(self) -> str: ...

@final
class SlideHead:
    def __new__(
        cls,
        head: _Head,
        slice: tuple[int, int, int],
        length: int,
        loss: str,
        rate: float,
        seed: int,
        bias: bool,
        adam: str = "sparse",
    ) -> SlideHead: ...
    def ask(
        self,
        weight: _Weights,
        bias: _Values,
        hidden: _Values,
        targets: tuple[_Ends, _Ids],
        each: int | None,
        threads: int,
    ) -> tuple[_Asked, tuple[int, int, int]]: ...
    def backward(
        self, token: int, weight: _Weights, bias: _Values, most: _Values, sums: _Values, scale: float, threads: int
    ) -> _Values: ...
    def forget(self, token: int) -> None: ...
    def forward(
        self,
        weight: _Weights,
        bias: _Values,
        hidden: _Values,
        targets: tuple[_Ends, _Ids],
        asked: _Asked,
        threads: int,
    ) -> tuple[int, tuple[_Values, _Values, _Values], _Ids]: ...
    def gradients(
        self, token: int, weight: _Weights, bias: _Values, most: _Values, sums: _Values, scale: float, threads: int
    ) -> tuple[_Ids, _Values, _Values, _Values]: ...
    def loss(self, most: _Values, sums: _Values, of_labels: _Values) -> float: ...
    def memory(self) -> _Memory: ...
    @staticmethod
    def merge(slices: Sequence[_Asked], each: int) -> _Asked: ...
    def predict(
        self, weight: _Weights, bias: _Values, hidden: _Values, k: int, candidates: int | None, threads: int
    ) -> tuple[_Ids, _Values, int]: ...
    def refresh(self, weight: _Weights, master: bool, threads: int) -> None: ...
    def rehash(self, weight: _Weights, all: bool, threads: int) -> int: ...
    def remember(self, memory: _Memory) -> None: ...
    def set_rate(self, rate: float) -> None: ...
    def settle(self, weight: _Weights, bias: _Values, threads: int) -> bool: ...
    def stats(self) -> dict[str, int]: ...
    def touch(self, ids: _Ids) -> None: ...

@final
class SlideTrainer:
    def __new__(
        cls,
        shape: tuple[int, int, int],
        head: _Head,
        loss: str,
        precision: str,
        adam: str,
        rate: float,
        batch: int,
        seed: int,
    ) -> SlideTrainer: ...
    def check_tables(self, drain: bool, threads: int) -> tuple[int, int]: ...
    def epoch(
        self,
        inputs: tuple[_Ends, _Ids, _Values],
        targets: tuple[_Ends, _Ids],
        threads: int,
        checkpoint: tuple[_Path, int, str] | None,
        progress: _Progress,
    ) -> None: ...
    def expect(
        self, there: SlideTrainer, path: _Path, inputs: tuple[_Ends, _Ids, _Values], targets: tuple[_Ends, _Ids]
    ) -> None: ...
    def last(self) -> tuple[float, int, float, float, float] | None: ...
    @staticmethod
    def memory(shape: tuple[int, int, int], head: _Head, precision: str, adam: str) -> tuple[int, int, int]: ...
    @staticmethod
    def open(path: _Path, progress: _Progress) -> tuple[SlideTrainer, str]: ...
    def predict(
        self,
        inputs: tuple[_Ends, _Ids, _Values],
        k: int,
        candidates: int | None,
        threads: int,
        progress: _Progress,
    ) -> tuple[_Ids, _Values, int]: ...
    def save(self, path: _Path, note: str, training: bool, threads: int, progress: _Progress) -> None: ...
    def set_head(self, head: _Head) -> None: ...
    def set_rate(self, rate: float) -> None: ...
    def spec(self) -> tuple[tuple[int, int, int], int, float, int, int]: ...
    def stats(self) -> dict[str, int]: ...
    def weights(self, threads: int) -> dict[str, NDArray[np.float32]]: ...

def slide_codes(
    vectors: _Values, shape: tuple[int, int], family: str, k: int, tables: int, bits: int | None, seed: int
) -> _Ids: ...
def slide_read_xml(
    path: _Path, threads: int, progress: _Progress
) -> tuple[tuple[_Ends, _Ids, _Values], tuple[_Ends, _Ids], tuple[int, int]]: ...
def slide_write_xml(
    path: _Path,
    inputs: tuple[_Ends, _Ids, _Values],
    targets: tuple[_Ends, _Ids],
    shape: tuple[int, int],
    threads: int,
    progress: _Progress,
) -> None: ...
