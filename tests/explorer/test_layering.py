"""The verb `layers`: its list, its pictures, and what it refuses before a network is loaded."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core import pictures
from core.command import run
from explorer.__main__ import main
from explorer.recipe import Recipe
from explorer.studio import Studio


def layers(folder: Path, *flags: str) -> int:
    places = ("--checkpoints", str(folder / "checkpoints"), "--runs", str(folder / "runs"))
    return run(lambda: main(["layers", *places, *flags]))


def told(capsys: pytest.CaptureFixture[str]) -> Any:
    return json.loads(capsys.readouterr().out)


def test_without_out_the_layers_are_listed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert layers(folder, "--seeds", "7") == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("0\tconst\t8 channels, mean ") and lines[0].endswith("the same for every picture")
    assert lines[-1].startswith("7\tpicture-14x12\t1 channel, mean ") and lines[-1].endswith("\tthe picture")
    assert layers(folder, "--seeds", "7", "--layer", "4", "--json") == 0
    one = told(capsys)
    assert one["layer"] == "conv0-14x12" == one["layers"][4]["name"]
    assert len(one["means"]) == one["layers"][4]["channels"]
    way = '{"toward": {"seed": 3, "t": 1}}'  # a seed stands for itself, as in every verb
    assert layers(folder, "--seeds", "7", "--recipe", way, "--layer", "4", "--json") == 0 and told(capsys) == one


def test_each_view_is_written_with_what_made_it(
    folder: Path, studio: Studio, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "row.png"
    assert layers(folder, "--seeds", "7", "--psi", "1", "--view", "growing", "--cell", "12", "--out", str(out)) == 0
    row = pictures.read(out)
    exact = studio.exact(Recipe(checkpoint="brain", seed=7, psi=1.0)).astype(int)
    assert abs(row[-exact.shape[0] :, -exact.shape[1] :] - exact).max() <= 1
    assert capsys.readouterr().out.strip() == str(out)
    for view in ("channels", "spectrum"):
        out = tmp_path / f"{view}.png"
        flags = ("--recipe", '{"seed": 3}', "--layer", "conv1-7x6", "--view", view, "--sort", "deviation", "--json")
        assert layers(folder, *flags, "--out", str(out)) == 0
        assert told(capsys)["written"] == [str(out)]
        about = json.loads(pictures.read_text(out)["styloscope"])
        assert (about["verb"], about["view"], about["layer"]) == ("layers", view, "conv1-7x6")
        assert about["recipe"]["seed"] == 3 and len(about["sha"]) == 12
        assert np.std(pictures.read(out)) > 10


def test_more_channels_than_there_are_is_all_of_them(folder: Path, tmp_path: Path) -> None:
    for count in ("8", "4096"):
        assert (
            layers(folder, "--seeds", "1", "--layer", "0", "--count", count, "--out", str(tmp_path / count) + ".png")
            == 0
        )
    assert (tmp_path / "8.png").read_bytes() == (tmp_path / "4096.png").read_bytes()


@pytest.mark.parametrize(
    ("flags", "field"),
    [
        (("--seeds", "1,2"), "seeds"), (("--seeds", "1", "--out", "x.png"), "layer"),
        (("--seeds", "1", "--layer", "conv0-7x6", "--out", "x.png"), "layer"), (("--view", "all"), "view"),
        (("--sort", "name"), "sort"), (("--scale", "none"), "scale"), (("--count", "0"), "count"),
        (("--cell", "4"), "cell"), (("--layer", "1", "--out", "x.jpg"), "out"), (("--first", "-1"), "first"),
        (("--layer", "1", "--first", "99", "--out", "x.png"), "first"), (("--columns", "x"), "columns"),
        (("--title", "two\nlines"), "title"), (("--recipe", '{"seed": -1}'), "seed"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_in_one_line(
    folder: Path, flags: tuple[str, ...], field: str, tmp_path: Path, capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(tmp_path)
    assert layers(folder, *flags) == 2
    said = capsys.readouterr().err.strip().splitlines()
    assert len(said) == 1 and said[0].startswith(f"error: {field} cannot be ")
    assert list(tmp_path.iterdir()) == []
