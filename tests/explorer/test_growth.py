"""A network that grew, in every size that it grew through: recipes, pictures, sheets, films and flags."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

import core
from core import latents, pictures
from core.command import run
from core.errors import SettingError
from explorer import animate, atlas, sheets
from explorer.__main__ import main
from explorer.animate import Walk
from explorer.compare import counterpart
from explorer.recipe import Grown, Mix, Recipe, between, parse_grown
from explorer.studio import Studio
from explorer.web.job_routes import looked_at
from explorer.web.jobs import arguments
from tests.core.gif import decode_gif
from tests.explorer.conftest import growing, toy
from tests.interop import FOLDER, needs_interop

GROWN = Grown((14, 12), 0.3)
SIZES = [[7, 6], [14, 12], [28, 24]]


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """checkpoints/ with a StyleGAN, one that was saved inside a fade, and a StyleGAN2."""
    folder = tmp_path_factory.mktemp("grown")
    growing(folder / "brain.safetensors")
    growing(folder / "fading.safetensors", grown={"size": [28, 24], "alpha": 0.25})
    toy(folder / "plain.safetensors")
    return folder


@pytest.fixture(scope="module")
def house(place: Path) -> Studio:
    """A studio over `place`."""
    return Studio(place, place / "runs", device="cpu")


def by_hand(place: Path, *, seed: int, size: tuple[int, int], alpha: float) -> np.ndarray:
    """The picture of the network itself, not cropped."""
    g = core.load(place / "brain.safetensors").generator
    ws = g.truncate(g.mapping(latents.seeds_to_z([seed], g.z_dim)))
    with torch.inference_mode():
        return pictures.to_8bit(g.synthesis(ws, size=size, alpha=alpha))[0].astype(int)


def test_what_a_network_says_of_its_growth(house: Studio) -> None:
    entry = house.network("brain").entry()
    assert (entry["grows"], entry["sizes"], entry["grown"], entry["size"]) == (True, SIZES, None, [25, 22])
    assert house.network("fading").entry()["grown"] == {"size": [28, 24], "alpha": 0.25}
    entry = house.network("plain").entry()
    assert (entry["grows"], entry["sizes"], entry["grown"]) == (False, [[14, 12]], None)


@pytest.mark.parametrize(
    ("size", "window"), [((7, 6), (0, 0, 7, 6)), ((14, 12), (1, 0, 13, 12)), ((28, 24), (2, 1, 25, 22))]
)
@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_every_size_is_the_networks_own_picture_cut_to_what_people_see(
    place: Path, house: Studio, size: tuple[int, int], window: tuple[int, int, int, int], alpha: float
) -> None:
    shown = house.exact(Recipe(checkpoint="brain", seed=4, grown=Grown(size, alpha)))
    top, left, height, width = window
    expected = by_hand(place, seed=4, size=size, alpha=alpha)[top : top + height, left : left + width]
    assert shown.shape == (height, width)
    assert np.abs(shown.astype(int) - expected).max() <= 1  # the engine adds up in another order
    assert np.abs(house.preview(Recipe(seed=4, grown=Grown(size, alpha))).astype(int) - expected).max() <= 16


def test_left_out_it_is_what_the_file_says_or_the_full_size(house: Studio) -> None:
    plain = Recipe(checkpoint="brain", seed=2)
    assert np.array_equal(house.exact(plain), house.exact(replace(plain, grown=Grown((28, 24)))))
    fading = replace(plain, checkpoint="fading")
    assert np.array_equal(house.exact(fading), house.exact(replace(fading, grown=Grown((28, 24), 0.25))))
    assert not np.array_equal(house.exact(fading), house.exact(replace(fading, grown=Grown((28, 24)))))


def test_the_picture_carries_it_and_comes_back(house: Studio) -> None:
    recipe = Recipe(checkpoint="brain", seed=3, grown=GROWN)
    png = house.frame(recipe)
    told = json.loads(pictures.read_text(png.data)["styloscope"])
    assert told["grown"] == {"size": [14, 12], "alpha": 0.3}
    again = Recipe.parse(told)
    assert again == recipe and np.array_equal(house.exact(again), pictures.read(png.data))
    assert house.frame(recipe, bits=16).media_type == "image/png"


@pytest.mark.parametrize(
    ("given", "part"),
    [
        ({"checkpoint": "brain", "grown": {"size": [10, 12]}}, "grown.size cannot be '10x12'.*7x6, 14x12, 28x24"),
        ({"checkpoint": "plain", "grown": {"size": [14, 12]}}, "grown cannot be '14x12'.*does not grow"),
        ({"grown": {"size": [14, 12], "alpha": 1.5}}, "grown.alpha cannot be '1.5'"),
        ({"grown": {"alpha": 0.5}}, "grown.size"),
        ({"grown": GROWN.size, "toward": {"grown": {"size": [7, 6]}, "t": 1}}, "grown"),
    ],
)
def test_what_it_did_not_grow_through_is_said(house: Studio, given: dict[str, object], part: str) -> None:
    with pytest.raises(SettingError, match=part):
        house.exact(Recipe.parse(given))


def test_walks_mixes_sheets_and_maps_of_a_smaller_size(house: Studio, tmp_path: Path) -> None:
    base = Recipe(checkpoint="brain", grown=GROWN)
    half = between(base, replace(base, seed=1, noise=5), 0.5)
    assert half.grown == GROWN and house.exact(half).shape == (13, 12)
    sheet = sheets.draw(house, sheets.matrix(base, rows=[0, 1], columns=[5], layers="2-5"))
    assert sheet.shape[0] >= 2 * 13 and sheet.shape[1] >= 12 and sheet.ndim == 2
    mixed = house.exact(replace(base, mix=(Mix(seed=5, layers="4-5"),)))
    assert np.array_equal(mixed, house.exact(base)), "layers that this size does not reach change nothing"
    corners = [replace(base, seed=seed) for seed in range(4)]
    assert sheets.draw(house, sheets.bilinear(corners, steps=2)).shape == (2 * 15 - 2, 2 * 14 - 2)
    animate.write(house, Walk((base, replace(base, seed=1)), steps=2), tmp_path / "a.gif")
    shown, _ = decode_gif((tmp_path / "a.gif").read_bytes())
    assert len(shown) == 3 and np.array_equal(shown[0][..., 0], house.exact(base))
    found = atlas.survey(house, "brain", samples=30)
    assert np.allclose(atlas.place(house, found, base, method="pca"), found.pca[0], atol=1e-2)
    with pytest.raises(SettingError, match="grown"):
        between(base, replace(base, grown=None), 0.5)


def test_beside_another_network_a_size_that_is_there_stays(house: Studio) -> None:
    recipe = Recipe(checkpoint="brain", seed=1, grown=GROWN)
    assert counterpart(recipe, house.network("fading")).grown == GROWN
    assert counterpart(recipe, house.network("plain")).grown is None


@pytest.mark.parametrize(
    ("text", "grown"),
    [
        ("56x48:0.3", Grown((56, 48), 0.3)),
        ("56x48", Grown((56, 48))),
        ("7x6:0", Grown((7, 6), 0.0)),
        ("7x6:.5", Grown((7, 6), 0.5)),
        ("7x6:1e-05", Grown((7, 6), 1e-5)),
    ],
)
def test_the_flag(text: str, grown: Grown) -> None:
    recipe = Recipe.parse({"grown": parse_grown(text)})
    assert recipe.grown == grown
    assert Recipe.parse({"grown": parse_grown(str(grown))}) == recipe


@pytest.mark.parametrize(
    "text", ["56", "56x", "x48", "56x48:", "56x48:a", "56x48:0.3:1", "-7x6", "7x6:nan", "7x6:-1", 7, None]
)
def test_other_spellings_are_refused(text: object) -> None:
    with pytest.raises(SettingError, match="grown cannot be"):
        parse_grown(text)


def test_the_verbs_take_it(
    place: Path, house: Studio, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    flags = ["--checkpoints", str(place), "--device", "cpu"]

    def do(*line: str) -> int:
        return run(lambda: main([line[0], *flags, *line[1:]]))

    grown = ("--grown", "14x12:0.3")
    assert do("render", "--seeds", "3", *grown, "--out", "a.png") == 0
    expected = house.exact(Recipe(checkpoint="brain", seed=3, grown=GROWN))
    assert np.array_equal(pictures.read(Path("a.png")), expected)
    assert do("render", "--recipe", "@a.png", "--out", "b.png") == 0
    assert Path("a.png").read_bytes() == Path("b.png").read_bytes()
    assert do("grid", "--seeds", "3,4", *grown, "--out", "g.png") == 0
    assert np.array_equal(pictures.read(Path("g.png"))[:, :12], expected)
    assert do("mix", "--rows", "0", "--columns", "1", "--layers", "0", *grown, "--out", "m.png") == 0
    assert do("bilinear", "--seeds", "0-3", "--steps", "2", *grown, "--out", "s.png") == 0
    assert do("interpolate", "--seeds", "3,4", "--steps", "2", *grown, "--out", "w.gif") == 0
    assert decode_gif(Path("w.gif").read_bytes())[0][0].shape[:2] == (13, 12)
    capsys.readouterr()
    assert do("inspect", "fading") == 0 and do("list") == 0
    said = capsys.readouterr().out
    assert "sizes: 7x6, 14x12, 28x24" in said and "grown: 28x24:0.25" in said and "grown from 7x6" in said
    assert do("render", "--seeds", "3", "--grown", "9x9", "--out", "c.png") == 2
    assert do("render", "--seeds", "3", "--grown", "14x12:2", "--out", "c.png") == 2
    assert not Path("c.png").exists()


@needs_interop
def test_a_network_of_another_program_opens_by_its_path(tmp_path: Path) -> None:
    studio = Studio(tmp_path, tmp_path / "runs", device="cpu")
    path = FOLDER / "stylegan1" / "ema.model"
    assert studio.admit(str(path)) == "ema"
    network = studio.network("ema")
    assert (network.architecture, network.grows, network.size) == ("stylegan", True, network.sizes[-1])
    assert network.about["provenance"]["source"] == "ema.model"
    size = network.sizes[1]
    assert studio.exact(Recipe(checkpoint="ema", seed=1, grown=Grown(size, 0.5))).shape[:2] == size


def test_a_job_is_told_it_as_the_flag(house: Studio, tmp_path: Path) -> None:
    wish = {"rows": "0", "columns": "1", "layers": "0", "grown": {"size": [14, 12], "alpha": 0.3}}
    for grown in (wish["grown"], "14x12:0.3"):
        line, _ = arguments("mix", looked_at("mix", {**wish, "grown": grown}, check=house.check), folder=tmp_path)
        assert "--grown=14x12:0.3" in line
    for wrong in ("14x12:2", {"size": [14, 13]}, 7, "9x9"):
        with pytest.raises(SettingError, match="grown"):
            looked_at("mix", {**wish, "grown": wrong}, check=house.check)
