"""What a training takes: guessed where it begins, measured without losing the way where memory is short."""

from __future__ import annotations

import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from core import runs
from explorer import following
from tests.train import make
from tests.train.test_growing import GROWS
from tests.train.test_run import SHORT, run
from train import estimate
from train.console import Bar
from train.loop import Trainer


def bar(phases: list[tuple[int, float]]) -> Bar:
    return Bar(phases=phases, total=phases[-1][0], disable=True)


def test_the_time_left_knows_that_a_head_start_is_faster() -> None:
    progress = bar([(100, 1.0), (400, 4.0)])
    assert progress.seconds_left(0, now=0.0) is None
    assert progress.seconds_left(50, now=10.0) == pytest.approx((50 + 300 * 4) * 0.2)
    progress.anew()
    assert progress.seconds_left(100, now=20.0) == pytest.approx(300 * 4 * 0.2), "by the pace of the phase before"
    assert progress.seconds_left(200, now=220.0) == pytest.approx(200 * 2.0), "and then by its own"


def test_the_page_knows_it_too(tmp_path: Path) -> None:
    def left(kimg: tuple[float, ...], *, rate: float, **config: object) -> float:
        (tmp_path / "config.json").write_text(json.dumps({"kimg": 40, "reconstruct": 10, **config}), encoding="utf-8")
        lines = [json.dumps({"kimg": one, "seconds": one / rate}) for one in kimg]
        (tmp_path / "log.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
        found = following.facts(tmp_path)["seconds_left"]
        assert isinstance(found, float)
        return found

    phases = {"resolved": {"phases": [[10, 100], [40, 500]]}}
    assert left((2, 4), rate=1.0, **phases) == pytest.approx(6 + 30 * 5)
    assert left((2, 4), rate=1.0) == pytest.approx(6 + 30 * 4), "a run from before has four times, as is usual"
    assert left((12, 14), rate=0.2, **phases) == pytest.approx(26 / 0.2)
    for broken in ([[10, 0], [40, 5]], [[50, 1], [40, 5]], ["x"], [[10, 1e999]], [[1]]):
        assert left((12, 14), rate=1.0, resolved={"phases": broken}) == pytest.approx(26)
    slow = [{"kimg": 9.0, "seconds": 9.0}, {"kimg": 11.0, "seconds": 19.0}, {"kimg": 12.0, "seconds": 24.0}]
    (tmp_path / "log.jsonl").write_text("".join(json.dumps(one) + "\n" for one in slow), encoding="utf-8")
    (tmp_path / "config.json").write_text(json.dumps({"kimg": 40, **phases}), encoding="utf-8")
    assert following.facts(tmp_path)["seconds_left"] == pytest.approx(28 * 5), "by the ticks of this phase alone"


def test_phases_of_a_training() -> None:
    trainer = make.trainer(reconstruct=0.02, kimg=0.1)
    (ahead, less), (end, more) = estimate.phases(trainer)
    assert (ahead, end) == (20, 100) and 0.2 < less / more < 0.34
    grown = estimate.phases(make.trainer(**GROWS, kimg=0.2))
    assert grown[-1][0] == 200 and [work for _, work in grown] == sorted(work for _, work in grown)
    assert [images for images, _ in estimate.phases(make.trainer(**GROWS, kimg=0.02))] == [16, 20]


def test_a_training_that_takes_days_on_a_cpu_is_doubted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(estimate, "_free", lambda: 2**40)
    assert estimate.doubts(make.trainer(kimg=0.1)) == []
    (said,) = estimate.doubts(make.trainer(kimg=10**6))
    assert (
        "hours on this CPU" in said
        and "add --preset brain-half, made for a CPU" in said
        and "avatars" not in said
        and "GiB in the run's" in said
    )
    long = make.trainer(kimg=10**6)
    long.device = torch.device("cuda")
    assert estimate.doubts(long) == []


def test_memory_that_will_not_do_is_said_with_a_micro_batch_that_does(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make.trainer(batch=32, kimg=0.1)
    held = 32 * estimate._held(trainer, trainer.growth.final)
    monkeypatch.setattr(estimate, "_free", lambda: estimate._weights(trainer) + held // 2)
    (said,) = estimate.doubts(trainer)
    assert "GiB of memory" in said and said.endswith("give --micro-batch 16")
    monkeypatch.setattr(estimate, "_free", lambda: 1)
    assert estimate.doubts(trainer)[0].endswith("take a smaller --size or --channel-base")
    monkeypatch.setattr(estimate, "_free", lambda: None)
    assert estimate.doubts(trainer) == []


def test_the_micro_batch_that_fits_is_looked_for_in_every_size() -> None:
    """A network that grows computes many small pictures at once, and few large ones, which take the most."""
    waiting = [(1, 32), (4, 16), (16, 8)]
    assert [estimate._peak(waiting, most=most) for most in (None, 16, 8, 4, 2)] == [128, 128, 128, 64, 32]


@pytest.mark.parametrize("more", [{}, {"path_weight": 0.0}, GROWS])
def test_guessed_memory_is_like_the_measured(more: dict[str, object]) -> None:
    big = {"channel_base": 1024, "channel_max": 64}
    trainer = make.trainer(**{**big, **more})
    trainer.images = trainer.growth.end if trainer.growth.grows else 0
    measured = estimate.measure(trainer).activations
    assert 0.5 < estimate._held(trainer, trainer.growth.final) / measured < 2


def short(trainer: Trainer, monkeypatch: pytest.MonkeyPatch, *, above: int) -> list[int]:
    """Memory runs out above so many images at once; returns how many were asked for."""
    whole, asked = trainer.generator_loss, list[int]()

    def limited(part: slice) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
        asked.append(part.stop - part.start)
        if asked[-1] > above:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(part)

    monkeypatch.setattr(trainer, "generator_loss", limited)
    return asked


def test_off_the_cpu_all_that_is_computed_at_once_is_measured_and_halved(monkeypatch: pytest.MonkeyPatch) -> None:
    trainer = make.trainer(batch=16)
    monkeypatch.setattr(estimate.machine, "few", lambda trainer: slice(0, 4))
    asked = short(trainer, monkeypatch, above=8)
    assert estimate._part(trainer) == slice(0, 4)
    monkeypatch.setattr(estimate, "_part", lambda trainer: part(SimpleNamespace(device="cuda", trainer=trainer)))
    estimate._measured(trainer, (16, 16))
    assert asked == [16, 8] and trainer.micro == 8


def part(case: SimpleNamespace) -> slice:
    """The part that is measured where the trainer's device is another."""
    before, case.trainer.device = case.trainer.device, torch.device(case.device)
    try:
        return PART(case.trainer)
    finally:
        case.trainer.device = before


PART = estimate._part


def test_how_many_files_a_run_leaves() -> None:
    assert estimate._files(make.trainer(kimg=100, tick=4.0)) == 26
    assert estimate._files(make.trainer(kimg=100, tick=4.0, snapshot=5)) == 6
    assert estimate._files(make.trainer(kimg=100, tick=4.0, keep=3)) == 3
    assert estimate._files(make.trainer(kimg=0.1, tick=0.004)) == 1


def test_a_dry_run_tells_the_disk_and_a_run_what_it_learns(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make.folder(tmp_path / "in", count=6)
    given = ["--data", data, *SHORT, "--reconstruct", "0.004", "--out", tmp_path / "run"]
    assert run(monkeypatch, *given, "--dry-run") == 0
    assert "GiB in the run's folder: network files" in capsys.readouterr().out
    monkeypatch.setenv("TQDM_MININTERVAL", "0")
    assert run(monkeypatch, *given) == 0
    said = capsys.readouterr().err
    assert "the mapping learns, 50%" in said and "head start:" in said
    assert "0 kimg: the generator learns to draw the pictures until 0.004 kimg, 4 images a step" in said
    assert runs.config(tmp_path / "run")["resolved"]["phases"][-1][0] == 0.012
