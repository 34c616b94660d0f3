"""The rules of the house: which room imports what, how long a file may be, and what never stands in one."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("core", "train", "explorer", "benchmarks", "tests")
MOST_LINES = 500
TEXT = {".py", ".js", ".css", ".html", ".svg", ".md", ".toml", ".txt", ".sh", ""}
# Imported late: slow, absent on some machines, or broken beside a CPU build of torch.
LATE = {"torchvision", "umap", "av", "numba", "sklearn", "nibabel", "pydicom"}
# What a distribution on the left gives to import besides its own name.
BRINGS = {
    "gradio": {"gradio_client", "fastapi", "starlette", "uvicorn"},
    "umap-learn": {"umap"},
    "pillow": {"PIL"},
    "markdown-it-py": {"markdown_it"},
    "import-linter": {"importlinter"},
}


def files(*suffixes: str) -> list[Path]:
    """The project's own files with one of the suffixes."""
    found = [path for path in ROOT.iterdir() if path.is_file()]
    for room in (*ROOMS, "docs", ".ci"):
        found += [path for path in (ROOT / room).rglob("*") if path.is_file() and not is_cache(path, ROOT / room)]
    return sorted(path for path in found if path.suffix in suffixes)


def is_cache(path: Path, room: Path) -> bool:
    return any(part.startswith(".") or part == "__pycache__" for part in path.relative_to(room).parts)


def named(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def imports(path: Path, *, module_level: bool) -> Iterator[str]:
    """The first word of every module that a file imports, anywhere or only when it is itself imported."""
    waiting: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while waiting:
        node = waiting.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]
        if module_level and isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda):
            continue
        waiting.extend(ast.iter_child_nodes(node))


def modules(*rooms: str) -> list[str]:
    found = []
    for room in rooms:
        for path in sorted((ROOT / room).rglob("*.py")):
            parts = path.relative_to(ROOT).with_suffix("").parts
            found.append(".".join(parts[:-1] if parts[-1] == "__init__" else parts))
    return [name for name in found if not name.endswith("__main__")]


def run_without(blocked: set[str], names: list[str]) -> subprocess.CompletedProcess[str]:
    """Import `names` in a fresh Python in which the modules of `blocked` cannot be imported."""
    code = (
        "import importlib, sys\n"
        f"sys.modules.update(dict.fromkeys({sorted(blocked)!r}))\n"
        f"for name in {names!r}:\n    importlib.import_module(name)\n"
    )
    return subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, encoding="utf-8", check=False
    )


def test_core_and_train_need_no_screen() -> None:
    screen = {"gradio", "gradio_client", "fastapi", "starlette", "uvicorn", "plotly", "markdown_it"}
    done = run_without(screen | LATE, modules("core", "train"))
    assert done.returncode == 0, done.stderr


def test_the_command_line_needs_no_screen() -> None:
    verbs = [name for name in modules("explorer") if not name.startswith("explorer.web")]
    done = run_without({"gradio", "gradio_client", "fastapi", "uvicorn"} | LATE, verbs)
    assert done.returncode == 0, done.stderr


def test_the_page_imports_what_is_slow_late() -> None:
    done = run_without(LATE, [*modules("explorer"), "app"])
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("path", files(".py"), ids=named)
def test_module_level_imports(path: Path) -> None:
    early = LATE & set(imports(path, module_level=True))
    assert not early, f"{named(path)} imports {', '.join(sorted(early))} at its top; do it inside the function"


def test_every_import_is_a_declared_dependency() -> None:
    allowed = set(sys.stdlib_module_names) | set(ROOMS) | {"app"}
    for list_name in ("requirements.txt", "requirements-dev.txt"):
        for line in (ROOT / list_name).read_text(encoding="utf-8").splitlines():
            if found := re.match(r"[A-Za-z][\w-]*", line):
                allowed |= BRINGS.get(found[0], set()) | {found[0].replace("-", "_")}
    imported = {(named(path), name) for path in files(".py") for name in imports(path, module_level=False)}
    assert sorted((path, name) for path, name in imported if name not in allowed) == []


