"""Whole trainings, as a person starts them: what they leave, how they go on, what they refuse."""

from __future__ import annotations

import json
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

import core
from core import pictures, runs
from core.errors import OutputError, SettingError
from tests.train import make
from train import evolution, output, resume, session
from train.__main__ import main
from train.config import Config
from train.loop import Trainer
from train.output import LOG_KEYS, Run

TINY = ["--channel-base", "128", "--channel-max", "16", "--threads", "1", "--precision", "float32", "--samples", "4"]
SHORT = ["--preset", "smoke", "--size", "16", *TINY, "--batch", "4", "--kimg", "0.012", "--tick", "0.004"]
HEADER = pictures.Header((24, 20), gray=True, wide=False)


def run(monkeypatch: pytest.MonkeyPatch, *arguments: object) -> int:
    """python -m train ARGUMENTS, in this process."""
    monkeypatch.setattr(sys, "argv", ["train", *map(str, arguments)])
    return main()


def states(path: Path) -> dict[str, torch.Tensor]:
    (file,) = (path / "state").glob("*.safetensors")
    return load_file(file)


def test_smoke_learns_from_a_folder_of_every_kind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make.folder(tmp_path / "in" / "nested", count=24, kinds=make.KINDS, size=(26, 20)).parent
    out = tmp_path / "out"
    began = time.monotonic()
    flags = ["--preset", "smoke", *TINY, "--batch", "8", "--tick", "0.04", "--kimg", "0.08", "--grid", 4]
    flags += ["--credit", "Me"]
    assert run(monkeypatch, "--data", data, "--out", out, *flags) == 0
    assert time.monotonic() - began < 60
    said = capsys.readouterr()
    assert said.out.split() == [str(out / "grid.png")] and "float32 (as asked)" in said.err
    left = {path.name for path in out.iterdir()}
    assert left == {
        "config.json", "command.txt", "data.png", "log.jsonl", "losses.csv", "losses.png", "evolution.gif", "samples",
        "checkpoints", "state", "drawings", "grid.png",
    }  # fmt: skip
    log = runs.log(out)
    assert [line["kimg"] for line in log] == [0.04, 0.08]
    assert all(set(line) == set(LOG_KEYS) for line in log)
    assert log[0]["ada_p"] is None and log[0]["alpha"] is None and log[0]["loss_d"] > 0 and log[1]["r1"] >= 0
    assert runs.config(out)["batch"] == 8 and runs.config(out)["resolved"]["crop"] == [3, 6, 26, 20]
    opened = core.load(out / "checkpoints" / "000000.safetensors")
    assert opened.generator.size == (32, 32) and opened.generator.channels == 3
    assert opened.discriminator is not None and opened.live is not None and opened.crop == (3, 6, 26, 20)
    assert (
        opened.about["credit"] == "Me"
        and opened.about["training"]["images_seen"] == 80
        and opened.about["training"]["pictures"] == 24
        and opened.about["training"]["torch"] == str(torch.__version__)
    )
    assert pictures.read(out / "samples" / "000000.png").shape[:2] == (26, 4 * 20 + 3 * 2)
    assert pictures.read(out / "grid.png").shape[:2] == (2 * 26 + 2, 2 * 20 + 2)


def test_resuming_equals_never_having_stopped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make.folder(tmp_path / "in", count=7)
    short = ["--data", data, *SHORT, "--r1-every", "2", "--path-every", "2", "--mirror"]
    assert run(monkeypatch, *short, "--out", tmp_path / "a", "--kimg", "0.024") == 0
    assert run(monkeypatch, *short, "--out", tmp_path / "b", "--kimg", "0.012") == 0
    assert run(monkeypatch, "--out", tmp_path / "b", "--resume", "--kimg", "0.024") == 0
    assert "resuming with --kimg 0.024 instead of 0.012" in capsys.readouterr().err
    a, b = states(tmp_path / "a"), states(tmp_path / "b")
    assert a.keys() == b.keys() and [name for name in a if not torch.equal(a[name], b[name])] == []
    logs = [runs.log(tmp_path / name) for name in "ab"]
    kept = ("kimg", "loss_g", "loss_d", "r1", "path_length")
    assert [[line[key] for key in kept] for line in logs[0]] == [[line[key] for key in kept] for line in logs[1]]
    assert len((tmp_path / "b" / "command.txt").read_text(encoding="utf-8").splitlines()) == 2


