"""vLLM's scheduler (v1 core) without a model: `python benches/peers/vllm_scheduler.py REQUESTS [STEPS]`.

Prompts of 100 tokens, blocks of 16, prefix caching with sha256, statistics off, steady decoding without drafts: an id
for each request is fed in. Its configuration objects are stand-ins with the settings that the scheduler reads, since
the real ones inspect a model and a GPU. Prints one JSON line: microseconds of the processor a request and step, median
of steps without the first 10. Run it with a Python that has vllm (its package alone, and what
`vllm.v1.core.sched.scheduler` imports; no GPU is needed).
"""

from __future__ import annotations

import json
import logging
import statistics
import sys
import time
from typing import Any

import torch
import vllm
from vllm.sampling_params import SamplingParams
from vllm.utils.hashing import sha256
from vllm.v1.core.kv_cache_utils import get_request_block_hasher, init_none_hash
from vllm.v1.core.sched.scheduler import Scheduler
from vllm.v1.kv_cache_interface import FullAttentionSpec, KVCacheConfig, KVCacheGroupSpec
from vllm.v1.outputs import ModelRunnerOutput
from vllm.v1.request import Request

logging.disable(logging.WARNING)
BLOCK = 16


class Some:
    """Settings; what is not named is None."""

    def __init__(self, **settings: Any) -> None:
        self.__dict__.update(settings)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)


class Manager:
    """Caches of encoders, of which there are none, and grammars, which no request has."""

    def get_encoder_cache_manager_obj(self) -> None:
        return None

    def accept_tokens(self, *_: Any, **__: Any) -> bool:
        return True

    def should_advance(self, *_: Any, **__: Any) -> bool:
        return False


def scheduler(requests: int) -> Scheduler:
    blocks = requests * 40 + 100
    config = Some(
        scheduler_config=Some(
            max_num_seqs=requests, max_num_batched_tokens=requests * 100 + 8192, policy="fcfs", async_scheduling=False,
            long_prefill_token_threshold=0, long_prefill_token_threshold_adaptive=False, enable_chunked_prefill=True,
            scheduler_reserve_full_isl=False, watermark=0.0, disable_hybrid_kv_cache_manager=False,
        ),
        cache_config=Some(num_gpu_blocks=blocks, enable_prefix_caching=True, block_size=BLOCK, mamba_cache_mode="none"),
        model_config=Some(
            uses_mrope=False, is_encoder_decoder=False, is_mm_encoder_only=False, max_model_len=4096,
            supports_multimodal_inputs=False, runner_type="generate", is_diffusion=False,
        ),
        parallel_config=Some(
            decode_context_parallel_size=1, prefill_context_parallel_size=1, pipeline_parallel_size=1,
            data_parallel_index=0, data_parallel_rank=0,
        ),
        observability_config=Some(kv_cache_metrics=False, enable_mfu_metrics=False),
        ec_manager_config=Manager(), aux_output_config=Some(enabled=False),
        num_speculative_tokens=0, num_lookahead_tokens=0, num_prefill_lookahead_tokens=0, num_hash_lookahead_tokens=0,
        max_concurrent_batches=1, use_v2_model_runner=False,
    )  # fmt: skip
    spec = FullAttentionSpec(block_size=BLOCK, num_kv_heads=1, head_size=16, dtype=torch.float16)
    cache = KVCacheConfig(
        num_blocks=blocks, kv_cache_tensors=[], kv_cache_groups=[KVCacheGroupSpec(["layer"], spec)],
        hash_block_size=BLOCK,
    )  # fmt: skip
    return Scheduler(config, cache, Manager(), block_size=BLOCK, hash_block_size=BLOCK)


def main() -> None:
    n, steps = int(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 60
    init_none_hash(sha256)
    hasher = get_request_block_hasher(BLOCK, sha256)
    own = scheduler(n)
    params = SamplingParams(max_tokens=steps + 50, ignore_eos=True)
    for i in range(n):
        prompt = [(i * 131 + j * 7) % 30_000 for j in range(100)]
        own.add_request(Request(f"r{i}", prompt, params, None, block_hasher=hasher))
    times = []
    for step in range(steps):
        begun = time.thread_time_ns()
        plan = own.schedule()
        planned = time.thread_time_ns()
        ids = list(plan.num_scheduled_tokens)
        out = ModelRunnerOutput(ids, {name: i for i, name in enumerate(ids)}, [[step % 30_000]] * len(ids))
        made = time.thread_time_ns()
        own.update_from_output(plan, out)
        times.append((planned - begun + time.thread_time_ns() - made) / 1e3 / max(len(ids), 1))
        assert len(ids) == n
    us = statistics.median(times[10:])
    print(json.dumps({"requests": n, "us": us, "least_us": min(times[10:]), "vllm": vllm.__version__}))


main()