def circle(arrows: dict[str, set[str]]) -> list[str]:
    """A way along the arrows that ends where it begins, or nothing."""
    done: set[str] = set()
    for start in arrows:
        way, waiting = [start], [iter(sorted(arrows[start]))]
        while way and start not in done:
            following = next(waiting[-1], None)
            if following in way:
                return [*way[way.index(following) :], following]
            if following is None:
                done.add(way.pop())
                waiting.pop()
            elif following not in done:
                way.append(following)
                waiting.append(iter(sorted(arrows[following])))
    return []


def imported_files(path: Path, known: dict[str, str]) -> set[str]:
    """The modules of `known` that a Python file imports, late ones and those for annotations alone too."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}
            found |= inner if inner <= known.keys() else inner | {node.module}
    return {known[name] for name in found & known.keys()} - {named(path)}


def test_circle_finds_one() -> None:
    assert circle({"a": {"b", "c"}, "b": {"c"}, "c": set()}) == []
    assert circle({"a": {"b"}, "b": {"c"}, "c": {"d"}, "d": {"b"}}) == ["b", "c", "d", "b"]


def test_no_file_imports_one_that_imports_it() -> None:
    rooms = [path for path in files(".py") if named(path).startswith(("core/", "train/", "explorer/"))]
    known = {named(path).removesuffix(".py").removesuffix("/__init__").replace("/", "."): named(path) for path in rooms}
    assert circle({named(path): imported_files(path, known) for path in rooms}) == []
    imported = re.compile(r"""^(?:import|export)\b[^;"']*["']\./([\w.]+)["']""", re.MULTILINE)
    scripts = {path.name: set(imported.findall(path.read_text(encoding="utf-8"))) for path in files(".js")}
    assert scripts["stage.js"] >= {"frames.js", "shelf.js"}
    assert circle({name: found & scripts.keys() for name, found in scripts.items()}) == []


def test_no_file_is_too_long_to_hold_in_the_head() -> None:
    code = files(".py", ".js", ".css", ".html")
    lengths = {named(path): len(path.read_text(encoding="utf-8").splitlines()) for path in code}
    assert {name: lines for name, lines in lengths.items() if lines > MOST_LINES} == {}
    assert lengths["app.py"] < 60


def test_nothing_prints_but_commands() -> None:
    """What the core and the page have to say they return or raise; only command lines print."""
    printing = {
        named(path)
        for path in files(".py")
        if named(path).startswith(("core/", "explorer/web/"))
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "print"
    }
    assert printing <= {"core/command.py"}
    scripts = {named(path): path.read_text(encoding="utf-8") for path in files(".js")}
    assert [name for name, text in scripts.items() if re.search(r"console\.log|debugger", text)] == []


def test_no_path_of_a_machine() -> None:
    machine = re.compile(r"/(?:root|home/\w+|Users/\w+|work)/|[A-Z]:\\\\Users")
    found = [
        f"{named(path)}:{number}: {line.strip()[:100]}"
        for path in files(*TEXT)
        if path != Path(__file__)
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), start=1)
        if machine.search(line)
    ]
    assert found == []


def test_the_page_fetches_nothing_from_elsewhere() -> None:
    """Addresses in scripts, styles and markup are our own; the name of the SVG language is no address."""
    remote = re.compile(r"(?:https?:)?//(?!www\.w3\.org/)[a-z0-9-]+(?:\.[a-z0-9-]+)+", re.IGNORECASE)
    found = [
        f"{named(path)}:{number}: {line.strip()[:100]}"
        for path in files(".js", ".css", ".html", ".svg")
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), start=1)
        if remote.search(line)
    ]
    assert found == []


def test_every_text_file_is_utf8_and_ends_its_last_line() -> None:
    for path in files(*TEXT):
        text = path.read_text(encoding="utf-8")
        assert not text or (text.endswith("\n") and "\r" not in text), named(path)