def test_what_a_resumed_run_may_not_change(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert run(monkeypatch, "--data", "phantoms", "--out", out, *SHORT) == 0
    before = sorted((path, path.stat().st_mtime_ns) for path in out.rglob("*"))
    assert run(monkeypatch, "--data", "phantoms", "--out", out, *SHORT) == 2
    assert "has something in it; go on with that run by --resume" in capsys.readouterr().err
    assert run(monkeypatch, "--out", out, "--resume", "--gamma", "7", "--batch", "8", "--kimg", "1") == 2
    assert "--batch 4 (now 8), --gamma auto (now 7.0)" in capsys.readouterr().err
    assert sorted((path, path.stat().st_mtime_ns) for path in out.rglob("*")) == before
    assert run(monkeypatch, "--out", out, "--resume") == 0
    assert "has seen 12 images already; give a larger --kimg" in capsys.readouterr().err


def test_resume_without_state_begins_at_zero(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "run"
    assert run(monkeypatch, "--data", "phantoms", "--out", out, *SHORT, "--resume") == 0
    for file in (out / "state").iterdir():
        file.unlink()
    assert run(monkeypatch, "--out", out, "--resume") == 0
    assert [line["kimg"] for line in runs.log(out)] == [0.004, 0.008, 0.012]


def test_a_dry_run_tells_and_touches_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make.folder(tmp_path / "in", count=5)
    before = sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*"))
    assert run(monkeypatch, "--data", data, "--out", tmp_path / "run", *SHORT, "--size", "auto", "--dry-run") == 0
    assert sorted((path, path.stat().st_mtime_ns) for path in tmp_path.rglob("*")) == before
    told = capsys.readouterr().out
    for words in ("path_weight", "24x20, gray, from 6x5", "parameters", "GiB", "images a second", "5, most"):
        assert words in told


def test_a_network_of_half_the_size_is_grown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = make.folder(tmp_path / "in", count=4, size=(32, 24))
    short = ["--data", data, *SHORT, "--kimg", "0.004"]
    assert run(monkeypatch, *short, "--size", "16x12", "--out", tmp_path / "a") == 0
    file = runs.newest(tmp_path / "a")
    still = ["--size", "32x24", "--init", file, "--g-lr", 0, "--d-lr", 0]
    assert run(monkeypatch, *short, "--out", tmp_path / "b", *still) == 0
    small, large = core.load(str(file)), core.load(runs.newest(tmp_path / "b"))  # type: ignore[arg-type]
    assert torch.equal(large.generator.w_avg == 0, small.generator.w_avg == 0)
    ws = torch.randn(1, large.generator.num_ws, 64)
    ours = large.generator.synthesis(ws, noise="none")
    half = torch.nn.functional.avg_pool2d(ours, 2)
    theirs = small.generator.synthesis(ws[:, : small.generator.num_ws], noise="none")
    assert (half - theirs).abs().mean() < 0.2 * theirs.std(), "the first pictures are the old ones, enlarged"
    name = "epilogue.conv.weight"
    assert torch.equal(large.discriminator.state_dict()[name], small.discriminator.state_dict()[name])  # type: ignore[union-attr]


def test_a_network_of_another_shape_is_no_beginning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    short = ["--data", "phantoms", *SHORT, "--kimg", "0.004"]
    assert run(monkeypatch, *short, "--out", tmp_path / "a") == 0
    file = runs.newest(tmp_path / "a")
    for flags, words in [
        (["--size", "64"], "its size is 16x16, which is neither 64x64 nor half of it"),
        (["--size", "24x20"], "it starts from 4x4, so give --size 16x16 or 32x32, twice that"),
        (["--channel-base", "64"], "its channels are 16,16,8; give the same with --filters"),
        (["--z-dim", "32"], "its z_dim is 64, and this run's is 32"),
    ]:
        assert run(monkeypatch, *short, "--out", tmp_path / "b", "--init", file, *flags) == 2
        assert words in capsys.readouterr().err
        assert not (tmp_path / "b").exists()
    assert run(monkeypatch, *short, "--out", tmp_path / "b", "--init", tmp_path / "nothing") == 2
    assert "nothing" in capsys.readouterr().err


def test_a_run_is_not_put_among_its_own_pictures(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make.folder(tmp_path / "in", count=4)
    assert run(monkeypatch, "--data", data, "--out", data / "runs" / "one", *SHORT) == 2
    assert "a place outside" in capsys.readouterr().err and not (data / "runs").exists()


def test_measures_that_there_are_not_are_said_before_the_pictures_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for flags, words in [
        (["--metrics", "nope"], "nope"),
        (["--metrics", "swd", "--best", "ms_ssim"], "--metrics names"),
    ]:
        assert run(monkeypatch, "--data", tmp_path / "nowhere", "--out", tmp_path / "run", *SHORT, *flags) == 2
        assert words in capsys.readouterr().err


@pytest.mark.parametrize("there", [False, True])
def test_a_beginning_that_fails_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], there: bool
) -> None:
    """A disk that is full when the drawings of the network are made, after the settings and the pictures."""
    out = tmp_path / "run"
    if there:
        out.mkdir()
    short = ("--data", "phantoms", "--out", out, *SHORT)

    def full(*given: object) -> None:
        assert (out / "config.json").is_file() and (out / "data.png").is_file()
        raise OutputError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(output, "draw_networks", full)
        assert run(monkeypatch, *short) == 2
    assert "the disk is full" in capsys.readouterr().err
    assert list(out.iterdir()) == [] if there else not out.exists()
    assert run(monkeypatch, *short) == 0  # so the same command works once there is room


def test_a_resumed_run_that_fails_keeps_what_it_had(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "run"
    assert run(monkeypatch, "--data", "phantoms", "--out", out, *SHORT) == 0
    before = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}

    def full(*given: object) -> None:
        raise OutputError("the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(output, "draw_networks", full)
        assert run(monkeypatch, "--out", out, "--resume", "--kimg", "0.05") == 2
    after = {path: path.read_bytes() for path in out.rglob("*") if path.is_file()}
    told = {out / name for name in ("config.json", "command.txt", "launch", "state/launch")}
    assert set(before) <= set(after) and all(after[path] == data for path, data in before.items() if path not in told)


@pytest.mark.parametrize("what", ["nowhere", "empty", "text"])
def test_bad_data_leaves_nothing_behind(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], what: str
) -> None:
    data = tmp_path / what
    if what != "nowhere":
        data.mkdir()
    if what == "text":
        (data / "a.png").write_text("no picture", encoding="utf-8")
    assert run(monkeypatch, "--data", data, "--out", tmp_path / "run", *SHORT) == 2
    error = capsys.readouterr().err.strip()
    assert error.startswith("error: ") and "\n" not in error and str(data) in error
    assert not (tmp_path / "run").exists()


def test_a_place_that_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    for out, words in [(tmp_path / "file", "is a file"), (tmp_path / "file" / "run", "cannot be made")]:
        assert run(monkeypatch, "--data", "phantoms", "--out", out, *SHORT) == 2
        error = capsys.readouterr().err
        assert error.startswith("error: ") and str(out) in error and words in error
    assert (tmp_path / "file").read_text(encoding="utf-8") == "mine"


def test_a_full_disk_keeps_the_last_checkpoint_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    assert run(monkeypatch, "--data", "phantoms", "--out", out, *SHORT, "--kimg", "0.004") == 0
    whole = (out / "checkpoints" / "000000.safetensors").read_bytes()
    with monkeypatch.context() as patch:
        patch.setattr("os.replace", full_disk)
        assert run(patch, "--out", out, "--resume", "--kimg", "0.008") == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.startswith("error: ") and "No space left" in error
    assert (out / "checkpoints" / "000000.safetensors").read_bytes() == whole
    assert list(out.rglob(".*")) == []
    assert run(monkeypatch, "--out", out, "--resume", "--kimg", "0.008") == 0


def full_disk(*paths: object) -> None:
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    ("flags", "advice"),
    [
        ([], "twice --gamma"),
        (["--gamma", 0], "--gamma 1"),
        (["--loss", "wgan-gp"], "twice --gp-weight"),
        (["--loss", "wgan-gp", "--gp-weight", 0], "--gp-weight 10"),
    ],
)
def test_a_loss_that_is_not_finite_is_told_with_advice(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    flags: list[object],
    advice: str,
) -> None:
    out = tmp_path / "run"
    assert run(monkeypatch, "--data", "phantoms", "--out", out, *SHORT, *flags, "--kimg", "0.004") == 0
    monkeypatch.setattr("train.losses.softplus", lambda x: x * float("inf"))
    monkeypatch.setattr("train.losses.critic_loss", lambda real, fake, drift: real * float("inf"))
    assert run(monkeypatch, "--out", out, "--resume", "--kimg", "1") == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert error.endswith(f"begin anew with half --g-lr and --d-lr or {advice}")
    assert "at 4 images; the last good checkpoint is" in error and "000000.safetensors" in error and "--g-lr" in error
    assert [line["kimg"] for line in runs.log(out)] == [0.004]


