"""Points and directions beside a network: kept, named, found again, and only ever inside their folder."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from core.errors import CheckpointError, OutputError, SettingError
from core.files import writing
from explorer import kept
from explorer.__main__ import main
from explorer.kept import Direction, Point
from explorer.networks import Network
from explorer.recipe import Mix, Recipe, Steer
from explorer.studio import Studio
from tests.explorer.conftest import toy

E0 = np.eye(8, dtype=np.float32)[0]


def _point(studio: Studio, name: str = "ann", *, seed: int = 3, noise: bool = False) -> Point:
    room = studio.open("brain")
    ws = studio.ws(Recipe(checkpoint="brain", seed=seed, psi=1.0)).numpy()
    maps = tuple(np.full(shape, 0.5, np.float32) for shape in room.generator.noise_shapes) if noise else None
    return Point(name, ws, maps, {"sha": room.network.sha, "source": "ann.png"})


def test_what_is_kept_is_found_renamed_and_forgotten(own: Studio) -> None:
    network = own.network("brain")
    path = kept.keep(network, _point(own))
    assert path == network.path.parent / "brain.points" / "ann.safetensors" and path.is_file()
    assert kept.names(network, "points") == ["ann"]
    (entry,) = kept.entries(network, "points")
    assert entry["name"] == "ann" and entry["source"] == "ann.png" and "format" not in entry
    found = kept.read_point(network, "ann")
    assert np.array_equal(found.ws, _point(own).ws) and found.noise is None
    with pytest.raises(SettingError, match="taken"):
        kept.keep(network, _point(own, "ANN"))
    kept.keep(network, _point(own, seed=4), replace=True)
    assert np.array_equal(kept.read_point(network, "ann").ws, _point(own, seed=4).ws)
    kept.rename(network, "points", "ann", "Ann")
    assert kept.names(network, "points") == ["Ann"]
    kept.rename(network, "points", "Ann", "bea 2")
    assert kept.names(network, "points") == ["bea 2"]
    kept.forget(network, "points", "bea 2")
    assert kept.names(network, "points") == []
    with pytest.raises(SettingError, match="no point of that name is kept beside brain"):
        kept.read_point(network, "bea 2")


def test_points_stand_among_seeds_on_a_command_line(
    own: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    network = own.network("brain")
    kept.keep(network, _point(own, "my scan"))
    monkeypatch.chdir(tmp_path)
    places = ["--checkpoints", str(network.path.parent), "--device", "cpu", "--json"]
    walk = ["interpolate", *places, "--steps", "2", "--out", "walk.gif", "--seeds"]
    main([*walk, "5-6, @my scan,9"])
    recipes = [Recipe.parse(one) for one in json.loads(capsys.readouterr().out)["recipes"]]
    assert [(one.seed, one.point, one.psi) for one in recipes] == [
        (5, None, 0.7), (6, None, 0.7), (0, "my scan", 1.0), (9, None, 0.7)
    ]  # fmt: skip
    main([*walk, "@my scan,@my scan", "--psi", "0.5"])
    assert {one["psi"] for one in json.loads(capsys.readouterr().out)["recipes"]} == {0.5}
    for wrong, said in (
        ("3,@", "point"),
        ("3,@none", "no point of that name"),
        ("@my scan", "at least 2"),
        ("3,x", "'x'"),
    ):
        with pytest.raises(SettingError, match=said):
            main([*walk, wrong])


def test_what_replaces_another_case_of_its_name_gets_its_own(own: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    network = own.network("brain")
    old = kept.keep(network, _point(own, "Smile"))
    with pytest.raises(SettingError, match="taken"):
        kept.check_free(network, "points", "smile")
    kept.check_free(network, "points", "smiles")
    path = kept.keep(network, _point(own, "smile", seed=4), replace=True)
    assert path.name == "smile.safetensors" and [one.name for one in old.parent.iterdir()] == [path.name]
    assert np.array_equal(kept.read_point(network, "smile").ws, _point(own, seed=4).ws)
    monkeypatch.setattr(kept, "writing", lambda path: _refusing(path, folder=old.parent))
    with pytest.raises(OutputError):
        kept.keep(network, _point(own, "SMILE"), replace=True)
    assert kept.names(network, "points") == ["smile"]


@pytest.mark.parametrize(
    "name", ["", "../ann", "a/b", "a\\b", ".ann", "ann.", "con", "LPT1.x", "é" * 101, "a\nb", None, 7, "\0"]
)
def test_names_that_no_file_can_have(own: Studio, name: object) -> None:
    with pytest.raises(SettingError, match="point cannot be"):
        kept.keep(own.network("brain"), replace(_point(own), name=name))  # type: ignore[arg-type]


def test_names_of_built_in_directions_are_taken(own: Studio) -> None:
    with pytest.raises(SettingError, match="every network has a direction of that name"):
        kept.keep(own.network("brain"), Direction("sefa-0", E0, 1.0))


def test_a_file_of_another_network_is_refused(own: Studio, tmp_path: Path) -> None:
    data = kept.file_bytes(_point(own))
    other = own.network("colour")
    with pytest.raises(CheckpointError, match="a point of another network: colour has"):
        kept.point_from(data, other, name="ann.safetensors")
    toy(tmp_path / "checkpoints" / "wide.safetensors", w_dim=12)
    with pytest.raises(CheckpointError, match="a direction of another network: a w of wide has 12 numbers"):
        kept.direction_from(kept.file_bytes(Direction("old", E0, 1.0)), own.network("wide"), name="x")
    with pytest.raises(CheckpointError, match="is a point"):
        kept.direction_from(data, own.network("brain"), name="x")
    for broken in (Direction("old", 2 * E0, 1.0), Direction("old", E0, 0.0), Direction("old", E0, -1.0)):
        with pytest.raises(CheckpointError, match="damaged"):
            kept.direction_from(kept.file_bytes(broken), own.network("brain"), name="x")


def test_what_cannot_be_written_beside_the_network_goes_to_the_cache(own: Studio, tmp_path: Path) -> None:
    network = own.network("brain")
    (network.path.parent / "brain.points").write_text("in the way")
    path = kept.keep(network, _point(own))
    assert path.is_relative_to(tmp_path / "cache") and kept.names(network, "points") == ["ann"]
    assert sys.platform == "win32" or path.parent.stat().st_mode & 0o777 == 0o700  # it may be of a person's picture


def test_what_is_made_anew_is_never_hidden_behind_the_old_one(own: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    network = own.network("brain")
    old = kept.keep(network, _point(own))
    monkeypatch.setattr(kept, "writing", lambda path: _refusing(path, folder=old.parent))
    with pytest.raises(OutputError):
        kept.keep(network, _point(own, seed=4), replace=True)
    assert np.array_equal(kept.read_point(network, "ann").ws, _point(own).ws)


@contextmanager
def _refusing(path: Path, *, folder: Path) -> Iterator[Path]:
    if path.parent == folder:
        raise OutputError(f"{path} could not be written")
    with writing(path) as temporary:
        yield temporary


def test_of_two_who_want_a_name_at_once_one_is_told(own: Studio) -> None:
    network = own.network("brain")
    points = [_point(own, seed=seed) for seed in range(8)]
    with ThreadPoolExecutor(8) as pool:
        said = list(pool.map(lambda one: _kept_or_not(network, one), points))
    assert said.count(True) == 1


def _kept_or_not(network: Network, point: Point) -> bool:
    try:
        kept.keep(network, point)
        return True
    except SettingError:
        return False


def test_a_point_stands_in_a_seeds_place(own: Studio) -> None:
    kept.keep(own.network("brain"), _point(own))
    seed, point = Recipe(checkpoint="brain", seed=3, psi=1.0), Recipe(checkpoint="brain", point="ann", psi=1.0)
    assert np.array_equal(own.exact(point), own.exact(seed))
    assert np.array_equal(own.exact(replace(point, psi=0.5)), own.exact(replace(seed, psi=0.5)))
    base = Recipe(checkpoint="brain", seed=9)
    mixed = [own.ws(replace(base, mix=(Mix(layers="0-1", **source),))) for source in ({"seed": 3}, {"point": "ann"})]
    assert torch.equal(*mixed)
    assert own.note(point) is None
    kept.keep(own.network("brain"), replace(_point(own), about={"sha": "0" * 12}), replace=True)
    assert "ann was found with another network (000000000000" in str(own.note(replace(base, mix=(Mix(point="ann"),))))
    walk = Recipe.parse({"checkpoint": "brain", "seed": 9, "psi": 1, "toward": {"point": "ann", "t": 1}})
    assert np.array_equal(own.exact(walk), own.exact(seed))
    z = Recipe.parse({"checkpoint": "brain", "point": "ann", "toward": {"seed": 1, "t": 0.5, "space": "z"}})
    with pytest.raises(SettingError, match="space"):
        own.exact(z)


def test_the_noise_of_a_point_is_its_const(own: Studio) -> None:
    kept.keep(own.network("brain"), _point(own, noise=True))
    point = Recipe(checkpoint="brain", point="ann", psi=1.0)
    g = own.open("brain").generator
    maps = [torch.full(shape, 0.5) for shape in g.noise_shapes]
    expected = g.synthesis(own.ws(point)[None], noise=maps)
    shown = own.exact(point).astype(float)
    top, left, height, width = own.network("brain").crop
    levels = (expected[0, 0, top : top + height, left : left + width] * 127.5 + 127.5).clamp(0, 255).numpy()
    assert np.abs(shown - levels).max() <= 1
    plain = replace(point, noise="none")
    assert np.array_equal(own.exact(plain), own.exact(Recipe(checkpoint="brain", seed=3, psi=1.0, noise="none")))
    half = Recipe.parse({"checkpoint": "brain", "seed": 3, "psi": 1, "toward": {"point": "ann", "t": 0.5}})
    own_maps = g.synthesis.noise_maps("const", 1, g.w_avg)
    between = [0.5 * a + 0.5 * b for a, b in zip(own_maps, maps, strict=True)]  # type: ignore[operator]
    levels = (g.synthesis(own.ws(half)[None], noise=between) * 127.5 + 127.5).clamp(0, 255)
    cut = levels[0, 0, top : top + height, left : left + width].numpy()
    assert np.abs(own.exact(half).astype(float) - cut).max() <= 1


def test_steering_adds_standard_deviations_in_its_layers(own: Studio) -> None:
    room = own.open("brain")
    kept.keep(room.network, Direction("older", E0, 0.25))
    base = Recipe(checkpoint="brain", seed=7)
    steered = own.ws(replace(base, steer=(Steer("older", 2.0, "1-2"), Steer("older", -1.0)))) - own.ws(base)
    expected = np.zeros((room.generator.num_ws, 8), np.float32)
    expected[1:3, 0] += 0.5
    expected[:, 0] -= 0.25
    assert np.allclose(steered.numpy(), expected, atol=1e-6)
    pca = room.direction("pca-0")
    along = room.samples().astype(np.float64) @ pca.vector.astype(np.float64)
    assert pca.sd == pytest.approx(along.std(ddof=1), rel=1e-6) and pca.about["value"] > 1 / 8
    moved = own.ws(replace(base, steer=(Steer("pca-0", 1.5),))) - own.ws(base)
    assert np.allclose(moved[0].numpy(), 1.5 * pca.sd * pca.vector, atol=1e-5)
    none = replace(base, steer=(Steer("sefa-2.1-3", 0.0),))
    assert torch.equal(own.ws(none), own.ws(base))


@pytest.mark.parametrize(
    ("steer", "sentence"),
    [
        ({"direction": "older"}, "no direction of that name is kept beside brain"),
        ({"direction": "sefa-8"}, "sefa-0 to sefa-7 are there"),
        ({"direction": "sefa-0.2-99"}, "layers"),
        ({"direction": "pca-0.0-1"}, "are there"),
        ({"direction": "pca-0", "layers": "0-40"}, "layers"),
    ],
)
def test_directions_that_are_not_there(own: Studio, steer: dict[str, str], sentence: str) -> None:
    with pytest.raises(SettingError, match=sentence):
        own.check(Recipe.parse({"checkpoint": "brain", "steer": [steer]}))
