"""The command line: what each verb writes and prints, and every row of the contract's table of errors."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

import core
from core import pictures
from core.command import run
from core.errors import SettingError
from explorer.__main__ import main, parser
from explorer.animate import Walk
from explorer.recipe import Recipe
from explorer.studio import Studio
from tests.core.gif import decode_gif
from tests.explorer.conftest import toy

ROOT = Path(__file__).resolve().parents[2]

Do = Callable[..., list[str]]


@pytest.fixture
def do(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Do:
    """do("grid", ...) runs a verb over `folder` in an empty folder and returns the lines it printed."""
    monkeypatch.chdir(tmp_path)
    places = ["--checkpoints", str(folder / "checkpoints"), "--runs", str(folder / "runs"), "--device", "cpu"]

    def call(verb: str, *arguments: str) -> list[str]:
        status = run(lambda: main([verb, *places, *arguments]))
        out, err = capsys.readouterr()
        assert status == 0, err
        return out.splitlines()

    return call


@pytest.fixture
def refused(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., str]:
    """refused("grid", ...) runs a verb that must fail, checks how, and returns its sentence."""
    monkeypatch.chdir(tmp_path)
    places = ["--checkpoints", str(folder / "checkpoints"), "--runs", str(folder / "runs"), "--device", "cpu"]

    def call(verb: str, *arguments: str) -> str:
        before = sorted(tmp_path.rglob("*"))
        status = run(lambda: main([verb, *places, *arguments]))
        out, err = capsys.readouterr()
        assert status == 2 and out == "" and err.startswith("error: ") and err.count("\n") == 1
        assert sorted(tmp_path.rglob("*")) == before, "something was written"
        return err

    return call


def test_list_and_inspect(do: Do, folder: Path) -> None:
    lines = do("list")
    assert [line.split("\t")[0] for line in lines] == ["brain", "colour", "first/000012", "first/000004"]
    found = json.loads(do("list", "--json")[0])["networks"]
    assert found[1]["classes"] == 3 and found[0]["size"] == [12, 11]
    facts = json.loads(do("inspect", "colour", "--json")[0])
    assert (
        facts["channels"] == 3 and facts["size"] == [16, 16] and facts["layers"] == 6 and facts["networks"] == ["g_ema"]
    )
    assert "nothing is said of its training" in facts["suspicious"]
    assert "architecture: stylegan2" in do("inspect", str(folder / "checkpoints" / "brain.safetensors"))


def test_inspect_says_what_is_known(do: Do) -> None:
    lines = do("inspect", "brain")
    assert "size: 14 x 12" in lines and "shown: 12 x 11" in lines and "crop: 1, 0, 12, 11" in lines
    path = toy(Path("plain.safetensors"))
    core.save(path, core.load(path).generator, about={"training": {"images_seen": 8, "hours": None, "size": [14, 12]}})
    lines = do("inspect", str(path))
    assert "training.images_seen: 8" in lines and "training.size: 14 x 12" in lines
    assert [line for line in lines if "None" in line or line.startswith(("credit", "training.hours"))] == []


def test_no_network_at_all(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    places = ["--checkpoints", str(tmp_path / "none"), "--runs", str(tmp_path)]
    assert run(lambda: main(["list", *places])) == 0
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("note: there is no network in") and err.count("\n") == 1 and "train one" in err
    assert run(lambda: main(["list", "--json", *places])) == 0
    assert json.loads(capsys.readouterr().out) == {"networks": []}


def test_inspect_builds_no_network(do: Do, monkeypatch: pytest.MonkeyPatch) -> None:
    def never(*args: object, **kwargs: object) -> None:
        raise AssertionError("a network was built")

    monkeypatch.setattr("core.generator.Generator.__init__", never)
    assert do("inspect", "brain") and do("list")


def test_render_writes_what_the_studio_draws(do: Do, studio: Studio) -> None:
    paths = do("render", "--seeds", "3-5", "--psi", "0.5", "--noise", "9", "--out", "out")
    assert len(paths) == 3
    for seed, path in zip((3, 4, 5), paths, strict=True):
        recipe = Recipe(checkpoint="brain", seed=seed, psi=0.5, noise=9)
        assert np.array_equal(pictures.read(Path(path)), studio.exact(recipe))
        told = json.loads(pictures.read_text(Path(path))["styloscope"])
        assert Recipe.parse(told) == recipe and told["sha"] == studio.network("brain").sha
    assert do("render", "--recipe", f"@{paths[1]}", "--out", "again.png") == ["again.png"]
    assert Path("again.png").read_bytes() == Path(paths[1]).read_bytes()
    assert do("render", "--seeds", "4", "--recipe", '{"psi": 0.5, "noise": 9}', "--out", "one.png") == ["one.png"]
    assert np.array_equal(pictures.read(Path("one.png")), pictures.read(Path("again.png")))


def test_seeds_take_the_place_of_the_pictures_of_a_recipe(do: Do, studio: Studio) -> None:
    paths = do("render", "--seeds", "3,4", "--recipe", '{"seed": 1, "toward": {"seed": 9, "t": 1}}', "--out", "out")
    for seed, path in zip((3, 4), paths, strict=True):
        assert np.array_equal(pictures.read(Path(path)), studio.exact(Recipe(checkpoint="brain", seed=seed)))


def test_a_flags_network_is_that_of_every_picture_of_a_recipe(do: Do, studio: Studio, refused: Any) -> None:
    entry = {"checkpoint": "colour", "seed": 9, "t": 0.5}
    shown = studio.exact(Recipe.parse({"checkpoint": "colour", "toward": {"seed": 9, "t": 0.5}}))
    for given in (
        {"toward": entry},
        {"checkpoint": "brain", "toward": entry},
        {"checkpoint": "colour", "toward": entry},
    ):
        do("render", "--checkpoint", "colour", "--recipe", json.dumps(given), "--out", "x.png")
        assert np.array_equal(pictures.read(Path("x.png")), shown)
    moved = json.dumps({"checkpoint": "colour", "toward": entry})
    do("render", "--checkpoint", "brain", "--recipe", moved, "--out", "x.png")
    assert pictures.read(Path("x.png")).shape == (12, 11)
    other = json.dumps({"toward": entry})
    assert "it has to be brain" in refused("render", "--checkpoint", "brain", "--recipe", other, "--out", "x.png")


def test_render_by_path_and_class(do: Do, tmp_path: Path) -> None:
    path = toy(tmp_path / "other" / "mine.safetensors", seed=9, num_classes=2)
    do("render", "--seeds", "1", "--checkpoint", str(path), "--label", "1", "--out", "mine.png")
    told = json.loads(pictures.read_text(Path("mine.png"))["styloscope"])
    assert told["checkpoint"] == "mine" and told["label"] == 1


def test_grid(do: Do, studio: Studio, capsys: pytest.CaptureFixture[str]) -> None:
    told = json.loads(do("grid", "--number", "6", "--run", "first", "--title", "Heads", "--out", "g.png", "--json")[0])
    assert len(set(told["seeds"])) == 6 and told["written"] == ["g.png"]
    text = json.loads(pictures.read_text(Path("g.png"))["styloscope"])
    assert text["checkpoint"] == "first/000012" and text["seeds"] == told["seeds"] and text["title"] == "Heads"
    do("grid", "--seeds", "4,5", "--out", "two.png")
    cell = pictures.read(Path("two.png"))[:, 13:24]
    assert np.array_equal(cell, studio.exact(Recipe(checkpoint="brain", seed=5)))


def test_fresh_seeds_are_printed(do: Do, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    places = ["--checkpoints", str(folder / "checkpoints"), "--device", "cpu"]
    assert run(lambda: main(["grid", "--number", "3", "--out", "g.png", *places])) == 0
    out, err = capsys.readouterr()
    assert out == "g.png\n" and err.startswith("seeds: ") and err.count(",") == 2


def test_mix_and_bilinear(do: Do) -> None:
    assert do("mix", "--rows", "0-1", "--columns", "5,6,7", "--layers", "2-3", "--out", "m.png") == ["m.png"]
    text = json.loads(pictures.read_text(Path("m.png"))["styloscope"])
    assert (text["rows"], text["columns"], text["layers"]) == ([0, 1], [5, 6, 7], "2-3")
    assert do("bilinear", "--seeds", "1,2,3,4", "--steps", "3", "--out", "b.png") == ["b.png"]
    assert pictures.read(Path("b.png")).shape == (3 * 14 - 2, 3 * 13 - 2)


@pytest.mark.parametrize("loop", [False, True])
def test_interpolate_counts(do: Do, studio: Studio, loop: bool) -> None:
    do("interpolate", "--seeds", "3,9,27", "--steps", "4", "--out", "a.gif", *(["--loop"] if loop else []))
    shown, _ = decode_gif(Path("a.gif").read_bytes())
    assert len(shown) == (12 if loop else 9)
    assert np.array_equal(shown[4][..., 0], studio.exact(Recipe(checkpoint="brain", seed=9)))


def test_interpolate_between_recipes(do: Do, studio: Studio) -> None:
    blend = {"blend": [{"seed": 1, "weight": 0.5}, {"seed": 2, "weight": 0.5}]}
    Path("walk.json").write_text(json.dumps([{"seed": 3, "psi": 1.0}, blend]), encoding="utf-8")
    assert do("interpolate", "--recipes", "@walk.json", "--steps", "3", "--out", "frames") == ["frames"]
    files = sorted(Path("frames").glob("*.png"))
    assert len(files) == 4
    assert np.array_equal(pictures.read(files[0]), studio.exact(Recipe(checkpoint="brain", seed=3, psi=1.0)))
    assert np.array_equal(pictures.read(files[3]), studio.exact(Recipe.parse({"checkpoint": "brain", **blend})))


@pytest.mark.parametrize(("name", "size"), [("a.gif", (36, 33)), ("a.webp", (36, 33)), ("frames", (36, 33))])
def test_a_film_of_larger_pixels(do: Do, studio: Studio, name: str, size: tuple[int, int]) -> None:
    """Walk and timeline, enlarged: the pictures and recipes are the same, and --json says how large they are."""
    told = json.loads(do("interpolate", "--seeds", "3,9", "--steps", "2", "--scale", "3", "--out", name, "--json")[0])
    assert (told["height"], told["width"], told["scale"], told["frames"]) == (*size, 3, 3)
    recipes = Walk((Recipe(checkpoint="brain", seed=3), Recipe(checkpoint="brain", seed=9)), steps=2).frames()
    if name == "frames":
        for index, recipe in enumerate(recipes):
            path = Path(name, f"{index:06d}.png")
            large = pictures.read(path)
            assert np.array_equal(large, studio.exact(recipe).repeat(3, axis=0).repeat(3, axis=1))
            assert pictures.read_text(path) == studio.text(recipe)
        do("render", "--recipe", "@frames/000001.png", "--out", "small.png")
        assert np.array_equal(pictures.read(Path("small.png")), studio.exact(recipes[1]))
        return
    do("interpolate", "--timeline", f"@{name}", "--scale", "3", "--out", f"again{Path(name).suffix}")
    assert Path(name).read_bytes() == Path(f"again{Path(name).suffix}").read_bytes()
    do("interpolate", "--timeline", f"@{name}", "--out", f"small{Path(name).suffix}")
    with Image.open(f"small{Path(name).suffix}") as small, Image.open(name) as large_film:
        assert (small.size, large_film.size) == ((11, 12), size[::-1])


def test_an_mp4_says_its_padded_size(do: Do) -> None:
    av = pytest.importorskip("av")
    told = json.loads(
        do("interpolate", "--seeds", "3,9", "--steps", "1", "--scale", "3", "--out", "a.mp4", "--json")[0]
    )
    with av.open("a.mp4") as film:
        stream = film.streams.video[0]
        assert (told["height"], told["width"]) == (36, 34) == (stream.height, stream.width)


def test_progress_lines(do: Do, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    places = ["--checkpoints", str(folder / "checkpoints"), "--device", "cpu", "--progress"]
    assert run(lambda: main(["interpolate", "--seeds", "1,2", "--steps", "2", "--out", "a.webp", *places])) == 0
    steps = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    assert steps == [{"done": k, "total": 3} for k in (1, 2, 3)]


def test_map(do: Do) -> None:
    assert do("map", "--samples", "30", "--method", "pca", "--out", "m.csv") == ["m.csv", "m.png"]
    lines = Path("m.csv").read_text(encoding="utf-8").splitlines()
    assert lines[0] == "seed,x,y" and len(lines) == 31 and lines[30].startswith("29,")
    assert pictures.read(Path("m.png")).ndim == 2
    assert do("map", "--samples", "1", "--out", "one.csv") == ["one.csv", "one.png"]
    by_class = ["--checkpoint", "colour", "--by-class", "--method", "pca", "--samples", "6"]
    assert do("map", *by_class, "--out", "c.csv") == ["c.csv", "c.png"]
    rows = Path("c.csv").read_text(encoding="utf-8").splitlines()
    assert rows[0] == "seed,x,y,class" and [row[-1] for row in rows[1:]] == list("012012")


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["render", "--seeds", "1,,a", "--out", "x"], "seeds cannot be '1,,a'"),
        (["render", "--seeds", "9-3", "--out", "x"], "9-3"),
        (["render", "--seeds", "0-4096", "--out", "x"], "4096"),
        (["render", "--seeds=-1", "--out", "x"], "-1"),
        (["render", "--seeds", "4294967296", "--out", "x"], "4294967295"),
        (["render", "--out", "x"], "--seeds"),
        (["render", "--seeds", "1"], "--out"),
        (["render", "--seeds", "1-2", "--out", "x.png"], "folder"),
        (["render", "--seeds", "1", "--out", "x.jpg"], ".png"),
        (["render", "--seeds", "1", "--out", "x", "--psi", "nan"], "psi cannot be 'nan': a number from -5 to 5"),
        (["render", "--seeds", "1", "--out", "x", "--psi", "inf"], "psi"),
        (["render", "--seeds", "1", "--out", "x", "--psi=-5.1"], "psi"),
        (["render", "--seeds", "1", "--out", "x", "--psi", "much"], "psi cannot be 'much': a number from -5 to 5"),
        (["render", "--seeds", "1", "--out", ""], "out cannot be '': give --out"),
        (["grid", "--number", "2", "--out", " "], "out cannot be ' ': give --out"),
        (["render", "--seeds", "1", "--out", "x", "--cutoff", "all"], "cutoff cannot be 'all': a whole number from 0"),
        (["render", "--seeds", "1", "--out", "x", "--label", "1.5"], "label cannot be '1.5': a whole number from 0"),
        (["grid", "--number", "many", "--out", "x.png"], "number cannot be 'many': 1 to 4096"),
        (["grid", "--number", "2", "--columns", "a", "--out", "x.png"], "columns cannot be 'a': 1 or more"),
        (["interpolate", "--seeds", "3,4", "--steps", "few", "--out", "x.gif"], "steps cannot be 'few': 1 or more"),
        (["interpolate", "--seeds", "3,4", "--fps", "slow", "--out", "x.gif"], "fps cannot be 'slow': a number"),
        (["interpolate", "--seeds", "3,4", "--fps", "1e-9", "--out", "x.gif"], "fps cannot be '1e-09': a number"),
        (["interpolate", "--seeds", "3,4", "--fps", "nan", "--out", "x.gif"], "fps cannot be 'nan'"),
        (["bilinear", "--seeds", "1,2,3,4", "--steps", "x", "--out", "x.png"], "steps cannot be 'x': 1 to 64 cells"),
        (["map", "--samples", "all", "--out", "x.csv"], "samples cannot be 'all': 1 to 50000"),
        (["render", "--seeds", "1", "--out", "x", "--cutoff", "5"], "cutoff cannot be '5'"),
        (["render", "--seeds", "1", "--out", "x", "--cutoff=-1"], "cutoff"),
        (["render", "--seeds", "1", "--out", "x", "--label", "0"], "label"),
        (["render", "--seeds", "1", "--out", "x", "--noise", "loud"], "noise"),
        *((["render", "--seeds", "1", "--out", "x", "--checkpoint", "colour", f"--label={label}"],
           f"label cannot be '{label}': colour has classes 0 to 2") for label in (-1, 3, 70000)),
        (["render", "--recipe", '{"checkpoint": "colour"}', "--out", "x", "--label=-1"], "colour has classes 0 to 2"),
        (["interpolate", "--recipes", "[{}, {}]", "--out", "x.gif", "--checkpoint", "colour", "--label=-1"],
         "label cannot be '-1': colour has classes 0 to 2"),
        (["interpolate", "--recipes", "[{}, {}]", "--out", "x.gif", "--label=-1"], "label cannot be '-1'"),
        (["render", "--seeds", "1", "--out", "x", "--label", "9" * 4000], "label cannot be 'a very large number'"),
        (["render", "--seeds", "1", "--out", "x", "--noise=-1"], "noise"),
        (["render", "--seeds", "1", "--out", "x", "--device", "abacus"], "device"),
        (["render", "--seeds", "1", "--out", "x", "--precision", "float8"], "precision"),
        (["render", "--seeds", "1", "--out", "x", "--checkpoint", "none"], "there is no network 'none'"),
        (["render", "--seeds", "1", "--out", "x", "--checkpoint", "a/none.safetensors"], "a/none.safetensors"),
        (["render", "--recipe", '{"nose": 1}', "--out", "x"], "did you mean noise?"),
        (["render", "--recipe", "@none.json", "--out", "x"], "none.json"),
        (["render", "--recipe", "@a\0b", "--out", "x"], "cannot be read"),
        (["render", "--recipe", "{}", "--out", "x", "--psy", "1"], "--psy"),
        (["grid", "--number", "0", "--out", "x.png"], "number cannot be '0': 1 to 4096"),
        (["grid", "--number", "5000", "--out", "x.png"], "number"),
        (["grid", "--number", "4"], "--out"),
        (["grid", "--number", "4", "--out", "x.gif"], ".png"),
        (["grid", "--number", "4", "--out", "x.png", "--columns", "0"], "columns"),
        (["grid", "--number", "4", "--out", "x.png", "--run", "none"], "run cannot be 'none'"),
        (["grid", "--number", "4", "--out", "x.png", "--title", "a\nb"], "title"),
        (["mix", "--rows", "0", "--columns", "1", "--layers", "9-3", "--out", "x.png"], "layers cannot be '9-3'"),
        (["mix", "--rows", "0", "--columns", "1", "--layers", "0-9", "--out", "x.png"], "layers cannot be '0-9'"),
        (["mix", "--rows", "a", "--columns", "1", "--layers", "0", "--out", "x.png"], "rows cannot be 'a'"),
        (["mix", "--rows", "0", "--columns", "1", "--out", "x.png"], "layers"),
        (["mix", "--rows", "0", "--columns", "1", "--layers", "0", "--amount", "2", "--out", "x.png"], "amount"),
        (["interpolate", "--seeds", "3", "--out", "x.gif"], "at least 2"),
        (["interpolate", "--out", "x.gif"], "seeds"),
        (["interpolate", "--seeds", "3,4"], "--out"),
        (["interpolate", "--seeds", "3,4", "--steps", "0", "--out", "x.gif"], "steps"),
        (["interpolate", "--seeds", "3,4", "--steps", "1000000000", "--out", "x.gif"], "5000 frames"),
        (["interpolate", "--seeds", "3,4,5", "--steps", "9" * 4299, "--out", "x.gif"], "steps cannot be 'a very large"),
        (["interpolate", "--recipes", '["{}", "{}"]', "--out", "x.gif"], "recipes[0] cannot be '{}': a JSON object"),
        (["render", "--recipe", '"{}"', "--out", "x.png"], "recipe cannot be '{}': a JSON object"),
        (["interpolate", "--seeds", "3,4", "--fps", "0", "--out", "x.gif"], "fps"),
        (["interpolate", "--seeds", "3,4", "--scale", "9", "--out", "x.gif"], "scale cannot be '9': a whole number"),
        (["interpolate", "--seeds", "3,4", "--scale", "1.5", "--out", "x.gif"], "scale cannot be '1.5': a whole"),
        (["interpolate", "--seeds", "3,4", "--ease", "odd", "--out", "x.gif"], "ease"),
        (["interpolate", "--seeds", "3,4", "--space", "v", "--out", "x.gif"], "space"),
        (["interpolate", "--seeds", "3,4", "--out", "x.avi"], ".gif"),
        (["interpolate", "--recipes", '{"seed": 1}', "--out", "x.gif"], "recipes"),
        (["bilinear", "--seeds", "1,2,3", "--out", "x.png"], "four corners"),
        (["bilinear", "--seeds", "1,2,3,4", "--steps=-3", "--out", "x.png"], "steps"),
        (["map", "--samples", "0", "--out", "x.csv"], "samples cannot be '0'"),
        (["map", "--samples", "9", "--out", "x.png"], ".csv"),
        (["map", "--by-class", "--out", "x.csv"], "by_class cannot be 'true': brain has no classes"),
        (["map", "--samples", "9", "--method", "tsne", "--out", "x.csv"], "method"),
        (["inspect", "none.safetensors"], "none.safetensors"),
        (["juggle"], "juggle"),
    ],
)  # fmt: skip
def test_the_table_of_errors(refused: Callable[..., str], arguments: list[str], says: str) -> None:
    assert says in refused(*arguments)


def test_files_that_are_no_networks(refused: Callable[..., str], tmp_path: Path, folder: Path) -> None:
    whole = (folder / "checkpoints" / "brain.safetensors").read_bytes()
    newer = whole.replace(b'\\"format\\": 1', b'\\"format\\": 9')
    assert newer != whole
    for name, data, says in (
        ("text.safetensors", b"this is not a network", "another program"),
        ("cut.safetensors", whole[:-100], "truncated"),
        ("newer.safetensors", newer, "newer"),
    ):
        (tmp_path / name).write_bytes(data)
        for verb in (["inspect", name], ["render", "--seeds", "1", "--out", "x", "--checkpoint", name]):
            sentence = refused(*verb)
            assert says in sentence and name in sentence


def test_places_that_cannot_be_written(refused: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    (tmp_path / "folder.png").mkdir()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine", encoding="utf-8")
    (tmp_path / "m.png").mkdir()
    assert "m.png is a folder" in refused("map", "--samples", "9", "--method", "pca", "--out", "m.csv")
    assert "is a file" in refused("grid", "--number", "2", "--out", "file/x.png")
    assert "is a folder" in refused("grid", "--number", "2", "--out", "folder.png")
    assert "already has something" in refused("interpolate", "--seeds", "1,2", "--out", "full")
    assert "file already has something" in refused("interpolate", "--seeds", "1,2", "--out", "file")


def test_from_a_shell(folder: Path, tmp_path: Path) -> None:
    def shell(*arguments: str) -> subprocess.CompletedProcess[str]:
        line = [sys.executable, "-m", "explorer", *arguments, "--checkpoints", str(folder / "checkpoints")]
        return subprocess.run(line, cwd=ROOT, capture_output=True, text=True, encoding="utf-8", timeout=120)

    wrong = shell("interpolate", "--seeds", "1,,a", "--out", str(tmp_path / "x.gif"))
    assert wrong.returncode == 2 and wrong.stderr.startswith("error: seeds") and wrong.stderr.count("\n") == 1
    right = shell("render", "--seeds", "1", "--out", str(tmp_path / "x.png"), "--device", "cpu")
    assert right.returncode == 0 and right.stdout.splitlines() == [str(tmp_path / "x.png")] and right.stderr == ""


def test_every_verb_takes_the_common_flags() -> None:
    verbs = parser()._subparsers._group_actions[0].choices  # type: ignore[union-attr]
    names = {"list", "inspect", "render", "grid", "mix", "interpolate", "bilinear", "map"}
    assert names <= set(verbs)  # type: ignore[arg-type]
    for name in names:
        flags = {flag for action in verbs[name]._actions for flag in action.option_strings}  # type: ignore[index]
        common = {
            "--checkpoint",
            "--checkpoints",
            "--runs",
            "--psi",
            "--cutoff",
            "--noise",
            "--label",
            "--device",
            "--json",
        }
        assert common <= flags


def test_an_empty_checkpoint_is_no_network(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    flags = ["render", "--checkpoint", "", "--seeds", "1", "--out", str(tmp_path / "x.png")]
    with pytest.raises(SettingError, match="checkpoint cannot be ''"):
        main(flags)
    assert list(tmp_path.iterdir()) == []
