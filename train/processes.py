"""More than one process, as torchrun starts them: who is who, sums over all, and a clear end when one of them is gone.

Gradients are summed once a phase, as one flat vector, after the last micro-batch. DistributedDataParallel would begin
earlier, inside the backward pass, but its hooks know neither the second derivatives of R1 and path lengths nor phases
that touch a part of a network; one sum for each phase is right by construction, and costs little beside them.

What only the hosts have to know (who wants to stop, how many pictures fit) goes over gloo on the side, so that a GPU
never waits for it.
"""

from __future__ import annotations

import gc
import os
import socket
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.rendezvous import rendezvous

from core.devices import out_of_memory
from core.errors import SettingError, StyloscopeError, TrainingError
from train.config import Config
from train.console import place

__all__ = ["ALONE", "Elsewhere", "Missing", "Processes", "alike", "check_batch", "joined", "launch", "restarted"]

ROLL_CALL = 2.0  # seconds for those who are there to say so
POLL = 0.05


class Missing(TrainingError):
    """Another process is late, or gone."""


class Elsewhere(Exception):
    """Something is wrong, and another process says what."""


@dataclass(frozen=True)
class Processes:
    """This process among all of a training. One process alone is the usual case, and costs nothing."""

    rank: int = 0
    count: int = 1
    local: int = 0  # which process of this machine
    beside: int = 1  # how many this machine has
    minutes: float = 30.0  # how long they wait for each other
    store: Any = None
    side: Any = None

    @property
    def first(self) -> bool:
        """Whether this is the process that writes and speaks."""
        return self.rank == 0

    def share(self, count: int) -> slice:
        """Which of `count` pictures are this process's; may be none."""
        return slice(self.rank * count // self.count, (self.rank + 1) * count // self.count)

    def sum_(self, values: Tensor) -> None:
        """Sum over all processes, in place. Raises TrainingError that names who is late or gone."""
        if self.count == 1:
            return
        if values.device.type != "cpu":  # a host that waits for a GPU's sum cannot say who is late
            self._with_all(lambda: dist.all_reduce(torch.zeros(1), group=self.side))
        self._with_all(lambda: dist.all_reduce(values))

    def any(self, flag: bool) -> bool:
        """Whether any process says so; the same answer everywhere. Raises TrainingError."""
        if self.count == 1:
            return flag
        found = torch.tensor(float(flag))
        self._with_all(lambda: dist.all_reduce(found, op=dist.ReduceOp.MAX, group=self.side))
        return bool(found.item())

    def least(self, number: int) -> int:
        """The smallest of all processes' numbers. Raises TrainingError."""
        if self.count == 1:
            return number
        found = torch.tensor(number)
        self._with_all(lambda: dist.all_reduce(found, op=dist.ReduceOp.MIN, group=self.side))
        return int(found.item())

    def told(self, name: str, says: Callable[[], str]) -> str:
        """What the first process finds `says` to be, in every process. Raises Elsewhere where it failed to."""
        if self.count == 1:
            return says()
        if self.first:
            text = says()
            self.store.set(f"told/{name}", text)
            return text
        end = time.monotonic() + self.minutes * 60
        while not self.store.check([f"told/{name}"]):
            if self.store.check(["said"]) or time.monotonic() > end:
                raise Elsewhere
            time.sleep(POLL)
        return self.store.get(f"told/{name}").decode()

    def claim(self) -> bool:
        """Whether this process is the one that may say what is wrong: the first to ask."""
        if self.count == 1:
            return True
        try:
            return self.store.add("said", 1) == 1
        except RuntimeError:  # the store has gone with the process that kept it
            return True

    def _with_all(self, work: Callable[[], Any]) -> None:
        try:
            work()
        except RuntimeError as wrong:
            if out_of_memory(wrong):
                raise TrainingError(
                    "memory ran out while the processes were meeting; take a smaller --micro-batch and give the "
                    "command again with --resume"
                ) from wrong
            raise self._missing(wrong) from wrong

    def _missing(self, wrong: RuntimeError) -> Missing:
        """Call the roll: those who do not answer are late, or gone."""
        absent = ["0"]  # where the store has gone, which it keeps
        with suppress(RuntimeError):
            self.store.set(f"here/{self.rank}", "yes")
            time.sleep(ROLL_CALL)
            absent = [str(rank) for rank in range(self.count) if not self.store.check([f"here/{rank}"])]
            absent = [f"{rank} on {self.store.get(f'host/{rank}').decode()}" for rank in absent]
        who = f"process {' and '.join(absent)}" if absent else "another process"
        late = "timed out" in str(wrong).lower() or "timeout" in str(wrong).lower()
        what = f"has not come within {self.minutes:g} minutes" if late else "is gone"
        return Missing(
            f"{who} {what}; the run is whole up to its last state: give the command again with --resume, or start it "
            f"under torchrun --max-restarts"
        )


ALONE = Processes()


@contextmanager
def alike() -> Iterator[None]:
    """What every process does alike: its errors are the first one's to say, and Elsewhere in the others."""
    try:
        yield
    except StyloscopeError as wrong:
        if place()[0]:
            raise Elsewhere from wrong
        raise


@contextmanager
def joined(config: Config, *, device: torch.device) -> Iterator[Processes]:
    """Meet the other processes that torchrun started, if any; leave them at the end.

    An error that several processes meet is raised in one of them, and is Elsewhere in the others.
    """
    rank, count = place()
    if count == 1:
        yield ALONE
        return
    local, beside = int(os.environ.get("LOCAL_RANK", rank)), int(os.environ.get("LOCAL_WORLD_SIZE", count))
    patience = timedelta(minutes=config.patience)
    if device.type == "cuda":
        torch.cuda.set_device(device)
    store, _, _ = next(rendezvous("env://"))
    store = PrefixStore(_met(store, rank=rank, count=count, minutes=config.patience), store)
    backend = "nccl" if device.type == "cuda" else "gloo"
    if backend == "nccl" and not dist.is_nccl_available():
        raise SettingError("device", "cuda", "cpu in several processes: this PyTorch has no NCCL, by which GPUs meet")
    # Twice as long where a GPU waits: hosts notice on the side first, and say who it is.
    wait = patience * 2 if backend == "nccl" else patience
    dist.init_process_group(backend, store=PrefixStore("all", store), rank=rank, world_size=count, timeout=wait)
    side = dist.new_group(backend="gloo", timeout=patience)
    ours = PrefixStore("styloscope", store)
    ours.set(f"host/{rank}", socket.gethostname())
    processes = Processes(rank, count, local, beside, config.patience, ours, side)
    del side  # see below
    # NCCL takes memory of its own at the first sum, which later on the networks would have taken.
    processes.sum_(torch.zeros(1, device=device))
    try:
        yield processes
    except StyloscopeError as wrong:
        if not processes.claim():
            raise Elsewhere from wrong
        raise
    # What is still held of a group keeps its threads, and one that lets go of a tensor while Python ends aborts it.
    object.__setattr__(processes, "side", None)
    dist.destroy_process_group()
    gc.collect()


def _met(store: Any, *, rank: int, count: int, minutes: float) -> str:
    """A name for this meeting, the same in every process and new in each: torchrun may start processes again that
    share a store with the dead, whose addresses and words are still in it.

    The first process answers every greeting, also stale ones, till each process of now has had its answer.
    """
    mine, end = uuid.uuid4().hex, time.monotonic() + minutes * 60
    waiting, answered = set(range(1, count)) if rank == 0 else {0}, set[str]()
    store.set(f"greeting/{rank}", mine)
    while waiting:
        if time.monotonic() > end:
            late = " and ".join(map(str, sorted(waiting)))
            raise Missing(f"process {late} has not come within {minutes:g} minutes; start the command again")
        if rank and store.check([f"answer/{mine}"]):
            name: str = store.get(f"answer/{mine}").decode()
            store.set(f"thanks/{name}/{rank}", "yes")
            return name
        for other in sorted(waiting) if rank == 0 else []:
            if store.check([f"thanks/{mine}/{other}"]):
                waiting.discard(other)
            elif store.check([f"greeting/{other}"]):
                greeting = store.get(f"greeting/{other}").decode()
                if greeting not in answered:
                    answered.add(greeting)
                    store.set(f"answer/{greeting}", mine)
        time.sleep(POLL)
    return mine


def check_batch(config: Config) -> None:
    """Raise SettingError where the batch cannot be shared among the processes."""
    count = place()[1]
    field = "batch" if config.batches == "auto" else "batches"
    for batch in config.every_batch():
        if batch % (count * config.group):
            allowed = f"a multiple of processes x minibatch group, {count} x {config.group}"
            raise SettingError(field, batch, f"{allowed}; change --{field}, --group or --nproc_per_node")


def restarted() -> bool:
    """Whether torchrun has started this process again, since a process of the training had failed."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")) > 0


def launch() -> str:
    """What names the torchrun that started this process: the same when it starts it again."""
    name = os.environ.get("TORCHELASTIC_RUN_ID", "none")
    return name if name not in ("", "none") else f"{socket.gethostname()} {os.getppid()}"
