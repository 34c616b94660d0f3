"""The manual says what the program does: flags, verbs, recipe keys and errors are read from the code itself."""

from __future__ import annotations

import argparse
import ast
import dataclasses
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs

import pytest
import torch

import app
import core
from core import errors
from explorer import __main__ as explorer
from explorer import schema
from explorer.recipe import Recipe
from explorer.web.jobs import VERBS
from explorer.web.page import found_panels
from train.cli import parser as train_parser
from train.metrics import names as measure_names
from train.metrics.cli import parser as metrics_parser
from train.prepare.__main__ import parser as prepare_parser
from train.presets import PRESETS
from train.travel import parser as travel_parser

ROOT = Path(__file__).resolve().parents[1]
DOCS = {path.name: path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]}
KINDS = {name for name in errors.__all__ if name != "SettingError"} | {"UnknownJobError"}
PLACEHOLDER = "\0"


def flags(parser: argparse.ArgumentParser) -> set[str]:
    """The flags that people read about; of --this and --no-this the first."""
    return {action.option_strings[0] for action in parser._actions if action.option_strings} - {"-h"}


def verbs() -> dict[str, argparse.ArgumentParser]:
    """The verbs of python -m explorer."""
    (choice,) = (a for a in explorer.parser()._actions if isinstance(a, argparse._SubParsersAction))
    return dict(choice.choices)


def section(text: str, heading: str) -> str:
    """What stands under a heading, up to the next one that is as high."""
    level = heading.split(" ")[0]
    after = re.search(rf"^{re.escape(heading)}$", text, re.MULTILINE)
    assert after, f"there is no heading {heading!r}"
    rest = text[after.end() :]
    end = re.search(rf"^#{{1,{len(level)}}} ", rest, re.MULTILINE)
    return rest[: end.start()] if end else rest


def has_flag(text: str, flag: str) -> bool:
    return re.search(rf"{re.escape(flag)}(?![\w-])", text) is not None


def missing(wanted: set[str], text: str) -> list[str]:
    return sorted(flag for flag in wanted if not has_flag(text, flag))


def test_the_app() -> None:
    assert missing(flags(app.parser()), section(DOCS["commands.md"], "## python app.py")) == []


def test_training() -> None:
    assert missing(flags(train_parser()), DOCS["training.md"]) == []
    assert [name for name in PRESETS if f"`{name}`" not in DOCS["training.md"]] == []


def test_measures() -> None:
    assert missing(flags(metrics_parser()), DOCS["metrics.md"]) == []
    assert [name for name in measure_names() if f"`{name}`" not in section(DOCS["metrics.md"], "## The figures")] == []


def test_preparing() -> None:
    assert missing(flags(prepare_parser()) - {"--help"}, section(DOCS["data.md"], "## python -m train.prepare")) == []


def test_travelling() -> None:
    own = section(DOCS["training.md"], "### One rented GPU")
    verbs = next(action for action in travel_parser()._actions if isinstance(action.choices, dict)).choices
    assert missing({flag for verb in verbs.values() for flag in flags(verb)} - {"--help"}, own) == []
    assert [verb for verb in verbs if f"`{verb} " not in own] == []


@pytest.mark.parametrize("verb", verbs())
def test_a_verb(verb: str) -> None:
    common = set.intersection(*(flags(parser) for parser in verbs().values()))
    whole = section(DOCS["commands.md"], "## python -m explorer")
    assert missing(common, whole.split("\n### ")[0]) == []
    own = section(DOCS["commands.md"], f"### {verb}")
    assert missing(flags(verbs()[verb]) - common, own) == []
    said = set(re.findall(r"^\| `(--[a-z-]+)", own, re.MULTILINE))
    assert said <= flags(verbs()[verb]), "a flag that is not there"
    assert f"`{verb}" in section(DOCS["README.md"], "## Command line")


