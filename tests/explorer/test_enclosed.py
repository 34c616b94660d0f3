"""Points and directions that a PNG encloses: what it names, no more than fits, kept once and under a free name."""

from __future__ import annotations

import base64
import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from core import pictures
from core.errors import CheckpointError, StyloscopeError
from explorer import enclosed, kept
from explorer.__main__ import main
from explorer.enclosed import KEPT_KEY, enclose, unpack
from explorer.kept import Direction, Point
from explorer.networks import Network
from explorer.recipe import Recipe
from explorer.studio import TEXT_KEY, Studio
from tests.explorer.conftest import toy


def house(folder: Path) -> Studio:
    """A server with a toy network, the same in every house."""
    toy(folder / "checkpoints" / "brain.safetensors")
    return Studio(folder / "checkpoints", folder / "runs", device="cpu")


def point(network: Network, name: str, *, seed: int = 0, **about: Any) -> Point:
    ws = np.random.RandomState(seed).randn(network.layers, network.w_dim).astype(np.float32)
    return Point(name, ws, None, {"sha": network.sha, **about})


def direction(network: Network, name: str) -> Direction:
    vector = np.zeros(network.w_dim, np.float32)
    vector[1] = 1
    return Direction(name, vector, 0.5, {"sha": network.sha})


RECIPE: dict[str, Any] = {
    "checkpoint": "brain",
    "point": "scan",
    "psi": 1.0,
    "mix": [{"point": "other", "layers": "0-1", "amount": 0.5}],
    "steer": [{"direction": "older", "amount": 2.0}, {"direction": "sefa-0", "amount": 1.0}],
    "toward": {"point": "scan", "t": 0.5, "mix": [{"seed": 3, "layers": "2-3", "amount": 1.0}]},
}


@pytest.fixture
def here(tmp_path: Path) -> Studio:
    studio = house(tmp_path / "here")
    network = studio.network("brain")
    for one in (point(network, "scan", source="a name.png"), point(network, "other", seed=1), point(network, "else")):
        kept.keep(network, one)
    kept.keep(network, direction(network, "older"))
    return studio


