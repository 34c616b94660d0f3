"""Recipe -> picture: the contract's order, ends to the bit, and names that never lead outside."""

from __future__ import annotations

import json
import shutil
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import core
from core import latents, pictures
from core.errors import CheckpointError, SettingError, StyloscopeError
from explorer.recipe import Blend, Mix, Recipe, Toward, between, blended
from explorer.studio import Studio
from tests.explorer.conftest import toy

BRAIN = Recipe(checkpoint="brain", seed=7)


def _by_hand(folder: Path, *, seed: int, psi: float = 0.7, cutoff: int | None = None) -> torch.Tensor:
    g = core.load(folder / "checkpoints" / "brain.safetensors").generator
    z = torch.from_numpy(np.random.RandomState(seed).randn(1, 8).astype(np.float32))
    return g.truncate(g.mapping(z, None), psi=psi, cutoff=cutoff)[0]


def test_a_plain_recipe_is_the_networks_own_picture(folder: Path, studio: Studio) -> None:
    g = core.load(folder / "checkpoints" / "brain.safetensors").generator
    ws = _by_hand(folder, seed=7, psi=0.5, cutoff=2)
    recipe = replace(BRAIN, psi=0.5, cutoff=2, noise=5)
    assert torch.equal(studio.ws(recipe), ws)
    expected = pictures.to_8bit(g.synthesis(ws[None], noise=5))[0][1:13, 0:11].astype(int)
    shown = studio.exact(recipe)
    assert shown.shape == (12, 11) and shown.dtype == np.uint8
    assert np.abs(shown.astype(int) - expected).max() <= 1  # the engine folds, so the last bit may round otherwise
    assert not np.array_equal(shown, studio.exact(replace(recipe, noise="none")))


def test_mixing_by_hand(folder: Path, studio: Studio) -> None:
    ws, source = _by_hand(folder, seed=7), _by_hand(folder, seed=12)
    expected = ws.clone()
    expected[1:3] = 0.75 * ws[1:3] + 0.25 * source[1:3]
    recipe = replace(BRAIN, mix=(Mix(seed=12, layers="1-2", amount=0.25),))
    assert torch.equal(studio.ws(recipe), expected)
    assert torch.equal(studio.ws(replace(BRAIN, mix=(Mix(seed=12),))), source)


def test_toward_and_blend_have_their_ends_to_the_bit(studio: Studio) -> None:
    other = replace(BRAIN, seed=9, psi=1.1, noise=3, mix=(Mix(seed=1, layers="0"),))
    for t, end in ((0.0, BRAIN), (1.0, other)):
        given = (("seed", 9), ("psi", 1.1), ("noise", 3), ("mix", other.mix))
        assert np.array_equal(studio.exact(replace(BRAIN, toward=Toward(given, t))), studio.exact(end))
        weights = (1 - t, t)
        sheet = blended([(weights[0], BRAIN), (weights[1], other)])
        assert np.array_equal(studio.exact(sheet), studio.exact(end))
    for t, seed in ((0.0, 7), (1.0, 9)):
        z = replace(BRAIN, toward=Toward((("seed", 9),), t, "z"))
        assert np.array_equal(studio.exact(z), studio.exact(replace(BRAIN, seed=seed)))


def test_between_is_straight_in_w_and_spherical_in_z(studio: Studio) -> None:
    a, b = studio.ws(BRAIN), studio.ws(replace(BRAIN, seed=9))
    w = replace(BRAIN, toward=Toward((("seed", 9),), 0.25))
    assert torch.allclose(studio.ws(w), 0.75 * a + 0.25 * b, atol=1e-6)
    blend = replace(BRAIN, blend=(Blend((("seed", 7),), 1.5), Blend((("seed", 9),), -0.5)), toward=w.toward)
    assert torch.allclose(studio.ws(blend), 1.5 * a - 0.5 * b, atol=1e-6)
    room = studio.open("brain")
    z = latents.slerp(*latents.seeds_to_z([7, 9], 8).unsqueeze(1), 0.25)
    by_hand = room.generator.truncate(room.generator.mapping(z, None), psi=0.7)[0]
    assert torch.allclose(studio.ws(replace(BRAIN, toward=Toward((("seed", 9),), 0.25, "z"))), by_hand, atol=1e-6)


