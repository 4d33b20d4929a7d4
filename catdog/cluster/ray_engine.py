"""Work that is shared out to the processes of a Ray cluster, or of one that is started here for the time it takes.

The work comes in parts, each a dict of plain values. A worker is a process that is made ready once, as with a network,
and is then given one part after another. A part whose worker is killed goes to another; the answers come as they are
ready, in any order, each part's once.
"""

import logging
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, redirect_stdout
from pkgutil import resolve_name
from typing import Any, NamedTuple

from catdog.errors import CatdogError, Failed, Refused
from catdog.places import PACKAGE, how_to_install, search_path
from catdog.plain_text import one_line

# Processors of a worker, where that many are free for each: more gain little on the few photos that go through the
# network together.
WORKER_CPUS = 2
# How often a part is given to another worker after its own was killed.
RETRIES = 3
# Of a cluster that is started here: what is passed between its processes, such as a network and a few parts.
PASSED_BYTES = 1_000_000_000


class Share(NamedTuple):
    """How the processors are shared out: the number of workers, and what each has of them."""

    workers: int
    cpus: int
    gpus: int


@contextmanager
def cluster(workers: int | None) -> Iterator[Share]:
    """A Ray cluster to work on: the one that RAY_ADDRESS names, else one of this machine's processors.

    Raises `Refused` where Ray isn't installed or has fewer processors than `workers`.
    """
    # Ray reports its use to its makers unless told not to.
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
        import ray.data
    except ImportError:
        raise Refused(f"--engine ray takes more packages: {how_to_install('ray')}.") from None
    for name in ("ray", "ray.data"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    if ray.is_initialized():
        yield share_out(ray.cluster_resources(), workers)
        return
    # Ray tells of workers that ended on standard output, where nothing but answers belongs.
    with redirect_stdout(sys.stderr):
        start(ray)
        try:
            yield share_out(ray.cluster_resources(), workers)
        finally:
            ray.shutdown()


def start(ray: Any) -> None:
    """Connect to the cluster that RAY_ADDRESS names, or start one; raises `Failed` where neither can be done."""
    with signals_kept():
        connect(ray)


@contextmanager
def signals_kept() -> Iterator[None]:
    """Leave what SIGINT and SIGTERM do here as it is: Ray would have the process end at once."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def connect(ray: Any) -> None:
    """The same, with whatever Ray does to signals."""
    address = os.environ.get("RAY_ADDRESS")
    quiet = {"log_to_driver": False, "logging_level": logging.CRITICAL}
    try:
        if address:
            # Its machines have what this package needs, but perhaps another version of the package itself.
            ray.init(runtime_env={"py_modules": [str(PACKAGE)]}, **quiet)
        else:
            # The workers find the package where this process did, wherever that was started.
            os.environ["PYTHONPATH"] = search_path()
            # A worker is the work itself, which nothing else on this machine need go before.
            os.environ.setdefault("RAY_worker_niceness", "0")
            ray.init(include_dashboard=False, object_store_memory=PASSED_BYTES, **quiet)
    except Exception as error:  # Ray says in errors of many kinds that it can't be reached or can't start.
        what = f"The Ray cluster at {address} can't be reached" if address else "Ray can't be started here"
        raise Failed(one_line(f"{what} ({describe(error)}).")) from None


def share_out(resources: dict[str, float], workers: int | None) -> Share:
    """How a cluster's processors are shared out; a GPU goes to one worker alone. Raises `Refused` for too many workers.

    Without a number of workers there is one for each GPU, or for every WORKER_CPUS processors where there is none.
    """
    cpus, gpus = int(resources.get("CPU", 0)), int(resources.get("GPU", 0))
    most = min(cpus, gpus) if gpus else cpus
    if workers is not None and workers > most:
        kind = "GPUs" if gpus else "processors"
        raise Refused(f"{workers} workers are more than the {most} {kind} that Ray has: ask for fewer.")
    workers = workers or gpus or max(1, cpus // WORKER_CPUS)
    return Share(workers, max(1, min(WORKER_CPUS, cpus // workers)), 1 if gpus else 0)


class Worker:
    """What runs in a worker's process: it makes itself ready for a work, then does that part by part."""

    def __init__(self, work: str, arguments: Any, cpus: int):
        import ray

        self.failure = ""
        try:
            self.work = resolve_name(work)(*ray.get(arguments), cpus)
        except Exception as error:
            self.failure = describe(error)

    def __call__(self, part: dict[str, Any]) -> dict[str, Any]:
        """What the work makes of a part, or under `failure` why it could not be done.

        What is raised here, Ray would tell of in many lines, none of them with the reason alone.
        """
        if not self.failure:
            try:
                return self.work(part)
            except Exception as error:
                self.failure = describe(error)
        return {"failure": self.failure}


def each_part(work: str, arguments: Sequence[Any], parts: Sequence[dict[str, Any]], share: Share) -> Iterator[dict]:
    """What a work makes of each part, a dict of plain values, as soon as it is there.

    `work` names a class, as "module:class"; an object of it is made in each worker from the arguments and the number
    of processors, and is called with one part after another. Raises `Failed` where that ended for another reason than
    that a worker was killed.
    """
    import ray

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    # It stays there until the last part is done, for workers that take the place of others.
    kept = ray.put(tuple(arguments))
    answers = ray.data.from_items(parts, override_num_blocks=len(parts)).map(
        Worker,
        fn_constructor_args=(work, kept, share.cpus),
        compute=ray.data.ActorPoolStrategy(size=min(share.workers, len(parts))),
        num_cpus=share.cpus,
        num_gpus=share.gpus,
        ray_remote_args_fn=lambda: {"max_restarts": -1, "max_task_retries": RETRIES},
    )
    try:
        for batch in answers.iter_batches(batch_size=None, batch_format="pyarrow"):
            for answer in batch.to_pylist():
                if answer.get("failure"):
                    raise Failed(one_line(f"The work on Ray ended ({answer['failure']})."))
                yield answer
    except ray.exceptions.RayError as error:
        raise Failed(one_line(f"The work on Ray ended ({describe(error)}).")) from None


def describe(error: Exception) -> str:
    """What an error is, in a line."""
    if isinstance(error, CatdogError):
        return str(error).rstrip(".")
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0][:200]}"