def test_a_picture_says_itself_on_another_server(
    here: Studio, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "x.png"
    file.write_bytes(here.frame(Recipe.parse(RECIPE), format="png").data)
    text = pictures.read_text(file)
    told = json.loads(text[KEPT_KEY])
    assert {kind: sorted(files) for kind, files in told.items()} == {
        "points": ["other", "scan"],
        "directions": ["older"],
    }
    assert b"a name" not in base64.b64decode(told["points"]["scan"]), "what it was made of is nobody's business"
    there = house(tmp_path / "there")
    network = there.network("brain")
    flags = ["--checkpoints", str(tmp_path / "there" / "checkpoints"), "--device", "cpu"]
    main(["render", "--recipe", f"@{file}", "--out", str(tmp_path / "y.png"), *flags])
    caught = capsys.readouterr().err
    assert [caught.count(f"{name}, which") for name in ("scan", "other", "older")] == [1, 1, 1]
    assert np.array_equal(pictures.read(file), pictures.read(tmp_path / "y.png"))
    assert json.loads(pictures.read_text(tmp_path / "y.png")[TEXT_KEY]) == json.loads(text[TEXT_KEY])
    main(["render", "--recipe", f"@{file}", "--out", str(tmp_path / "y.png"), *flags])
    assert capsys.readouterr().err == "" and kept.names(network, "points") == ["other", "scan"], "once is enough"


def test_what_has_the_name_already_stays(here: Studio, tmp_path: Path) -> None:
    text = json.loads(here.text(Recipe.parse(RECIPE))[KEPT_KEY])
    network = house(tmp_path / "there").network("brain")
    kept.keep(network, point(network, "SCAN", seed=9))
    before = kept.path_of(network, "points", "SCAN").read_bytes()
    for new in (["scan-2", "other", "older"], []):
        recipe, made = unpack(RECIPE, text, network)
        assert sorted(made) == sorted(new)
        assert recipe["point"] == recipe["toward"]["point"] == "scan-2" and recipe["mix"][0]["point"] == "other"
        assert recipe["steer"] == RECIPE["steer"] and RECIPE["point"] == "scan"
    assert kept.path_of(network, "points", "SCAN").read_bytes() == before
    found = kept.read_point(network, "scan-2")
    assert np.array_equal(found.ws, point(network, "scan").ws) and found.about["sha"] == network.sha


def test_a_seed_encloses_nothing(here: Studio) -> None:
    for recipe in ({"seed": 3}, {"seed": 3, "steer": [{"direction": "pca-1", "amount": 1}]}):
        assert list(here.text(Recipe.parse(recipe))) == [TEXT_KEY]


def test_only_what_the_recipe_names_is_kept(here: Studio, tmp_path: Path) -> None:
    text = json.loads(here.text(Recipe.parse(RECIPE))[KEPT_KEY])
    network = house(tmp_path / "there").network("brain")
    assert unpack({"seed": 3}, text, network) == ({"seed": 3}, [])
    assert kept.names(network, "points") == []


def test_what_is_too_large_stays_out(here: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    network = here.network("brain")
    large = replace(point(network, "large"), noise=(np.zeros((400, 400), np.float32),))
    small = point(network, "small")
    found = json.loads(enclose([large, small, small]) or "")
    assert list(found["points"]) == ["small"]
    assert enclose([large]) is None and enclose([]) is None
    monkeypatch.setattr(enclosed, "MOST_BYTES", 1 << 20)
    assert list(json.loads(enclose([large, small]) or "")["points"]) == ["large", "small"]


@pytest.mark.parametrize(
    ("kept_there", "says"),
    [
        ([], "is damaged; save the picture again"),
        ({"points": []}, "is damaged"),
        ({"points": {"scan": 3}}, "is damaged"),
        ({"points": {"scan": "??"}}, "is damaged"),
        ({"points": {"scan": "AAAA"}}, "scan is a file of another program"),
        ({"points": {"scan": base64.b64encode(b"x" * 100).decode()}}, "scan is "),
    ],
)
def test_damaged_ones_are_refused_and_nothing_is_kept(tmp_path: Path, kept_there: object, says: str) -> None:
    network = house(tmp_path / "there").network("brain")
    with pytest.raises(StyloscopeError, match=says):
        unpack(RECIPE, kept_there, network)
    assert kept.names(network, "points") == []


def test_one_of_another_network_is_refused(here: Studio, tmp_path: Path) -> None:
    text = json.loads(here.text(Recipe.parse(RECIPE))[KEPT_KEY])
    toy(tmp_path / "there" / "brain.safetensors", w_dim=16)
    network = Studio(tmp_path / "there", tmp_path / "runs", device="cpu").network("brain")
    with pytest.raises(CheckpointError, match="is a point of another network"):
        unpack(RECIPE, text, network)
    hostile = {"points": {"../up": next(iter(text["points"].values()))}}
    with pytest.raises(StyloscopeError, match="point cannot be"):
        unpack({"point": "../up"}, hostile, here.network("brain"))


def test_a_long_text_is_packed_and_read_by_others() -> None:
    data = pictures.encode(np.zeros((4, 4), np.uint8), "png", {"a": "b" * 20000, "c": "d"})
    assert len(data) < 1000
    with Image.open(io.BytesIO(data)) as image:
        assert image.text == {"a": "b" * 20000, "c": "d"}  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["sefa", "x" * 80, "ü" * 80, "a dot."])
def test_a_name_that_is_taken_gets_a_number_wherever_it_ends(tmp_path: Path, name: str) -> None:
    there = house(tmp_path / "there").network("brain")
    wanted = direction(there, name)
    told = json.loads(enclose([wanted]) or "")
    kept.keep(there, replace(wanted, name=name, sd=2.0)) if name != "a dot." else None
    recipe = {"steer": [{"direction": name, "amount": 1.0}]}
    if name == "a dot.":
        with pytest.raises(StyloscopeError, match="a shorter name"):
            unpack(recipe, told, there)
        return
    for new in (1, 0):
        found, made = unpack(recipe, told, there)
        given = found["steer"][0]["direction"]
        assert len(made) == new and given != name and kept.read_direction(there, given).sd == 0.5


def test_seeds_may_take_the_place_of_what_another_network_lacks(
    here: Studio, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "x.png"
    file.write_bytes(here.frame(Recipe.parse({"point": "scan"}), format="png").data)
    toy(tmp_path / "there" / "other.safetensors", w_dim=16)
    flags = ["--checkpoints", str(tmp_path / "there"), "--checkpoint", "other", "--device", "cpu"]
    main(["grid", "--seeds", "0-3", "--recipe", f"@{file}", "--out", str(tmp_path / "g.png"), *flags])
    assert "is a point of another network" in capsys.readouterr().err and (tmp_path / "g.png").exists()
    with pytest.raises(StyloscopeError, match="no point of that name is kept beside other"):
        main(["render", "--recipe", f"@{file}", "--out", str(tmp_path / "y.png"), *flags])