def test_a_sheet_shows_the_same_seeds_each_time(tmp_path: Path) -> None:
    folder = Run(tmp_path)
    (tmp_path / "log.jsonl").write_text(json.dumps({"kimg": 1, "loss_g": 0.7, "loss_d": 1.4}) + "\n", encoding="utf-8")
    for images in (1000, 2000, 3000):
        folder.sample(make.levels((20, 20), seed=images), images=images)
    assert [file.stem for file in runs.samples(tmp_path)] == ["000001", "000002", "000003"]
    assert (tmp_path / "evolution.gif").read_bytes().startswith(b"GIF89a")
    assert pictures.read(tmp_path / "losses.png").shape == (220, 900, 3)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("steps", [1, 2])
def test_a_signal_saves_and_ends_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], number: int, steps: int
) -> None:
    """In the midst of a step, at a tick and between two."""
    whole = Trainer.step

    def step(trainer: Trainer) -> None:
        if trainer.images == 4 * (steps - 1):
            signal.raise_signal(number)
        whole(trainer)

    monkeypatch.setattr(Trainer, "step", step)
    out = tmp_path / "run"
    assert run(monkeypatch, "--data", "phantoms", "--out", out, *SHORT, "--tick", "0.008", "--kimg", "1") == 0
    assert f"stopped at {0.004 * steps:g} kimg; saved {runs.newest(out)}; go on with" in capsys.readouterr().err
    assert core.load(runs.newest(out)).about["training"]["images_seen"] == 4 * steps  # type: ignore[arg-type]
    assert signal.getsignal(number) not in (None, step)
    assert run(monkeypatch, "--out", out, "--resume", "--kimg", "0.012") == 0
    assert runs.log(out)[-1]["kimg"] == 0.012


