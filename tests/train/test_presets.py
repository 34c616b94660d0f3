"""Presets on pictures of another shape than they were made for, and beside --resume."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path

import pytest

from core import runs
from core.errors import SettingError
from tests.train import make
from tests.train.test_run import TINY, run
from train.cli import ask
from train.config import Config
from train.opening import Plan, plan
from train.presets import Follows, follows

SMALL = [*TINY, "--batch", "4", "--kimg", "0.008", "--tick", "0.004", "--reconstruct", "0", "--hold", "0"]


def planned(tmp_path: Path, size: tuple[int, int], *flags: str) -> Plan:
    data = tmp_path / f"{size[0]}x{size[1]}"
    if not data.exists():
        make.folder(data, count=2, size=size)
    asked = ask(["--data", str(data), "--out", str(tmp_path / "run"), *flags])
    return plan(asked.config, follows=asked.follows)


@pytest.mark.parametrize("name", ["brain", "brain-light", "brain-half", "brain-progressive"])
def test_brain_presets_are_what_they_were_for_the_slices_they_were_made_for(tmp_path: Path, name: str) -> None:
    asked = ask(["--data", "phantoms", "--out", "run", "--preset", name]).config
    config = planned(tmp_path, (208, 176), "--preset", name).config
    assert dataclasses.replace(config, data="phantoms") == asked


@pytest.mark.parametrize("size", [(256, 256), (260, 209), (64, 64)])
@pytest.mark.parametrize("name", ["brain", "brain-light", "brain-half", "brain-progressive", "avatars"])
def test_presets_begin_on_other_shapes(tmp_path: Path, size: tuple[int, int], name: str) -> None:
    found = planned(tmp_path, size, "--preset", name)
    found.config.check()
    assert len(found.config.filters_for(found.frame.size)) > 4


def test_what_a_preset_becomes_on_squares(tmp_path: Path) -> None:
    light = planned(tmp_path, (256, 256), "--preset", "brain-light").config
    assert light.filters == "256,256,128,64,32,16,16" and light.size == "auto"
    half = planned(tmp_path, (256, 256), "--preset", "brain-half")
    assert half.config.size == "128x128" and half.frame.says.endswith("no margin")
    assert half.config.filters_for((128, 128)) == (256, 256, 128, 64, 32, 16), "which brain-light goes on from"
    grown = planned(tmp_path, (256, 256), "--preset", "brain-progressive").config
    assert (grown.start, grown.filters, grown.fade) == ("8x8", "192,128,64,32,16", "0,2,4,8,12")


def test_what_is_given_beside_a_preset_stays_as_it_is(tmp_path: Path) -> None:
    assert planned(tmp_path, (256, 256), "--preset", "brain-half", "--size", "112x96").config.size == "112x96"
    with pytest.raises(SettingError, match="filters cannot be '8,8': 256x256 from 4x4 has 7 levels, so 7 numbers"):
        planned(tmp_path, (256, 256), "--preset", "brain-light", "--filters", "8,8")
    with pytest.raises(SettingError, match="fade cannot be '0,1'"):
        planned(tmp_path, (256, 256), "--preset", "brain-progressive", "--fade", "0,1")
    larger = planned(tmp_path, (256, 256), "--preset", "progressive-256-light", "--size", "512").config
    assert larger.filters.endswith(",32,16") and larger.stable == "20e,0,0,0,0,0,0,0" and len(larger.batches) == 18
    smaller = planned(tmp_path, (256, 256), "--preset", "progressive-256", "--size", "128").config
    assert smaller.filters == "256,256,256,256,128,64" and smaller.batches == "32,32,32,16,8,4"


def test_what_is_given_is_judged_by_the_size_that_the_pictures_lead_to(tmp_path: Path) -> None:
    """128x128 here, and not the 112x96 of the slices that the presets were made for."""
    start = planned(tmp_path, (256, 256), "--preset", "brain-half", "--start", "4x4").config
    assert (start.size, start.start) == ("128x128", "4x4")
    filters = planned(tmp_path, (256, 256), "--preset", "brain-half", "--filters", "8,8,8,8,8,8").config
    assert filters.filters_for((128, 128)) == (8,) * 6
    grown = planned(tmp_path, (256, 256), "--preset", "brain-progressive", "--grow-from", "32x32").config
    assert (grown.size, grown.grow_from) == ("128x128", "32x32")
    with pytest.raises(SettingError, match="grow_from cannot be '28x24'"):
        planned(tmp_path, (256, 256), "--preset", "brain-progressive", "--grow-from", "28x24")
    with pytest.raises(SettingError, match="start cannot be '4x4'"):
        ask(["--data", "phantoms", "--out", str(tmp_path / "run"), "--preset", "brain-half", "--start", "4x4"])


def test_a_preset_takes_the_channels_of_what_it_begins_with() -> None:
    follow, config = follows("brain-light", ()), Config.read({"data": "x", "filters": "256,128,64,32,16,16"})
    taken = follow.at_size(config, (288, 224), like=(128, 64, 32, 16, 8))
    assert taken.filters == "128,64,32,16,8,8"
    assert Follows().at_size(config, (288, 224), like=(1,)) is config


def test_the_command_of_a_run_resumes_it_with_and_without_its_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data, out = make.folder(tmp_path / "in", count=4, size=(40, 40)), tmp_path / "run"
    given = ["--out", out, "--preset", "brain-half", *SMALL]
    assert run(monkeypatch, "--data", data, *given) == 0
    assert json.loads((out / "config.json").read_text(encoding="utf-8"))["size"] == "40x40"
    for more in ([], ["--data", data]):
        assert run(monkeypatch, *given, *more, "--resume") == 0, capsys.readouterr().err
        assert "has seen 8 images already" in capsys.readouterr().err
    assert run(monkeypatch, "--out", out, "--preset", "brain-half", "--resume") == 2
    said = capsys.readouterr().err
    assert "resume cannot be" in said and "--batch 4 (now 16)" in said and "config.json" not in said
    assert runs.config(out)["batch"] == 4