@pytest.mark.parametrize(
    ("own", "other"),
    [
        ({}, "brain"),
        ({"checkpoint": "brain"}, "brain"),
        ({"checkpoint": "first"}, "first/000012"),
        ({"checkpoint": "first/000012"}, "first"),
    ],
)
def test_another_picture_may_name_its_recipes_network_in_any_spelling(
    studio: Studio, own: dict[str, object], other: str
) -> None:
    entry: dict[str, object] = {"seed": 9}
    there = {**entry, "checkpoint": other}
    for given, plain in (
        ({"toward": {**there, "t": 0.3}}, {"toward": {**entry, "t": 0.3}}),
        ({"blend": [there]}, {"blend": [entry]}),
    ):
        named, whole = (Recipe.parse({**own, **one}) for one in (given, plain))
        assert np.array_equal(studio.exact(named), studio.exact(whole))
        # What is written stays this picture when the run has a newer network.
        assert studio.text(named) == studio.text(whole)


@pytest.mark.parametrize(
    ("own", "other", "needed"),
    [
        ({}, "colour", "brain"),
        ({"checkpoint": "brain"}, "colour", "brain"),
        ({"checkpoint": "brain"}, "none", "brain"),
        ({"checkpoint": "first"}, "first/000004", "first"),
        ({"checkpoint": "first/000004"}, "first", "first/000004"),
    ],
)
def test_another_picture_of_another_network_is_refused(
    studio: Studio, own: dict[str, object], other: str, needed: str
) -> None:
    for place, given in (
        ("toward", {"toward": {"checkpoint": other, "t": 0.5}}),
        ("blend[1]", {"blend": [{"weight": 0.5}, {"checkpoint": other, "weight": 0.5}]}),
    ):
        with pytest.raises(SettingError) as wrong:
            studio.check(Recipe.parse({**own, **given}))
        said = f"{place}.checkpoint cannot be '{other}': it has to be {needed}, like the rest of the recipe"
        assert str(wrong.value) == said


def test_noise_blends_with_the_pictures(studio: Studio) -> None:
    noisy = replace(BRAIN, noise=3)
    half = studio.exact(between(BRAIN, noisy, 0.5))
    assert not np.array_equal(half, studio.exact(BRAIN)) and not np.array_equal(half, studio.exact(noisy))
    silent = between(replace(BRAIN, noise="none"), replace(BRAIN, seed=9, noise="none"), 0.5)
    assert studio.exact(silent).shape == (12, 11)
    assert studio.exact(between(BRAIN, replace(BRAIN, noise="none"), 0.5)).shape == (12, 11)


def test_classes(studio: Studio) -> None:
    recipe = Recipe(checkpoint="colour", seed=1)
    first = studio.exact(recipe)
    assert first.shape == (16, 16, 3)
    assert np.array_equal(first, studio.exact(replace(recipe, label=0)))
    assert not np.array_equal(first, studio.exact(replace(recipe, label=2)))
    for label in (3, -1):
        with pytest.raises(SettingError, match=f"label cannot be '{label}'.*classes 0 to 2"):
            studio.exact(replace(recipe, label=label))
    with pytest.raises(SettingError, match="label.*no classes"):
        studio.exact(replace(BRAIN, label=0))


