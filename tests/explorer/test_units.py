"""What gray levels stand for: from the network file to 16-bit pictures."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import core
from core import pictures
from core.command import run
from core.errors import SettingError
from core.intensity import Intensity
from explorer.__main__ import main
from explorer.recipe import Recipe
from explorer.studio import INTENSITY_KEY, TEXT_KEY, Studio
from tests.explorer.conftest import toy

UNITS = {"slope": 2000 / 65535, "intercept": -1000.0, "unit": "HU"}


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """checkpoints/ct, whose levels are Hounsfield units, and checkpoints/plain, of which nothing is said."""
    path = toy(tmp_path / "checkpoints" / "plain.safetensors", crop=[1, 0, 12, 11])
    opened = core.load(path)
    about = {"picture": {"crop": [1, 0, 12, 11], "intensity": UNITS}}
    core.save(tmp_path / "checkpoints" / "ct.safetensors", opened.generator, about=about)
    return tmp_path


def test_sixteen_bits_say_what_they_stand_for(
    units: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(units)
    flags = ["--device", "cpu", "--json"]
    main(["render", "--checkpoint", "ct", "--seeds", "3", "--bits", "16", "--out", "a.png", *flags])
    said = json.loads(capsys.readouterr().out)
    assert said["bits"] == 16 and said["intensity"] == UNITS
    deep, text = pictures.read(units / "a.png"), pictures.read_text(units / "a.png")
    assert deep.dtype == np.uint16 and deep.shape == (12, 11) and json.loads(text[INTENSITY_KEY]) == UNITS
    assert json.loads(text[TEXT_KEY])["seed"] == 3
    main(["render", "--checkpoint", "ct", "--seeds", "3", "--out", "b.png", *flags])
    assert json.loads(capsys.readouterr().out)["intensity"] is None
    plain = pictures.read(units / "b.png")
    assert plain.dtype == np.uint8 and abs(deep / 257 - plain).max() <= 1
    assert INTENSITY_KEY not in pictures.read_text(units / "b.png")
    main(["render", "--checkpoint", "plain", "--seeds", "3", "--bits", "16", "--out", "c.png", *flags])
    assert json.loads(capsys.readouterr().out)["intensity"] is None
    main(["inspect", "checkpoints/ct.safetensors"])
    assert "intensity: -1000 to 1000 HU" in capsys.readouterr().out.splitlines()
    main(["inspect", "checkpoints/ct.safetensors", "--json"])
    assert json.loads(capsys.readouterr().out)["intensity"] == UNITS
    assert run(lambda: main(["render", "--seeds", "3", "--bits", "12", "--out", "d.png"])) == 2
    assert "bits cannot be '12'" in capsys.readouterr().err and not (units / "d.png").exists()


def test_a_frame_of_sixteen_bits(units: Path) -> None:
    studio = Studio(units / "checkpoints", units / "runs", device="cpu")
    recipe = Recipe.parse({"checkpoint": "ct", "seed": 5})
    frame = studio.frame(recipe, bits=16)
    assert np.array_equal(pictures.read(frame.data), studio.exact(recipe, bits=16))
    assert json.loads(pictures.read_text(frame.data)[INTENSITY_KEY])["unit"] == "HU"
    for bits, kind in [(16, "jpeg"), (12, "png")]:
        with pytest.raises(SettingError, match="bits"):
            studio.frame(recipe, bits=bits, format=kind)


@pytest.mark.parametrize(
    "said",
    [None, 5, {}, {"slope": 0, "intercept": 1}, {"slope": "1", "intercept": 0}, {"slope": 1, "intercept": 1e999}]
    + [{"slope": 10**400, "intercept": 0}, {"slope": 1, "intercept": -(10**400)}, {"slope": 1e305, "intercept": 0}]
    + [{"slope": True, "intercept": 0}],
)
def test_what_cannot_be_used_is_passed_over(said: object) -> None:
    assert Intensity.read(said) is None


def test_straight_lines() -> None:
    line = Intensity.between(-160, 240, unit="HU")
    assert Intensity.read(line.values()) == line and line.says() == "-160 to 240 HU"
    assert Intensity.between(1, 0).slope < 0 and "no unit known" in Intensity(1, 0).says()
