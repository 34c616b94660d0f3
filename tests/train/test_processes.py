"""Several processes: who has which pictures, who speaks, what is said when one is gone."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from core import runs
from core.errors import SettingError, TrainingError
from tests.train import make
from train import machine, processes
from train.__main__ import main
from train.accumulate import gradients, summed
from train.config import Config
from train.processes import Processes

ROOT = Path(__file__).resolve().parents[2]
TOY = [
    *(
        "--data",
        "phantoms",
        "--size",
        "16",
        "--channel-base",
        "64",
        "--channel-max",
        "8",
        "--z-dim",
        "8",
        "--w-dim",
        "8",
    ),
    *("--mapping-layers", "1", "--batch", "16", "--tick", "0.016", "--precision", "float32", "--samples", "2"),
    *("--threads", "1", "--device", "cpu", "--snapshot", "100", "--mirror"),
]


def start(out: Path, *more: object, count: int = 2) -> list[subprocess.Popen[str]]:
    """`python -m train` as `count` processes that torchrun would start."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    made = []
    for rank in range(count):
        named = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": count, "LOCAL_WORLD_SIZE": count}
        env = {
            **os.environ,
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
            **{k: str(v) for k, v in named.items()},
        }
        command = [sys.executable, "-m", "train", "--out", str(out), *TOY, *map(str, more)]
        made.append(
            subprocess.Popen(
                command, cwd=ROOT, env=env, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, encoding="utf-8"
            )
        )
    return made


def ended(started: list[subprocess.Popen[str]]) -> list[tuple[int, str]]:
    """Status and stderr of each."""
    said = [one.communicate(timeout=120)[1] for one in started]
    return [(one.returncode, text) for one, text in zip(started, said, strict=True)]


def lines(said: str) -> list[str]:
    return [line for line in said.splitlines() if line.strip() and "img/s" not in line]