def test_a_class_left_out_is_this_recipes(studio: Studio) -> None:
    recipe = Recipe(checkpoint="colour", seed=1, label=2)
    mixed = studio.ws(replace(recipe, mix=(Mix(seed=5),)))
    assert torch.equal(mixed, studio.ws(replace(recipe, seed=5)))
    assert not torch.equal(mixed, studio.ws(replace(recipe, mix=(Mix(seed=5, label=0),))))
    of_another_class = Recipe.parse({"checkpoint": "colour", "mix": [{"seed": 5}], "toward": {"label": 2, "t": 1}})
    assert torch.equal(studio.ws(of_another_class), mixed)
    for other in ({"toward": {"seed": 5, "t": 1}}, {"blend": [{"seed": 5, "weight": 1}]}):
        there = Recipe.parse({"checkpoint": "colour", "seed": 1, "label": 2, **other})
        assert torch.equal(studio.ws(there), mixed)


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"mix": [{"seed": 1, "layers": "0-9"}]}, r"mix\[0\].layers cannot be '0-9'"),
        ({"cutoff": 5}, "cutoff cannot be '5'.*4 layers"),
        ({"toward": {"seed": 2, "cutoff": 5}}, r"toward\.cutoff"),
        ({"blend": [{"seed": 2, "mix": [{"label": 1}]}]}, r"blend\[0\]\.mix\[0\]\.label"),
        ({"point": "ann"}, "point cannot be 'ann'.*beside brain"),
        ({"mix": [{"point": "ann"}]}, r"mix\[0\].point.*'ann'"),
        ({"steer": [{"direction": "older"}]}, r"steer\[0\].direction.*'older'.*beside brain"),
        ({"grown": {"size": [7, 6], "alpha": 0.5}}, "grown cannot be '7x6'.*does not grow"),
    ],
)
def test_what_this_network_cannot_do_is_said(studio: Studio, given: dict[str, object], says: str) -> None:
    with pytest.raises(SettingError, match=says):
        studio.exact(Recipe.parse({"checkpoint": "brain", **given}))


def test_the_same_pixels_by_every_way_in(folder: Path, studio: Studio) -> None:
    recipe = replace(BRAIN, mix=(Mix(seed=3, layers="2-3"),))
    first = studio.exact(recipe)
    png = studio.frame(recipe)
    assert (
        np.array_equal(pictures.read(png.data), first) and png.media_type == "image/png" and png.precision == "float32"
    )
    studio.preview(replace(recipe, seed=8))
    assert np.array_equal(studio.exact(recipe), first)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        fresh = Studio(folder / "checkpoints", folder / "runs", device="cpu")
        shown: list[np.ndarray] = []
        thread = threading.Thread(target=lambda: shown.append(fresh.exact(recipe)))
        thread.start()
        thread.join()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert np.array_equal(shown[0], first)
    assert np.abs(studio.preview(recipe).astype(int) - first).max() <= 16


def test_frames_carry_the_recipe_and_shrink(studio: Studio) -> None:
    frame = studio.frame(BRAIN, size=6)
    assert pictures.read(frame.data).shape == (6, 6) or pictures.read(frame.data).shape == (6, 5)
    told = json.loads(pictures.read_text(frame.data)["styloscope"])
    assert told["sha"] == studio.network("brain").sha and told["seed"] == 7 and told["checkpoint"] == "brain"
    assert Recipe.parse(told) == BRAIN
    assert studio.frame(BRAIN, format="jpeg", exact=False).media_type == "image/jpeg"
    with pytest.raises(SettingError, match="format"):
        studio.frame(BRAIN, format="bmp")
    assert frame.note is None
    assert "another network named brain" in (studio.frame(replace(BRAIN, sha="0" * 12)).note or "")


def test_names_of_classes_are_short_lines_one_each(folder: Path, tmp_path: Path) -> None:
    generator = core.load(folder / "checkpoints" / "colour.safetensors").generator
    given = {
        "good": ["healthy", "a\nb\x1b[31m", "x" * 99], "few": ["healthy"], "wrong": ["a", "b", 3], "text": "abc",
    }  # fmt: skip
    for name, classes in given.items():
        core.save(tmp_path / f"{name}.safetensors", generator, about={"classes": classes})
    own = Studio(tmp_path, tmp_path / "runs", device="cpu")
    assert own.network("good").class_names == ("healthy", "a b [31m", "x" * 60)
    assert own.network("good").entry()["class_names"] == ["healthy", "a b [31m", "x" * 60]
    assert [own.network(name).class_names for name in ("few", "wrong", "text")] == [None, None, None]


