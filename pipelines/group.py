"""One training on several Ray Train workers: the same function in each, their figures brought back to the caller."""

import logging
import shutil
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import ray
import ray.train
import ray.train.torch
from ray.util.queue import Queue

from avcat.config import RuntimeConfig
from avcat.errors import InputError
from avcat.training.loop import Loggers, set_threads
from pipelines.cluster import cpu_count

Learn = Callable[..., None]  # called with settings, `device` and `loggers`; on every worker
MAX_FAILURES = 2  # workers that died and were replaced; training goes on from its newest checkpoint
_END, _REFUSED = "end", "refused"


def train_together(
    learn: Learn, settings: Mapping[str, Any], *, clips: int, state: Path, runtime: RuntimeConfig, loggers: Loggers
) -> None:
    """Runs `learn(**settings, device=..., loggers=...)` on as many workers as can share `clips` clips evenly.

    A single worker is this process itself. Several form a torch process group, need Ray connected, and must see
    `state` at the same path. Raises InputError if a worker does.
    """
    workers = worker_count(runtime, clips)
    if workers == 1:
        set_threads(runtime.threads)
        learn(**settings, device=runtime.device, loggers=loggers)
        return
    events = Queue(actor_options={"num_cpus": 0})
    refusals: list[str] = []
    reader = threading.Thread(target=_pass_on, args=(events, loggers, refusals), daemon=True)
    reader.start()
    trainer = _trainer(
        {"learn": learn, "settings": dict(settings), "events": events, "threads": _threads(runtime, workers)},
        workers=workers,
        gpu=runtime.device == "cuda",
        storage=state / "ray-train",
    )
    failure = None
    try:
        trainer.fit()
    except ray.train.TrainingFailedError as error:
        failure = error
    finally:
        shutil.rmtree(state / "ray-train", ignore_errors=True)
    events.put((_END, ()))
    reader.join()
    events.shutdown()
    if refusals:
        raise InputError(refusals[0])
    if failure is not None:
        raise failure


def worker_count(runtime: RuntimeConfig, clips: int) -> int:
    """`runtime.train_workers`, or one a GPU, as far as all can get the same share of a batch.

    Without a GPU one a node: threads of one process use its cores as well as processes do, and decode the data once.
    """
    if runtime.train_workers:
        return runtime.train_workers
    most = 1
    if ray.is_initialized():
        gpus = int(ray.cluster_resources().get("GPU", 0))  # type: ignore[no-untyped-call]
        most = gpus if runtime.device == "cuda" else sum(node["Alive"] for node in ray.nodes())
    return max(n for n in range(1, max(1, min(most, clips)) + 1) if clips % n == 0)


def _threads(runtime: RuntimeConfig, workers: int) -> int:
    return runtime.threads or max(1, cpu_count() // workers)


def _trainer(given: dict[str, Any], *, workers: int, gpu: bool, storage: Path) -> ray.train.torch.TorchTrainer:
    logging.getLogger("ray.train").setLevel(logging.ERROR)
    return ray.train.torch.TorchTrainer(
        _work,
        train_loop_config=given,
        torch_config=ray.train.torch.TorchConfig(backend="nccl" if gpu else "gloo"),
        scaling_config=ray.train.ScalingConfig(
            num_workers=workers,
            use_gpu=gpu,
            resources_per_worker=None if gpu else {"CPU": 1},
            placement_strategy="SPREAD",
        ),
        run_config=ray.train.RunConfig(
            name="run",
            storage_path=str(storage),
            failure_config=ray.train.FailureConfig(max_failures=MAX_FAILURES),
            logging_config=ray.train.LoggingConfig(log_level="ERROR"),  # type: ignore[call-arg]  # it sees the old one
        ),
    )


def _work(given: dict[str, Any]) -> None:
    """What each worker runs."""
    set_threads(given["threads"])
    events = given["events"]
    loggers = Loggers(
        lambda *point: events.put(("scalars", point)),
        lambda *picture: events.put(("image", picture)),
    )
    try:
        given["learn"](**given["settings"], device=str(ray.train.torch.get_device()), loggers=loggers)
    except InputError as error:  # what Ray sees raised it tries again, and this will not get better
        events.put((_REFUSED, (str(error),)))


def _pass_on(events: Queue, loggers: Loggers, refusals: list[str]) -> None:
    """Hands what workers say to the caller's loggers, until the end."""
    while True:
        kind, content = events.get()
        if kind == _END:
            return
        if kind == _REFUSED:
            refusals += content
        else:
            getattr(loggers, kind)(*content)
