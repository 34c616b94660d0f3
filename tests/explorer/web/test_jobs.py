"""Long work: real processes, tiny ones, that play the command line."""

from __future__ import annotations

import dataclasses
import errno
import json
import os
import shutil
import sys
import time
import zipfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from core.errors import OutputError, SettingError, StyloscopeError
from explorer.networks import Network
from explorer.recipe import Recipe
from explorer.web import jobs as queue
from explorer.web.job_routes import CHECKS, looked_at
from explorer.web.jobs import VERBS, Jobs, UnknownJobError, arguments
from tests.explorer.conftest import until

VERB = """
import json, os, pathlib, sys, time
given = dict(flag[2:].split("=", 1) for flag in sys.argv[2:] if "=" in flag)
out = pathlib.Path(given["out"])
seeds = given.get("seeds", "")
if seeds == "wrong":
    sys.exit(print("error: seeds cannot be 'wrong': try 3,9", file=sys.stderr) or 2)
if seeds == "gone":
    sys.exit(print(f"error: nothing at {given['checkpoint']}, see {out.parent}", given["runs"], file=sys.stderr) or 2)
if seeds == "stubborn":
    import signal
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
slow = seeds in ("slow", "stubborn")
for step in range(5):
    print(json.dumps({"done": step, "total": 4}), file=sys.stderr, flush=True)
    time.sleep(300 if slow and step == 2 else 0.02)
if out.suffix:
    nice = os.getpriority(os.PRIO_PROCESS, 0) if hasattr(os, "getpriority") else 0
    out.write_text(json.dumps({"line": sys.argv[1:], "nice": nice}), encoding="utf-8")
else:
    out.mkdir()
    for name in ("0001.png", "0000.png"):
        (out / name).write_bytes(name.encode())
"""


BRAIN = Network(
    name="brain", path=Path("brain.safetensors"), sha="0", architecture="stylegan2", size=(208, 176), channels=1,
    layers=12, classes=0, credit="", sizes=((208, 176),), grows=False, grown=None, stamp=(0, 0),
    about={"picture": {"crop": [0, 0, 208, 176]}},
)  # fmt: skip


def waited(jobs: Jobs, identity: str) -> Path:
    """What a job made, once it has ended."""
    until(lambda: jobs.status(identity)["state"] not in ("waiting", "running"), seconds=120)
    return jobs.file(identity)


@pytest.fixture
def jobs() -> Iterator[Jobs]:
    made = Jobs(program=(sys.executable, "-c", VERB), most=3, places=("--runs=elsewhere",))
    yield made
    made.close()


def test_a_job_makes_its_file_at_low_priority(jobs: Jobs) -> None:
    name = jobs.submit("interpolate", {"checkpoint": "brain", "seeds": "3,9", "steps": 4, "loop": True})
    made = waited(jobs, name)
    assert made.suffix == ".gif"
    said = json.loads(made.read_text(encoding="utf-8"))
    assert said["line"][:2] == ["interpolate", "--runs=elsewhere"]
    assert {"--checkpoint=brain", "--seeds=3,9", "--steps=4", "--loop"} <= set(said["line"])
    if hasattr(os, "getpriority"):
        assert said["nice"] > os.getpriority(os.PRIO_PROCESS, 0)
    status = jobs.status(name)
    assert (status["state"], status["done"], status["total"], status["error"]) == ("done", 4, 4, None)
    assert status["name"] == "brain-interpolate.gif"


def test_frames_come_as_one_zip_in_order(jobs: Jobs) -> None:
    made = waited(jobs, jobs.submit("interpolate", {"seeds": "3,9", "format": "png"}))
    with zipfile.ZipFile(made) as archive:
        assert archive.namelist() == ["0000.png", "0001.png"]


def test_the_sentence_of_the_command_comes_back(jobs: Jobs) -> None:
    name = jobs.submit("interpolate", {"seeds": "wrong"})
    with pytest.raises(StyloscopeError, match="^seeds cannot be 'wrong': try 3,9$"):
        waited(jobs, name)
    assert jobs.status(name)["state"] == "failed"


def test_where_files_lie_is_not_told(tmp_path: Path) -> None:
    file, places = str(tmp_path / "runs" / "mine" / "gone.safetensors"), (f"--runs={tmp_path / 'runs'}",)
    made = Jobs(program=(sys.executable, "-c", VERB), most=3, places=places)
    with closing(made), pytest.raises(StyloscopeError, match="^nothing at gone, see the job's folder runs$"):
        waited(made, made.submit("interpolate", {"checkpoint": file, "seeds": "gone"}))


