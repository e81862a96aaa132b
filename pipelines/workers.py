"""One training by several processes that Ray places, watches and replaces; the loop itself does not depend on Ray.

Ray Train makes the process group and calls the same function on every worker as `torchrun` would. When a worker dies,
all are restarted and resume from the newest checkpoint that the loop left in its folder.
"""

import os
import queue
import shutil
import threading
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from avcat.errors import InputError
from avcat.files import absolute
from avcat.training.loop import Loggers
from pipelines.settings import RuntimeConfig

MAX_FAILURES = 3  # times that workers are restarted
POLL_S = 0.5  # seconds between checks whether training has ended
FINAL = (InputError, FloatingPointError)  # a retry would only raise them again

Training = Callable[..., dict[str, float]]


def train_on_workers(
    training: Training, *arguments: Any, state: Path, runtime: RuntimeConfig, loggers: Loggers, **settings: Any
) -> dict[str, float]:
    """`training(*arguments, state=, runtime=, loggers=, **settings)` by `runtime.train_workers` processes.

    One is this process, without Ray. More are workers of Ray Train, each on one CPU (gloo) or, if `runtime.device` is
    cuda, one GPU (NCCL); all of them must see `state`, which is on a shared disk if there are several machines.
    `training` is called on each, inside of their process group, in this process's folder; loggers are called here.
    Returns what the first worker's call returns. Raises InputError if Ray has no room for the workers, and what
    `training` raises for the user to fix; anything else, mainly a lost process, is retried MAX_FAILURES times.
    """
    settings = {**settings, "state": state, "runtime": runtime}
    if runtime.train_workers < 1:
        raise InputError(f"runtime.train_workers: {runtime.train_workers} workers cannot train")
    if runtime.train_workers == 1:
        return training(*arguments, loggers=loggers, **settings)
    from pipelines.cluster import connect  # imports Ray, which one process does not need

    with connect(runtime):
        return _train(training, arguments, settings, loggers)


def _train(
    training: Training, arguments: tuple[Any, ...], settings: Mapping[str, Any], loggers: Loggers
) -> dict[str, float]:
    from ray.train import FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchConfig, TorchTrainer
    from ray.util.queue import Empty, Queue

    runtime: RuntimeConfig = settings["runtime"]
    gpu, state = runtime.device == "cuda", absolute(settings["state"])
    _check_room(runtime.train_workers, "GPU" if gpu else "CPU")
    events = Queue(actor_options={"num_cpus": 0})
    notes = state.with_name(f"{state.name}.ray")  # Ray Train's own; the state of the training itself is not among them
    shutil.rmtree(notes, ignore_errors=True)
    trainer = TorchTrainer(
        _worker,
        train_loop_config={
            "training": training,
            "arguments": arguments,
            "settings": settings,
            "events": events,
            "folder": Path.cwd(),
        },
        torch_config=TorchConfig(backend="nccl" if gpu else "gloo"),
        scaling_config=ScalingConfig(num_workers=runtime.train_workers, use_gpu=gpu),
        run_config=RunConfig(
            name="training", storage_path=str(notes), failure_config=FailureConfig(max_failures=MAX_FAILURES)
        ),
    )
    ended: queue.SimpleQueue[BaseException | None] = queue.SimpleQueue()
    threading.Thread(target=_fit, args=(trainer, ended), daemon=True).start()
    figures: dict[str, float] = {}
    try:
        while ended.empty() or not events.empty():  # loggers are called in this thread: MLflow's run belongs to it
            try:
                kind, content = events.get(timeout=POLL_S)
            except Empty:
                continue
            if kind == "error":
                raise content
            if kind == "figures":
                figures = content
            else:
                getattr(loggers, kind)(*content)
        if error := ended.get():
            raise error
    finally:
        shutil.rmtree(notes, ignore_errors=True)
    return figures


def _check_room(workers: int, unit: str) -> None:
    import ray

    there = int(ray.cluster_resources().get(unit, 0))
    if there < workers:
        raise InputError(f"runtime.train_workers: {workers} workers need a {unit} each, Ray has {there}")


def _fit(trainer: Any, ended: "queue.SimpleQueue[BaseException | None]") -> None:
    try:
        trainer.fit()
    except BaseException as error:
        ended.put(error)
    else:
        ended.put(None)


def _worker(config: dict[str, Any]) -> None:
    """What runs on each worker, inside of the process group."""
    import torch
    from ray.train import get_context
    from ray.train.torch import get_device

    os.chdir(config["folder"])  # Ray Train has changed it
    if config["settings"]["runtime"].device == "cuda":
        torch.cuda.set_device(get_device())
    events = config["events"]
    loggers = Loggers(
        lambda *content: events.put(("scalars", content)),
        lambda *content: events.put(("image", content)),
        lambda *content: events.put(("note", content)),
    )
    try:
        figures = config["training"](*config["arguments"], loggers=loggers, **config["settings"])
    except FINAL as error:
        events.put(("error", error))
        raise
    if get_context().get_world_rank() == 0:
        events.put(("figures", figures))