def test_the_recipe() -> None:
    keys = set(schema.RECIPE)
    for name in ("mix", "steer", "blend"):
        keys |= set(schema.RECIPE[name]["items"]["properties"])
    for name in ("toward", "grown"):
        keys |= set(schema.RECIPE[name]["properties"])
    assert [key for key in sorted(keys) if f"`{key}`" not in DOCS["recipe.md"]] == []
    rows = set(re.findall(r"^\| `(\w+)` \|", DOCS["recipe.md"], re.MULTILINE))
    assert rows == set(schema.RECIPE)


def test_the_page() -> None:
    tabs = re.findall(r"^\| (\w+) \| ", section(DOCS["explorer.md"], "## Panels"), re.MULTILINE)
    assert [tab for tab in tabs if tab != "tab"] == [panel.TITLE for _, panel in found_panels()]
    jobs = section(DOCS["explorer.md"], "## Addresses")
    assert [verb for verb in VERBS if f"`{verb}`" not in jobs] == []


def test_the_addresses() -> None:
    text = section(DOCS["explorer.md"], "## Addresses")
    served = set()
    for path in (ROOT / "explorer" / "web").glob("*.py"):
        served |= set(re.findall(r"add_route\(\"(/[a-z]+)", path.read_text(encoding="utf-8")))
    inner = {"/static", "/plotly"}  # what the page itself is made of
    assert sorted(address for address in served - inner if f" {address}" not in text) == []


def raised() -> Iterator[tuple[str, str, ast.expr]]:
    """(file and line, class, first argument) of every error of ours that is made anywhere."""
    for room in ("core", "train", "explorer"):
        for path in sorted((ROOT / room).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Call) and node.args:
                    name = getattr(node.func, "id", getattr(node.func, "attr", ""))
                    if name in KINDS | {"SettingError"}:
                        yield f"{path.relative_to(ROOT).as_posix()}:{node.lineno}", name, node.args[0]