def test_a_signal_before_the_first_image(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = make.folder(tmp_path / "in", count=4)
    monkeypatch.setattr("core.pictures.read_header", lambda *a, **k: signal.raise_signal(signal.SIGTERM) or HEADER)
    assert run(monkeypatch, "--data", data, "--out", tmp_path / "run", *SHORT) == 0
    assert "stopped before the first image; nothing to save" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_another_spelling_of_the_same_place_is_no_other_data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "set").mkdir()
    config = Config(data="set/")
    before = {**config.values(), "data": str(tmp_path / "set")}
    resume.compare(config, before)
    with pytest.raises(SettingError, match="--data"):
        resume.compare(config, {**before, "data": str(tmp_path / "other")})


def test_there_is_something_to_see_before_the_first_tick_and_between_ticks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain, often = tmp_path / "plain", tmp_path / "often"
    short = ["--data", "phantoms", *SHORT, "--kimg", "0.032", "--tick", "0.016"]
    assert run(monkeypatch, *short, "--out", plain) == 0
    assert [seen for seen, _ in evolution.frames(plain)] == [0, 16, 32]
    monkeypatch.setattr(session, "LOOK", 0.0)
    assert run(monkeypatch, *short, "--out", often) == 0
    assert [seen for seen, _ in evolution.frames(often)] == [0, 4, 8, 12, 16, 20, 24, 28, 32]
    a, b = states(plain), states(often)
    assert a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)
    assert [line["loss_g"] for line in runs.log(plain)] == [line["loss_g"] for line in runs.log(often)]


def test_a_sheet_between_ticks_leaves_none_of_what_a_resumed_run_had(tmp_path: Path) -> None:
    folder = Run(tmp_path)
    for images, level in ((4000, 10), (4500, 20), (5000, 30)):
        folder.sample(np.full((8, 8), level, np.uint8), images=images)
    folder.forget_after(4000)
    assert [file.stem for file in runs.samples(tmp_path)] == ["000004"]
    assert int(pictures.read(runs.samples(tmp_path)[0])[0, 0]) == 10


def test_memory_that_is_short_anywhere_ends_in_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def short(*_: object, **__: object) -> None:
        raise RuntimeError("could not create a primitive")

    monkeypatch.setattr(session, "draw", short)
    assert run(monkeypatch, "--data", "phantoms", *SHORT, "--out", tmp_path / "run") == 2
    assert "error: memory ran out; take a smaller --size" in capsys.readouterr().err


def test_where_memory_ends_a_run_its_rates_are_not_blamed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def short(self: Trainer, part: slice) -> None:
        raise MemoryError

    monkeypatch.setattr(Trainer, "generator_loss", short)
    assert run(monkeypatch, "--data", "phantoms", *SHORT, "--out", tmp_path / "run") == 2
    said = capsys.readouterr().err
    assert "memory ran out with 4 images at once" in said and "--g-lr" not in said
