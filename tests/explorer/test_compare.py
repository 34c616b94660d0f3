"""Two networks side by side: what is carried over, how far they lie apart, and the sheet."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core import pictures
from core.errors import SettingError
from explorer import compare
from explorer.compare import Comparison, apart, counterpart
from explorer.recipe import Mix, Recipe, Steer
from explorer.studio import Studio
from tests.explorer.conftest import toy
from tests.explorer.test_main import Do, do, refused  # noqa: F401

BRAIN = Recipe(checkpoint="brain", seed=3)


def test_a_recipe_on_another_network_keeps_what_that_one_has(studio: Studio) -> None:
    given = {
        "checkpoint": "colour", "seed": 5, "psi": 0.4, "label": 2, "cutoff": 5, "noise": 7,
        "mix": [{"seed": 1, "layers": "2-5", "label": 1}, {"seed": 2, "layers": "4-5"}],
        "steer": [
            {"direction": "sefa-1", "layers": "0-5"}, {"direction": "sefa-2", "layers": "4-5"},
            {"direction": "pca-0", "amount": 2.0}, {"direction": "sefa-1.2-4"}, {"direction": "mine"},
        ],
        "toward": {"seed": 9, "t": 0.25, "label": 1, "mix": [{"seed": 4, "layers": "5"}]},
    }  # fmt: skip
    found = counterpart(Recipe.parse(given), studio.network("brain"))
    studio.check(found)
    assert (found.checkpoint, found.seed, found.psi, found.noise) == ("brain", 5, 0.4, 7)
    assert (found.label, found.cutoff) == (None, 4)
    assert found.mix == (Mix(seed=1, layers="2,3"),)
    assert found.steer == (Steer("sefa-1", 1.0, "0,1,2,3"), Steer("pca-0", 2.0))
    assert found.toward is not None and dict(found.toward.given)["mix"] == () and found.toward.t == 0.25
    assert counterpart(BRAIN, studio.network("brain")) is BRAIN


def test_how_far_two_pictures_lie_apart() -> None:
    left = np.array([[10, 200], [30, 40]], np.uint8)
    right = np.array([[12, 190], [30, 41]], np.uint8)
    assert apart(left, right) == compare.Apart(mean=13 / 4, largest=10)
    assert compare.picture(left, right, amplify=4, signed=True).tolist() == [[136, 88], [128, 132]]
    assert compare.picture(left, right, amplify=16, signed=False).tolist() == [[32, 160], [0, 16]]
    assert compare.picture(left, right, amplify=16, signed=True).tolist() == [[160, 0], [128, 144]]
    colours = np.stack([right, left, left], axis=-1)
    found = apart(left, colours)
    assert found is not None and found.mean == pytest.approx(13 / 12)
    assert apart(left, right[:1]) is None


def test_the_sheet_has_both_pictures_and_their_difference(studio: Studio) -> None:
    comparison = Comparison((BRAIN, replace(BRAIN, seed=4)), "first/000004", amplify=1, signed=True)
    with pytest.raises(SettingError, match="with"):
        replace(comparison, other=None)
    sheet, distances = compare.draw(studio, replace(comparison, other="first/000012"))
    assert sheet.shape[0] > 2 * 14 and [one is None for one in distances] == [True, True]
    same = Comparison((BRAIN,), None, precisions=("float32", "bfloat16"), amplify=16, signed=True)
    sheet, (told,) = compare.draw(studio, same)
    left, right = studio.exact(BRAIN), studio.exact(BRAIN, precision="bfloat16")
    expected = right.astype(int) - left.astype(int)
    assert told is not None and told.mean == pytest.approx(np.abs(expected).mean()) and told.largest > 0
    drawn = np.clip(128 + 16 * expected, 0, 255)
    layout = pictures.Layout.of(
        count=3, columns=3, cell=(12, 11), title="A", row_labels=["3"], column_labels=["A", "B", "C"]
    )
    for column, one in enumerate((left, right, drawn)):
        top, start = layout.corner(0, column)
        assert np.array_equal(sheet[top : top + 12, start : start + 11], one)


def test_a_precision_taken_at_its_word(folder: Path, studio: Studio) -> None:
    narrow, wide = (studio.frame(BRAIN, precision=name) for name in ("bfloat16", "float32"))
    assert (narrow.precision, wide.precision) == ("bfloat16", "float32")
    assert np.array_equal(pictures.read(wide.data), studio.exact(BRAIN))
    assert np.abs(pictures.read(narrow.data).astype(int) - studio.exact(BRAIN)).max() <= 16
    hurried = Studio(folder / "checkpoints", folder / "runs", device="cpu", precision="bfloat16")
    assert np.array_equal(hurried.exact(BRAIN, precision="float32"), studio.exact(BRAIN))
    with pytest.raises(SettingError, match="precision cannot be 'float16'"):
        studio.exact(BRAIN, precision="float16")


def test_the_verb(do: Do, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:  # noqa: F811
    path = toy(tmp_path / "elsewhere" / "brain.safetensors", seed=8, crop=[1, 0, 12, 11])
    told = json.loads(do("compare", "--with", str(path), "--seeds", "0-2", "--out", "c.png", "--json")[0])
    assert [row["seed"] for row in told["rows"]] == [0, 1, 2] and told["written"] == ["c.png"]
    assert told["max"] == max(row["max"] for row in told["rows"]) >= told["mean"] > 0
    text = json.loads(pictures.read_text(Path("c.png"))["styloscope"])
    assert (text["verb"], text["checkpoint"]) == ("compare", "brain") and text["with"] != text["checkpoint"]
    assert text["sha"] != text["with_sha"]


def test_other_sizes_are_shown_and_said(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from core.command import run
    from explorer.__main__ import main

    monkeypatch.chdir(tmp_path)
    places = ["--checkpoints", str(folder / "checkpoints"), "--runs", str(folder / "runs"), "--device", "cpu"]
    line = ["compare", *places, "--with", "colour", "--recipe", '{"seed": 4}', "--out", "c.png", "--json"]
    assert run(lambda: main(line)) == 0
    out, err = capsys.readouterr()
    assert "no difference" in err and err.count("\n") == 1
    told = json.loads(out)
    assert told["mean"] is None and told["rows"] == [{"seed": 4, "mean": None, "max": None}]
    assert pictures.read(Path("c.png")).shape[2] == 3


@pytest.mark.parametrize(
    ("flags", "part"),
    [
        (["--seeds", "1"], "with cannot be 'nothing'"),
        (["--seeds", "1", "--with-precision", "float32"], "with cannot be 'nothing'"),
        (["--with", "first", "--seeds", "1", "--with-precision", "half"], "with_precision cannot be 'half'"),
        (["--with", "first", "--seeds", "1", "--amplify", "3"], "amplify cannot be '3'"),
        (["--with", "none", "--seeds", "1"], "there is no network 'none'"),
        (["--with", "first"], "seeds cannot be 'nothing'"),
        (["--with", "first", "--seeds", "1", "--title", "a\nb"], "title"),
    ],
)
def test_what_cannot_be_compared_is_said(refused: Callable[..., str], flags: list[str], part: str) -> None:  # noqa: F811
    said = refused("compare", *flags, "--out", "c.png")
    assert part in said


def test_settings_that_a_comparison_cannot_have() -> None:
    wrong: list[dict[str, Any]] = [{"amplify": True}, {"signed": 1}, {"precisions": ("auto", "x")}, {"title": 3}]
    for one in wrong:
        with pytest.raises(SettingError, match=next(iter(one)).removesuffix("s")):
            Comparison((BRAIN,), "colour", **one)
