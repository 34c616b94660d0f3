"""python -m explorer directions: what it finds, keeps, draws and shares, and the one line where it cannot."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core.errors import StyloscopeError
from explorer import steering
from explorer.__main__ import main
from explorer.recipe import Recipe
from explorer.studio import TEXT_KEY, Studio
from tests.explorer.conftest import toy

Said = Callable[..., dict[str, Any]]


@pytest.fixture(scope="module")
def networks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("steering")
    toy(folder / "brain.safetensors")
    (folder / "runs").mkdir()
    return folder


@pytest.fixture
def said(networks: Path, capsys: pytest.CaptureFixture[str]) -> Said:
    def run(*flags: str) -> dict[str, Any]:
        main(["directions", f"--checkpoints={networks}", f"--runs={networks / 'runs'}", "--json", *flags])
        return json.loads(capsys.readouterr().out)

    return run


def test_a_sheet_shows_each_from_minus_to_plus_three(said: Said, networks: Path, tmp_path: Path) -> None:
    out = tmp_path / "sheet.png"
    found = said("--method=sefa", "--layers=1-2", "--number=2", "--seed=5", f"--out={out}")
    assert [one["name"] for one in found["directions"]] == ["sefa-0.1-2", "sefa-1.1-2"]
    assert found["written"] == [str(out)]
    with Image.open(out) as picture:
        told = json.loads(picture.text[TEXT_KEY])  # type: ignore[attr-defined]
        sheet = np.asarray(picture)
    assert told["amounts"] == [-3, -2, -1, 0, 1, 2, 3] and told["directions"] == ["sefa-0.1-2", "sefa-1.1-2"]
    studio = Studio(networks, networks / "runs", device="cpu")
    steer = [{"direction": "sefa-1.1-2", "amount": 3, "layers": "1-2"}]
    last = studio.exact(Recipe.parse({"seed": 5, "steer": steer}))
    height, width = last.shape
    places = np.lib.stride_tricks.sliding_window_view(sheet, last.shape)[-height - 20 :, -width - 20 :]
    assert (places == last).all(axis=(2, 3)).any(), "the last cell is the exact picture"


def test_it_keeps_renames_shares_and_forgets(said: Said, tmp_path: Path) -> None:
    kept = said("--method=pca", "--which=1", "--name=wide")["directions"]
    assert [(one["name"], one["method"], one["kept"]) for one in kept] == [("wide", "pca", True)]
    said("--rename=wide", "--name=wider")
    file = tmp_path / "shared.safetensors"
    assert said("--export=wider", f"--out={file}")["written"] == [str(file)]
    with pytest.raises(StyloscopeError, match="that name is taken"):
        said(f"--import={file}")
    said(f"--import={file}", "--name=again")
    assert [one["name"] for one in said()["directions"]] == ["again", "wider"]
    for name in ("again", "wider"):
        said(f"--forget={name}")
    assert said()["directions"] == []


def test_labels_and_piles_give_one_with_its_score(said: Said, tmp_path: Path) -> None:
    table = tmp_path / "ages.csv"
    table.write_text("seed,age\n" + "\n".join(f"{k},{(7919 * k) % 101}" for k in range(40)), encoding="utf-8")
    [found] = said("--method=labels", f"--labels={table}")["directions"]
    assert found["unit"] == "R2" and found["believable"] is False and not found["kept"]
    [found] = said("--method=difference", "--a=0-4", "--b=7,9-12", "--name=piles")["directions"]
    assert found["unit"] == "accuracy" and found["kept"]
    said("--forget=piles")


@pytest.mark.parametrize("other", ['{"blend": [{"seed": 8}]}', '{"toward": {"seed": 8, "t": 1}}'])
def test_piles_take_the_place_of_the_pictures_of_a_recipe(said: Said, other: str) -> None:
    plain = said("--method=difference", "--a=1", "--b=2")
    assert said("--method=difference", "--a=1", "--b=2", f"--recipe={other}") == plain


@pytest.mark.parametrize(
    ("flags", "said_of"),
    [
        (["--method=umap"], "method"),
        (["--method=sefa", "--number=0"], "number"),
        (["--method=sefa", "--layers=3-1"], "layers"),
        (["--method=sefa", "--name=x"], "name"),
        (["--method=pca", "--which=8", "--name=pca-1"], "direction"),
        (["--method=pca", "--which=60", "--name=x"], "which"),
        (["--method=pca", "--seed=99999999999", "--out=x.png"], "seed"),
        (["--method=difference", "--b=3"], "a"),
        (["--method=difference", "--a=3", "--b=9-3"], "b"),
        (["--method=difference", "--a=nobody", "--b=3"], "point"),
        (["--a=3"], "a"),
        (["--method=labels"], "labels"),
        (["--method=labels", "--labels=nowhere.csv"], "labels"),
        (["--method=sefa", "--out=x.jpg"], "out"),
        (["--method=classifier", "--a=1-4", "--b=5-8", "--out=x.png"], "out"),
        (["--method=pca", "--which=-1", "--name=x"], "which"),
        (["--method=pca", "--which=64", "--name=x"], "which"),
        (["--method=pca", f"--title={'x' * 201}", "--out=x.png"], "title"),
        (["--rename=x"], "name"),
        (["--rename=x", "--forget=y"], "rename"),
        (["--export=pca-0"], "out"),
        (["--forget=nobody"], "direction"),
    ],
)
def test_what_cannot_be_is_refused_by_name(said: Said, tmp_path: Path, flags: list[str], said_of: str) -> None:
    with pytest.raises(StyloscopeError) as wrong:
        said(*flags)
    assert f"{said_of} cannot be" in str(wrong.value)


def test_what_cannot_be_kept_is_refused_before_the_work(
    said: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = tmp_path / "ages.csv"
    table.write_text("seed,age\n" + "\n".join(f"{k},{(7919 * k) % 101}" for k in range(40)), encoding="utf-8")
    learn = ("--method=labels", f"--labels={table}")
    said(*learn, "--name=taken")
    with monkeypatch.context() as patched:
        patched.setattr(steering.labels, "from_table", None)  # the work is not begun
        with pytest.raises(StyloscopeError, match="that name is taken"):
            said(*learn, "--name=Taken")
        with pytest.raises(StyloscopeError, match="give --name too"):
            said(*learn, f"--out={tmp_path / 's.png'}")
    said(*learn, "--name=Taken", "--replace")
    assert [one["name"] for one in said()["directions"]] == ["Taken"]
    said("--forget=Taken")


def test_seeds_of_a_table_are_of_the_class_asked_for(
    said: Said, networks: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy(networks / "classes.safetensors", seed=1, num_classes=3)
    table = tmp_path / "ages.csv"
    table.write_text("seed,age\n" + "\n".join(f"{k},{(7919 * k) % 101}" for k in range(40)), encoding="utf-8")
    asked = []
    w_of = steering.labels.w_of
    monkeypatch.setattr(steering.labels, "w_of", lambda *given: (asked.append(given[2]), w_of(*given))[1])
    try:
        said("--method=labels", f"--labels={table}", "--checkpoint=classes", "--label=2")
    finally:
        (networks / "classes.safetensors").unlink()
    assert {one.label for one in asked[0]} == {2}
