"""Label trees on one thread: ``trees.py omikuji|napkinxc TRAIN TEST`` prints CPU-seconds of training and P@1."""

from __future__ import annotations

import os
import sys
import tempfile
import time


def omikuji(train: str, test: str) -> tuple[float, float]:
    """Parabel-like trees with omikuji's defaults."""
    import omikuji

    hyper = omikuji.Model.default_hyper_param()
    begun = time.process_time()
    model = omikuji.Model.train_on_data(train, hyper, n_threads=1)
    seconds = time.process_time() - begun
    right = rows = 0
    with open(test) as file:
        next(file)
        for line in file:
            labels, *pairs = line.split()
            features = [(int(i), float(v)) for i, v in (pair.split(":") for pair in pairs)]
            best = model.predict(features, beam_size=10)
            right += str(best[0][0]) in labels.split(",")
            rows += 1
    return seconds, right / rows


def napkinxc(train: str, test: str) -> tuple[float, float]:
    """A probabilistic label tree with napkinXC's defaults."""
    from napkinxc.datasets import load_libsvm_file
    from napkinxc.models import PLT

    x, y = load_libsvm_file(train)
    x_test, y_test = load_libsvm_file(test)
    with tempfile.TemporaryDirectory() as folder:
        model = PLT(folder, threads=1)
        begun = time.process_time()
        model.fit(x, y)
        seconds = time.process_time() - begun
        best = model.predict(x_test, top_k=1)
    return seconds, sum(b[0] in t for b, t in zip(best, y_test, strict=True)) / len(y_test)


if __name__ == "__main__":
    os.environ["RAYON_NUM_THREADS"] = "1"
    print(*{"omikuji": omikuji, "napkinxc": napkinxc}[sys.argv[1]](*sys.argv[2:]))