def words(node: ast.expr) -> str:
    """The text of a literal or f-string, a placeholder for what is filled in."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(words(part) for part in node.values)
    return PLACEHOLDER


def first_words(sentence: str) -> str:
    """The first three words in a row that are not filled in; empty where there are no two."""
    for part in re.split(rf"[:({PLACEHOLDER}]", sentence.split(";")[0]):
        found = re.findall(r"[\w.'/-]+", part)
        if len(found) > 1:
            return " ".join(found[:3])
    return ""


def test_every_error_is_in_the_manual() -> None:
    text = " ".join(re.findall(r"[\w.'/-]+", DOCS["errors.md"]))
    absent = []
    for place, kind, argument in raised():
        said = words(argument)
        if kind == "SettingError":
            named = said if PLACEHOLDER not in said else ""
            if named and f"`{named}`" not in DOCS["errors.md"]:
                absent.append(f"{place}: the field {named}")
        elif first_words(said) not in text:
            absent.append(f"{place}: {first_words(said)}")
    assert absent == []


def commands(text: str) -> list[str]:
    """The command lines of a page's shell blocks."""
    blocks = re.findall(r"^```bash\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


EXAMPLES = sorted({line for text in DOCS.values() for line in commands(text) if line.startswith("python ")})


@pytest.mark.parametrize("line", EXAMPLES)
def test_an_example_can_be_typed(line: str) -> None:
    program, *rest = shlex.split(line)[1:]
    if program == "-m":
        program, *rest = rest
    if program == "app.py":
        app.parser().parse_args(rest)
    elif program == "explorer":
        explorer.parser().parse_args(rest)
    elif program == "train.metrics":
        metrics_parser().parse_args(rest)
    elif program == "train":
        train_parser().parse_args(rest)
    elif program == "train.prepare":
        prepare_parser().parse_args(rest)
    elif program == "train.travel":
        travel_parser().parse_args(rest)
    else:
        assert program in ("pytest", "venv") or (ROOT / program).is_file(), f"{line}: no such command"


def test_ci_follows_the_readme() -> None:
    run = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    told = [part.strip() for line in commands(DOCS["README.md"]) for part in line.split("&&")]
    for command in ("pip install -r requirements.txt", "pip install -r requirements-dev.txt"):
        assert command in told and command.replace("install", "install -q") in run
    assert "python app.py" in told and '"app.py", "--no-browser"' in run
    assert run.rstrip().splitlines()[-1] == "STYLOSCOPE_BROWSER=required python -m pytest -n 2"
    assert "python -m pytest -n 2" in told


def test_the_readmes_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    torch.manual_seed(0)
    config = core.GeneratorConfig(
        size=(16, 16), channels=1, z_dim=8, w_dim=8, filters=(8, 8, 8), start=(4, 4), mapping_layers=1
    )
    core.save(tmp_path / "checkpoints" / "brain.safetensors", core.build_generator(config))
    monkeypatch.chdir(tmp_path)
    blocks = re.findall(r"^```python\n(.*?)^```", DOCS["README.md"], re.MULTILINE | re.DOTALL)
    exec(compile(next(block for block in blocks if "core.load" in block), "README.md", "exec"), {})
    assert core.pictures.read(tmp_path / "seed7.png").shape == (16, 16)


def test_links_and_pictures_are_there() -> None:
    """Links between the pages, headings included; pictures are looked at as files."""
    broken = []
    for name, text in DOCS.items():
        folder = ROOT if name == "README.md" else ROOT / "docs"
        for target in re.findall(r"\]\(([^)\s]+)\)", text):
            path, _, heading = target.partition("#")
            if ":" in path:
                continue
            page = folder / path if path else folder / name
            if not page.exists() or (heading and heading not in slugs(page)):
                broken.append(f"{name}: {target}")
    assert broken == []


def slugs(page: Path) -> set[str]:
    """The anchors of a page's headings, as the usual renderers make them."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_room_is_on_the_map() -> None:
    """The file names of docs/architecture.md are there, and every file of core, train and explorer is among them."""
    drawing = section(DOCS["architecture.md"], "## Rooms").split("```")[1]
    drawn = set(re.findall(r"\b(\w+\.py)\b", drawing))
    there = {path.name for room in ("core", "train", "explorer") for path in (ROOT / room).glob("*.py")}
    there -= {"__init__.py"}
    web = {path.name for path in (ROOT / "explorer" / "web").glob("*.py")}
    assert sorted(there - drawn) == []
    assert sorted(drawn - there - web - {"app.py"}) == []


def test_the_file_format() -> None:
    for field in ("format", "arch", "config", "training", "picture", "credit"):
        assert f"| `{field}` |" in DOCS["files.md"]
    known = {field.name for field in dataclasses.fields(core.GeneratorConfig)}
    (row,) = re.findall(r"^\| `config` \|(.+)$", DOCS["files.md"], re.MULTILINE)
    assert set(re.findall(r"`(\w+)`", row)) - {"discriminator"} <= known


LINKS = [
    (name, link)
    for name, text in sorted(DOCS.items())
    for link in re.findall(r"\(http://127\.0\.0\.1:7860/(\?[^)]*)\)", text)
]


@pytest.mark.parametrize(("name", "link"), LINKS, ids=lambda value: value[:40])
def test_a_link_into_the_page_opens_a_picture_and_a_panel(name: str, link: str) -> None:
    query = parse_qs(link.removeprefix("?"), strict_parsing=True)
    assert set(query) <= {"recipe", "panel"}
    if "recipe" in query:
        recipe = Recipe.parse(schema.loads(query["recipe"][0]))
        assert recipe.checkpoint is None or (ROOT / "checkpoints" / f"{recipe.checkpoint}.safetensors").is_file()
    assert {word.lower() for word in query.get("panel", [])} <= {panel for panel, _ in found_panels()}


def test_the_lesson_takes_as_long_as_it_says() -> None:
    minutes = re.findall(r"^\| \[\d\]\(#\S+\) \| (\d+) \|", DOCS["lesson.md"], re.MULTILINE)
    assert len(minutes) == 8 and sum(map(int, minutes)) == 45