def test_1_x_16_and_2_x_8_are_the_same_training_but_for_rounding(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    more = ["--kimg", "0.064", "--path-every", "1", "--r1-every", "1", "--augment", "fixed:0.4"]
    both = start(tmp_path / "two", *more)
    monkeypatch.setattr(sys, "argv", ["train", "--out", str(tmp_path / "one"), *TOY, *more])
    assert main() == 0
    (first, said), (second, silent) = ended(both)
    assert (first, second) == (0, 0), said + silent
    assert "2 processes, cpu" in said and lines(silent) == []
    one, two = runs.log(tmp_path / "one"), runs.log(tmp_path / "two")
    assert [line["kimg"] for line in one] == [0.016, 0.032, 0.048, 0.064]
    for key in ("loss_g", "loss_d", "r1", "path_length", "logit_real", "logit_fake", "ada_sign"):
        assert [line[key] for line in two] == pytest.approx([line[key] for line in one], rel=1e-4, abs=1e-6), key


def test_a_stop_on_any_process_is_everybodys_and_a_lost_one_is_named(tmp_path: Path) -> None:
    """SIGTERM on the second one saves and ends both; a second one that is killed is named once, and the run goes on."""
    out = tmp_path / "run"
    both = start(out, "--kimg", "1000")
    wait_for(out / "log.jsonl", lines=1, of=both)
    both[1].send_signal(signal.SIGTERM)
    (first, said), (second, silent) = ended(both)
    assert (first, second) == (0, 0), said + silent
    assert "go on with --resume" in said and lines(silent) == []
    seen = runs.log(out)[-1]["kimg"]
    both = start(out, "--kimg", "1000", "--resume", "--patience", "1.5")
    wait_for(out / "log.jsonl", lines=len(runs.log(out)) + 1, of=both)
    both[1].kill()
    (first, said), _ = ended(both)
    assert first == 2 and runs.log(out)[-1]["kimg"] > seen
    (error,) = [line for line in said.splitlines() if line.startswith("error: ")]
    assert f"process 1 on {socket.gethostname()} is gone; the run is whole up to its last state" in error


def wait_for(file: Path, *, lines: int, of: list[subprocess.Popen[str]]) -> None:
    end = time.monotonic() + 100
    while not file.is_file() or len(file.read_text(encoding="utf-8").splitlines()) < lines:
        assert time.monotonic() < end and all(one.poll() is None for one in of), ended(of)
        time.sleep(0.05)


def test_a_batch_that_cannot_be_shared_is_refused_once(tmp_path: Path) -> None:
    (first, said), (second, silent) = ended(start(tmp_path / "run", "--batch", 12))
    assert (first, second) == (2, 2) and lines(silent) == []
    assert lines(said) == [
        "error: batch cannot be '12': a multiple of processes x minibatch group, 2 x 4; change --batch, --group or "
        "--nproc_per_node"
    ]
    assert not (tmp_path / "run").exists()


def test_shares_are_disjoint_and_whole() -> None:
    for count in (1, 2, 7, 16):
        for several in (1, 2, 3, 8):
            parts = [Processes(rank=rank, count=several).share(count) for rank in range(several)]
            assert [n for part in parts for n in range(part.start, part.stop)] == list(range(count))


def test_a_process_without_a_picture_adds_nothing() -> None:
    """Path lengths of one picture on two processes: the second one works at weight zero."""
    trainer = make.trainer(batch=8)
    first = Processes(rank=0, count=2)  # of one picture the first of two has none
    figures = gradients(trainer.path_penalty, count=1, micro=4, processes=first)
    assert figures["path_length"].item() == 0
    found = [p.grad for p in trainer.networks.g.parameters() if p.grad is not None]
    assert found and all(not gradient.any() for gradient in found)


def test_processes_that_start_again_do_not_meet_the_dead() -> None:
    """torchrun with a fixed master port keeps its store when it starts all processes again."""
    store, names = dist.HashStore(), list[str]()
    store.set("greeting/1", "of one that was killed before it had an answer")
    for _ in range(2):
        with ThreadPoolExecutor(3) as pool:
            met = [pool.submit(processes._met, store, rank=rank, count=3, minutes=1) for rank in (2, 0, 1)]
        (name,) = {one.result() for one in met}
        names.append(name)
    assert names[0] != names[1]
    with pytest.raises(processes.Missing, match="process 1 and 2 has not come within"):
        processes._met(store, rank=0, count=3, minutes=0.005)


def test_who_is_told_by_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "4")
    with pytest.raises(SettingError, match="batch cannot be '8': a multiple of processes x minibatch group, 4 x 4"):
        processes.check_batch(Config.read({"data": "phantoms", "batch": 8}))
    with pytest.raises(SettingError, match="mps.*cpu or cuda where there are several"):
        machine.device("mps")
    monkeypatch.setenv("RANK", "1")
    with pytest.raises(processes.Elsewhere), processes.alike():
        raise SettingError("batch", 1, "more")


def test_a_figure_does_not_keep_the_gradients_it_was_summed_with(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures wait until the tick, so views of the vector of all gradients would fill the memory of many steps."""
    monkeypatch.setattr(dist, "all_reduce", lambda values: values.mul_(2))
    weight = torch.nn.Parameter(torch.ones(1000))
    weight.grad = torch.full((1000,), 3.0)
    figures = summed([weight], {"loss": torch.tensor(1.5), "w": torch.ones(2, 3)}, processes=Processes(count=2))
    assert figures["loss"].item() == 3 and torch.equal(figures["w"], torch.full((2, 3), 2.0))
    assert weight.grad.eq(6).all()
    assert [value.untyped_storage().nbytes() for value in figures.values()] == [4, 24]


def test_hosts_meet_before_their_gpus_do(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, object]] = []

    def all_reduce(values: torch.Tensor, group: object = None) -> None:
        asked.append((values.device.type, group))

    monkeypatch.setattr(dist, "all_reduce", all_reduce)
    several = Processes(count=2, side="hosts")
    several.sum_(torch.zeros(3, device="meta"))
    several.sum_(torch.zeros(3))
    Processes().sum_(torch.zeros(3, device="meta"))
    assert asked == [("cpu", "hosts"), ("meta", None), ("cpu", None)]


def test_memory_that_runs_out_in_a_sum_is_not_a_process_that_is_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise RuntimeError("NCCL error: unhandled cuda error: 'out of memory'")

    monkeypatch.setattr(dist, "all_reduce", full)
    with pytest.raises(TrainingError, match="memory ran out while the processes were meeting; take a smaller"):
        Processes(count=2).sum_(torch.zeros(3))