@pytest.mark.parametrize("how", ["slow", "stubborn"])
def test_cancel_works_within_a_second_and_leaves_nothing(jobs: Jobs, how: str) -> None:
    name = jobs.submit("interpolate", {"seeds": how})
    until(lambda: jobs.status(name)["done"] == 2)
    assert jobs.status(name)["seconds_left"] >= 0
    process, folder = jobs._job(name).process, jobs._job(name).folder
    began = time.monotonic()
    jobs.cancel(name)
    assert process is not None
    process.wait(timeout=10)
    assert time.monotonic() - began < 10  # a second, and what a busy machine adds
    until(lambda: not folder.exists())
    assert jobs.status(name)["state"] == "cancelled"
    jobs.cancel(name)
    with pytest.raises(UnknownJobError):
        jobs.status(name)


def test_one_at_a_time_the_rest_wait_and_there_is_an_end_to_it(jobs: Jobs) -> None:
    first = jobs.submit("interpolate", {"seeds": "slow"})
    second = jobs.submit("bilinear", {"seeds": "1,2,3,4"})
    third = jobs.submit("mix", {"rows": "0", "columns": "1"})
    until(lambda: jobs.status(first)["state"] == "running")
    assert jobs.status(second)["state"] == "waiting"
    assert (jobs.status(second)["ahead"], jobs.status(third)["ahead"]) == (1, 2)
    with pytest.raises(OutputError, match="3 long jobs"):
        jobs.submit("map", {"samples": 10})
    assert len({jobs._job(name).lane for name in (first, second, third)}) == 1
    jobs.cancel(second)
    jobs.cancel(first)
    assert waited(jobs, third).suffix == ".png"
    with pytest.raises(StyloscopeError, match="cancelled"):
        jobs.file(second)


def test_a_map_does_not_hold_up_a_film(jobs: Jobs) -> None:
    film = jobs.submit("interpolate", {"seeds": "slow"})
    until(lambda: jobs.status(film)["state"] == "running")
    assert waited(jobs, jobs.submit("map", {"samples": 10})).suffix == ".csv"
    assert jobs.status(film)["state"] == "running"


def test_files_go_after_a_while_and_at_the_end() -> None:
    queue = Jobs(program=(sys.executable, "-c", VERB), keep=0.1)
    name = queue.submit("mix", {"rows": "0", "columns": "1"})
    made = waited(queue, name)
    assert made.exists()
    time.sleep(0.15)
    last = queue.hold() / "x.png"
    last.write_bytes(b"x")
    assert not made.exists()
    queue.close()
    assert not last.exists()
    assert not last.parent.parent.exists()


def test_closing_stops_what_runs() -> None:
    queue = Jobs(program=(sys.executable, "-c", VERB))
    name = queue.submit("interpolate", {"seeds": "slow"})
    until(lambda: queue.status(name)["done"] == 2)
    process = queue._job(name).process
    queue.close()
    assert process is not None and process.wait(timeout=20) is not None