def test_networks_are_listed_and_found_by_name(folder: Path, studio: Studio) -> None:
    assert [n.name for n in studio.networks()] == ["brain", "colour", "first/000012", "first/000004"]
    assert studio.network("brain").entry() == {
        "name": "brain", "architecture": "stylegan2", "size": [12, 11], "channels": 1, "layers": 4, "classes": 0,
        "grows": False, "sizes": [[14, 12]], "grown": None, "best": False, "class_names": None,
        "intensity": None,
        "credit": "made by a test", "sha": core.checkpoint.sha256(folder / "checkpoints" / "brain.safetensors")[:12],
    }  # fmt: skip
    assert studio.network(None).name == "brain"
    assert studio.network("first").name == "first/000012"
    assert json.loads(studio.text(Recipe(checkpoint="first"))["styloscope"])["checkpoint"] == "first/000012"


@pytest.mark.parametrize(
    "name",
    ["../checkpoints/brain", "brain.safetensors", "../../etc/passwd", "/etc/passwd", "first/../first/000012", "first/",
     "first/00001", "..", ".", "brain/", "BRAIN ", "first\\000012", "%2e%2e/brain"],
)  # fmt: skip
def test_names_never_lead_outside(studio: Studio, name: str) -> None:
    with pytest.raises(CheckpointError, match="there is no network"):
        studio.exact(Recipe(checkpoint=name))


def test_paths_are_admitted_from_the_command_line_alone(folder: Path, tmp_path: Path) -> None:
    path = toy(tmp_path / "elsewhere" / "mine.ckpt", seed=5)
    studio = Studio(folder / "checkpoints", folder / "runs", device="cpu")
    with pytest.raises(CheckpointError):
        studio.exact(Recipe(checkpoint=str(path)))
    assert studio.admit(str(path)) == "mine"
    assert studio.exact(Recipe(checkpoint="mine")).shape == (14, 12)
    assert studio.admit("first") == "first/000012"
    assert studio.admit_run(str(folder / "runs" / "first")) == "first/000012"
    with pytest.raises(CheckpointError, match="there is no network at"):
        studio.admit(str(tmp_path / "none.safetensors"))
    with pytest.raises(CheckpointError, match="there is no network 'none'.*there is"):
        studio.admit("none")
    with pytest.raises(SettingError, match="run"):
        studio.admit_run("none")


def test_broken_files_are_left_out_and_said(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "checkpoints", tmp_path / "checkpoints")
    (tmp_path / "checkpoints" / "text.safetensors").write_text("hello", encoding="utf-8")
    studio = Studio(tmp_path / "checkpoints", tmp_path / "runs", device="cpu")
    assert [n.name for n in studio.networks()] == ["brain", "colour"]
    assert [path.name for path in studio.refused()] == ["text.safetensors"]
    with pytest.raises(CheckpointError, match="text.safetensors"):
        studio.exact(Recipe(checkpoint="text"))
    with pytest.raises(CheckpointError, match="there is no network in"):
        Studio(tmp_path / "none", tmp_path / "none").exact(Recipe())


def test_where_none_is_named_a_broken_file_is_not_meant(folder: Path, tmp_path: Path) -> None:
    shutil.copyfile(folder / "checkpoints" / "colour.safetensors", tmp_path / "mine.safetensors")
    (tmp_path / "a-broken.safetensors").write_bytes((tmp_path / "mine.safetensors").read_bytes()[:-9])
    studio = Studio(tmp_path, tmp_path / "runs", device="cpu")
    assert studio.network().name == "mine" and studio.exact(Recipe()).ndim == 3
    (tmp_path / "mine.safetensors").unlink()
    with pytest.raises(CheckpointError, match="a-broken.safetensors is truncated"):
        studio.network()


