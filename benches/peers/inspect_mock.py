"""Times inspect-ai's mock model on questions, in a Python that has it: ``inspect_mock.py DATASET COUNT CONNECTIONS``.

Prints one JSON object: seconds that the import and the evaluation took, and the version. Its count of tokens wants a
table from the network even for the mock model, so that is replaced by a quarter of the letters: an evaluation without a
network ends with an error otherwise.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time

begun = time.perf_counter()
import inspect_ai  # noqa: E402
from inspect_ai.dataset import MemoryDataset, Sample  # noqa: E402
from inspect_ai.model import ModelOutput, _model, get_model  # noqa: E402
from inspect_ai.scorer import includes  # noqa: E402
from inspect_ai.solver import generate, system_message  # noqa: E402

LOADED = time.perf_counter() - begun


def main(path: str, count: int, connections: int) -> None:
    _model.count_text_tokens = lambda text: len(text) // 4
    with open(path, encoding="utf-8") as file:
        records = [json.loads(line) for line in file][:count]
    samples = [Sample(input=record["question"], target=record["answer"], id=record["id"]) for record in records]
    said = ModelOutput.from_content("mockllm/model", f"Explanation: {'because ' * 40}\nAnswer: A\nConfidence: 50%")
    model = get_model("mockllm/model", custom_outputs=[said] * count)
    solvers = [system_message("Answer, and say how sure you are."), generate()]
    task = inspect_ai.Task(dataset=MemoryDataset(samples), solver=solvers, scorer=includes())
    with tempfile.TemporaryDirectory() as folder:
        begun = time.perf_counter()
        (log,) = inspect_ai.eval(
            task, model=model, max_connections=connections, max_samples=connections, log_dir=folder, display="none"
        )
        seconds = time.perf_counter() - begun
    if log.status != "success":
        sys.exit(f"inspect-ai ended with {log.status}: {str(log.error)[:300]}")
    print(json.dumps({"import": LOADED, "seconds": seconds, "version": inspect_ai.__version__}))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