def test_a_zip_that_cannot_be_made_ends_one_job_alone(jobs: Jobs, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(folder: Path) -> Path:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(queue, "_zipped", full)
        with pytest.raises(StyloscopeError, match=r"the zip could not be made \(No space left on device\)"):
            waited(jobs, jobs.submit("interpolate", {"seeds": "3,9", "format": "png"}))
    assert waited(jobs, jobs.submit("interpolate", {"seeds": "3,9", "format": "png"})).suffix == ".zip"


def test_a_temporary_folder_that_was_cleared_is_made_again(jobs: Jobs, tmp_path: Path) -> None:
    first = waited(jobs, name := jobs.submit("interpolate", {"seeds": "3,9"}))
    shutil.rmtree(first.parent.parent)
    with pytest.raises(UnknownJobError, match="its file may have been removed"):
        jobs.file(name)
    assert waited(jobs, jobs.submit("interpolate", {"seeds": "3,9"})).is_file() and jobs.hold().is_dir()
    (tmp_path / "file").write_text("in the way", encoding="utf-8")
    nowhere = Jobs(parent=tmp_path / "file" / "below")
    with pytest.raises(OutputError, match="^the temporary folder cannot be written .*; free space there$"):
        nowhere.hold()


def test_a_folder_that_is_being_written_to_stays() -> None:
    jobs = Jobs(keep=0.2)
    folder = jobs.hold()
    for _ in range(4):
        time.sleep(0.1)
        jobs.touch(folder)
        jobs.hold()
    assert folder.is_dir()
    time.sleep(0.3)
    jobs.hold()
    assert not folder.is_dir()
    jobs.close()


@pytest.mark.parametrize("text", ["--out=/etc/passwd", "-h", "3 --run=x", "$(touch x)", "@/etc/passwd"])
def test_what_people_type_never_becomes_a_flag(tmp_path: Path, text: str) -> None:
    line, made = arguments("interpolate", {"seeds": text}, folder=tmp_path)
    assert f"--seeds={text}" in line
    assert sum(part.startswith("--out=") for part in line) == 1
    assert made.parent == tmp_path


def test_recipes_travel_in_a_file_beside(tmp_path: Path) -> None:
    line, _ = arguments("interpolate", {"recipes": [{"seed": 1}, {"seed": 2}]}, folder=tmp_path)
    beside = tmp_path / "recipes.json"
    assert f"--recipes=@{beside}" in line
    assert beside.read_text(encoding="utf-8") == '[{"seed": 1}, {"seed": 2}]'


@pytest.mark.parametrize(
    ("verb", "settings", "word"),
    [
        ("convert", {}, "verb"),
        ("map", {"out": "x"}, "out"),
        ("map", {"samples": {"a": 1}}, "samples"),
        ("interpolate", {"seeds": "x" * 60_000}, "seeds"),
        ("interpolate", {"seeds": "a\0b"}, "seeds"),
        ("interpolate", {"format": "exe"}, "format"),
        ("interpolate", {"seeds": "1,2", "recipes": []}, "seeds"),
    ],
)
def test_settings_that_cannot_be(tmp_path: Path, verb: str, settings: dict[str, object], word: str) -> None:
    with pytest.raises(SettingError, match=f"^{word} cannot be"):
        arguments(verb, settings, folder=tmp_path)


@pytest.mark.parametrize(
    ("verb", "settings"),
    [("mix", {"rows": "0-59", "columns": "0-59", "layers": "2-3"}), ("bilinear", {"seeds": "1,2,3,4", "steps": 64})],
)
def test_a_request_asks_for_sixteen_megapixels_at_most(verb: str, settings: dict[str, object]) -> None:
    small = {**settings, **({"rows": "0-3", "columns": "0-3"} if verb == "mix" else {"steps": 20})}
    assert looked_at(verb, small, check=lambda recipe: BRAIN)["checkpoint"]
    with pytest.raises(SettingError, match="16 megapixels, here 437 cells"):
        looked_at(verb, settings, check=lambda recipe: BRAIN)


def test_a_film_too_large_is_refused_before_it_is_begun() -> None:
    def wish(**more: object) -> dict[str, object]:
        return looked_at("interpolate", more, check=lambda recipe: BRAIN)

    keys = [{"recipe": {"seed": seed}, "time": 100 * seed} for seed in (0, 1)]
    for film in ({"seeds": "1,2", "steps": 2400}, {"timeline": {"keys": keys}}):
        assert wish(**film, scale=6)["scale"] == 6
        with pytest.raises(SettingError, match="^scale cannot be '8': 1 to 6 here: a film has at most 4 GiB"):
            wish(**film, scale=8)
    for wrong in (0, 9, True, "2", 2.5):
        with pytest.raises(SettingError, match=f"^scale cannot be '{wrong}': a whole number from 1 to 8$"):
            wish(seeds="1,2", scale=wrong)


def sized(name: str, side: int) -> Network:
    """The header of a network of side x side."""
    about = {"picture": {"crop": [0, 0, side, side]}, "config": {"w_dim": 512}}
    return dataclasses.replace(BRAIN, name=name, size=(side, side), sizes=((side, side),), about=about)


def test_the_limit_counts_what_is_drawn() -> None:
    """A sheet of corners has its usual steps where none are given; a comparison has cells of the larger network."""
    there = {"small": sized("small", 64), "large": sized("large", 1024)}

    def check(recipe: Recipe) -> Network:
        return there[recipe.checkpoint or "small"]

    with pytest.raises(SettingError, match="cells cannot be '100': a request may ask for 16 megapixels, here 15"):
        looked_at("bilinear", {"checkpoint": "large", "seeds": "1,2,3,4"}, check=check)
    assert looked_at("bilinear", {"checkpoint": "large", "seeds": "1,2,3,4", "steps": 3}, check=check)
    assert looked_at("compare", {"with": "large", "seeds": "0-4"}, check=check)
    for left, right in (("small", "large"), ("large", "small")):
        with pytest.raises(SettingError, match="cells cannot be '18'"):
            looked_at("compare", {"checkpoint": left, "with": right, "seeds": "0-5"}, check=check)
    with pytest.raises(SettingError, match="with cannot be"):
        looked_at("compare", {"checkpoint": "small", "with": "small", "seeds": "1"}, check=check)


def test_every_verb_of_the_page_has_its_check() -> None:
    assert set(CHECKS) == set(VERBS) - {"nearest", "project"}  # those have addresses of their own
    with pytest.raises(
        SettingError, match="^verb cannot be 'render': one of interpolate, mix, bilinear, compare, map$"
    ):
        looked_at("render", {}, check=lambda recipe: BRAIN)


def test_a_seed_over_a_recipe_takes_the_place_of_every_other_picture() -> None:
    pictures: list[dict[str, object]] = [
        {"point": "mine"}, {"blend": [{"seed": 3}]}, {"toward": {"seed": 3, "t": 0.5}}
    ]  # fmt: skip
    for other in pictures:
        seen: list[Recipe] = []

        def check(recipe: Recipe, seen: list[Recipe] = seen) -> Network:
            seen.append(recipe)
            return BRAIN

        looked_at("compare", {"recipe": other, "seeds": "7", "with_precision": "bfloat16"}, check=check)
        assert seen[-1] == Recipe(checkpoint="brain", seed=7)