def test_the_best_of_a_run_is_marked(folder: Path, tmp_path: Path) -> None:
    shutil.copytree(folder / "runs", tmp_path / "runs")
    best = tmp_path / "runs" / "first" / "best.json"
    studio = Studio(tmp_path / "none", tmp_path / "runs", device="cpu")
    for text, marked in (
        ('{"checkpoint": "000004.safetensors", "measure": "fid"}', [False, True]),
        ('{"checkpoint": "../../000012.safetensors"}', [True, False]),
        ("{", [False, False]),
    ):
        best.write_text(text, encoding="utf-8")
        assert [network.best for network in studio.networks()] == marked, text


def test_a_changed_file_is_loaded_again(tmp_path: Path) -> None:
    path = toy(tmp_path / "a.safetensors", seed=1)
    studio = Studio(tmp_path, tmp_path / "runs", device="cpu")
    first, sha = studio.exact(Recipe(seed=1)), studio.network().sha
    toy(path, seed=2)
    assert studio.network().sha != sha
    assert not np.array_equal(studio.exact(Recipe(seed=1)), first)


def test_one_engine_where_the_preview_is_exact(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    real = core.engine.prepare

    def prepare(generator: core.Generator, *, device: str, precision: str) -> core.engine.Engine:
        made.append(precision)
        engine = real(generator, device=device, precision="float32")
        engine.threads = 1 if len(made) == 1 else None  # type: ignore[attr-defined]
        return engine

    monkeypatch.setattr(core.engine, "prepare", prepare)
    room = Studio(folder / "checkpoints", folder / "runs", device="cpu").open("brain")
    assert room.preview is room.exact and made == ["auto"]
    room = Studio(folder / "checkpoints", folder / "runs", device="cpu").open("brain")
    assert room.exact is not room.preview and made == ["auto", "float32", "auto"]


def test_any_thread_may_ask(studio: Studio) -> None:
    expected = {seed: studio.exact(replace(BRAIN, seed=seed)) for seed in range(4)}
    wrong: list[object] = []

    def ask(seed: int) -> None:
        try:
            for _ in range(5):
                if not np.array_equal(studio.exact(replace(BRAIN, seed=seed)), expected[seed]):
                    wrong.append(seed)
        except StyloscopeError as error:
            wrong.append(error)

    threads = [threading.Thread(target=ask, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_a_preferred_network_is_meant_where_none_is_named(folder: Path) -> None:
    studio = Studio(folder / "checkpoints", folder / "runs", device="cpu")
    assert studio.network().name == "brain"
    assert studio.prefer("colour") == "colour"
    assert studio.network().name == "colour" and studio.check(Recipe()).name == "colour"
    assert studio.network("brain").name == "brain"


def test_a_png_names_the_network_that_drew_it(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a run that trains the newest network is another one from one moment to the next."""
    shutil.copytree(folder / "runs", tmp_path / "runs")
    studio = Studio(tmp_path / "none", tmp_path / "runs", device="cpu")
    before = studio.network("first")
    draw = Studio._draw

    def overtaken(self: Studio, *args: Any, **more: Any) -> Any:
        toy(before.path.with_name("999999.safetensors"), seed=9)
        return draw(self, *args, **more)

    monkeypatch.setattr(Studio, "_draw", overtaken)
    frame = studio.frame(Recipe(checkpoint="first", seed=3))
    told = json.loads(pictures.read_text(frame.data)["styloscope"])
    assert (told["checkpoint"], told["sha"]) == (before.name, before.sha)
    monkeypatch.setattr(Studio, "_draw", draw)
    assert np.array_equal(pictures.read(frame.data), studio.exact(Recipe.parse({**told, "sha": None})))
    assert studio.network("first").name == "first/999999"
