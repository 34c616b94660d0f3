"""What people elsewhere read where a text names a path of this machine: its last part, whatever tells it."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio")

from fastapi import FastAPI
from gradio_client import Client
from gradio_client.exceptions import AppError
from PIL import Image
from starlette.testclient import TestClient

import core
from core.errors import SettingError, StyloscopeError
from explorer.studio import Studio
from explorer.web import build
from explorer.web.jobs import Jobs
from explorer.web.places import bare, bare_command, bare_training, called, last_part, without
from explorer.web.training_routes import add_training_routes
from explorer.web.trainings import LONGEST_LINE, Trainings
from tests.explorer.conftest import served, toy, until

HERE, ELSEWHERE = ("127.0.0.1", 50000), ("192.0.2.9", 50000)
DAMAGED = "deep/other.points/bent.safetensors is a file of another program; a point that Styloscope wrote is accepted"


@pytest.fixture
def far(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A network far from the folders of the explorer, with a damaged point and a damaged direction beside it."""
    path = toy(tmp_path / "far away" / "deep" / "other.safetensors", seed=4)
    for kind in ("points", "directions"):
        path.with_suffix(f".{kind}").mkdir()
        (path.with_suffix(f".{kind}") / "bent.safetensors").write_bytes(b"hello, this is none")
    for name in ("XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.setenv(name, str(tmp_path / "cache"))
    return path


def app_of(tmp_path: Path, far: Path, **more: Any) -> FastAPI:
    toy(tmp_path / "checkpoints" / "brain.safetensors")
    (tmp_path / "runs").mkdir(exist_ok=True)
    studio = Studio(tmp_path / "checkpoints", tmp_path / "runs", device="cpu")
    name = studio.prefer(str(far))
    return build(studio, folders=(tmp_path / "checkpoints", tmp_path / "runs"), checkpoint=name, **more)


def test_a_network_opened_by_its_path_is_told_by_its_folder(tmp_path: Path, far: Path) -> None:
    recipe = json.dumps({"checkpoint": "other", "point": "bent"})
    with TestClient(app_of(tmp_path, far), base_url="http://127.0.0.1:7860") as client:
        for address in (f"/frame?recipe={recipe}", "/points/bent/file?checkpoint=other"):
            answer = client.get(address)
            assert (answer.status_code, answer.json()) == (400, {"error": DAMAGED}), address
        answer = client.get("/directions/bent/file?checkpoint=other")
        assert answer.json()["error"].startswith("deep/other.directions/bent.safetensors is a file of")
        # What a job's own process says of it.
        wish = {"verb": "bilinear", "recipes": [json.loads(recipe)] * 4, "steps": 2}
        address = f"/jobs/{client.post('/jobs', json=wish).json()['id']}"
        until(lambda: client.get(address).json()["state"] not in ("waiting", "running"), seconds=120)
        assert client.get(address).json()["error"] == DAMAGED


def test_gradios_clients_read_the_same(tmp_path: Path, far: Path) -> None:
    own = tmp_path / "checkpoints" / "brain.points"
    with served(app_of(tmp_path, far)) as address:
        own.mkdir()
        (own / "bent.safetensors").write_bytes(b"hello, this is none")
        client = Client(address, verbose=False)
        for checkpoint, sentence in (("other", DAMAGED), ("brain", DAMAGED.replace("deep/other", "checkpoints/brain"))):
            with pytest.raises(AppError) as caught:
                client.predict(recipe={"checkpoint": checkpoint, "point": "bent"}, api_name="/render")
            assert str(caught.value) == sentence


def test_a_set_given_on_the_command_line_is_told_by_its_name(tmp_path: Path, far: Path) -> None:
    pictures = tmp_path / "patients" / "heads"
    pictures.mkdir(parents=True)
    for number in range(3):
        Image.new("L", (12, 14), number).save(pictures / f"{number}.png")
    app = app_of(tmp_path, far, data=[pictures])
    with TestClient(app, base_url="http://127.0.0.1:7860") as client:
        os.rename(pictures, tmp_path / "patients" / "gone")
        said = client.post("/nearest", json={"checkpoint": "other", "seed": 1}).json()["error"]
    assert said.startswith("heads ") and str(tmp_path) not in said


def test_the_last_words_of_a_program_that_broke_down(tmp_path: Path) -> None:
    words = f"{tmp_path}/venv/lib/umap.py:12: UserWarning: see https://umap.example/docs and '{tmp_path}/a b/c'"
    program = f"import sys; print({words!r}, file=sys.stderr); sys.exit(3)"
    jobs = Jobs(program=(sys.executable, "-c", program))
    with closing(jobs), pytest.raises(StyloscopeError) as caught:
        identity = jobs.submit("map", {})
        until(lambda: jobs.status(identity)["state"] == "failed")
        jobs.file(identity)
    assert str(caught.value) == "umap.py:12: UserWarning: see https://umap.example/docs and 'c'"


def test_the_header_of_a_network_says_no_folders_elsewhere(tmp_path: Path, far: Path) -> None:
    opened = core.load(far)
    said = "python -m train --data /srv/patients/heads.zip --out=/srv/runs/brain --kimg 4"
    about = {"training": {"command": said, "data": "heads.zip", "images_seen": 4}, "credit": "made by a test"}
    core.save(far, opened.generator, about=about)
    app = app_of(tmp_path, far)
    for client, told in ((HERE, said), (ELSEWHERE, "python -m train --data heads.zip --out=brain --kimg 4")):
        talking = TestClient(app, base_url="http://127.0.0.1:7860", client=client)
        training = talking.get("/about?checkpoint=other").json()["training"]
        assert training == {"command": told, "data": "heads.zip", "images_seen": 4}


# --- trainings ---------------------------------------------------------------------------------------------------

TRAINER = """
import sys
given = dict(flag[2:].split("=", 1) for flag in sys.argv[1:] if "=" in flag)
sys.exit(print("error: " + given["data"] + " holds 0 pictures; see", given["out"], "/opt/x.py", file=sys.stderr) or 2)
"""


@pytest.fixture
def trainings(tmp_path: Path) -> Iterator[Trainings]:
    run = tmp_path / "runs" / "brain"
    run.mkdir(parents=True)
    settings = {
        "kimg": 8,
        "data": "../shared/my heads.zip",
        "init": "/srv/a.pt",
        "credit": "thanks, https://a.example/b",
    }
    (run / "config.json").write_text(json.dumps({**settings, "resolved": {"device": "cpu 1/2"}}), encoding="utf-8")
    command = f"python -m train --data '{tmp_path}/my heads.zip' --out {run} --kimg 8\npython -m train --out '{run}"
    (run / "command.txt").write_text(command, encoding="utf-8")
    lines = {"kimg": 1, "seconds": 1, "warnings": [f"{tmp_path}/x could not be read"]}
    (run / "log.jsonl").write_text(json.dumps(lines) + "\n", encoding="utf-8")
    started = Trainings(runs=tmp_path / "runs", program=(sys.executable, "-c", TRAINER))
    yield started
    started.close()


def talking_to(trainings: Trainings, address: tuple[str, int], *, host: str = "127.0.0.1") -> TestClient:
    app = FastAPI(openapi_url=None)
    add_training_routes(app, trainings=trainings, host=host)
    return TestClient(app, base_url="http://127.0.0.1:7860", client=address)


@pytest.mark.parametrize("long", [0, 400])
def test_who_started_a_training_here_reads_where_its_pictures_lie(
    trainings: Trainings, tmp_path: Path, long: int
) -> None:
    data = tmp_path / "my patients" / ("x" * 200 if long else "y") / ("x" * 200 if long else "y") / "heads"
    here, elsewhere = talking_to(trainings, HERE), talking_to(trainings, ELSEWHERE)
    assert here.post("/training", json={"name": "try", "data": str(data)}).status_code == 202
    until(lambda: here.get("/training").json()["own"]["state"] == "failed")
    told = f"{data} holds 0 pictures; see {tmp_path / 'runs' / 'try'} /opt/x.py"[:LONGEST_LINE]
    bare_told = "heads holds 0 pictures; see runs/try x.py"
    for client, sentence in (
        (here, told),
        (elsewhere, bare_told),
        (talking_to(trainings, HERE, host="0.0.0.0"), bare_told),
    ):
        for own in (
            client.get("/training").json()["own"],
            client.delete("/training").json()["own"],
            client.get("/training/run?run=brain").json()["own"],
        ):
            assert own["error"] == sentence and own["line"].removeprefix("error: ").startswith(sentence[:280])


def test_a_run_tells_no_folders_elsewhere(trainings: Trainings, tmp_path: Path) -> None:
    here, elsewhere = (
        talking_to(trainings, client).get("/training/run?run=brain").json()["facts"] for client in (HERE, ELSEWHERE)
    )
    assert str(tmp_path) in here["command"] and ["data", "../shared/my heads.zip"] in here["config"]
    assert str(tmp_path) in here["warning"]
    assert elsewhere["command"] == "python -m train --data 'my heads.zip' --out brain --kimg 8"
    assert elsewhere["warning"] == "x could not be read"
    assert elsewhere["config"] == [
        ["kimg", "8"], ["data", "my heads.zip"], ["init", "a.pt"], ["credit", "thanks, https://a.example/b"],
        ["resolved device", "cpu 1/2"],
    ]  # fmt: skip
    rest = {"command", "config", "warning"}
    assert {key: here[key] for key in here.keys() - rest} == {key: elsewhere[key] for key in elsewhere.keys() - rest}


def test_long_texts_of_a_run_are_cut_after_they_are_shortened(trainings: Trainings, tmp_path: Path) -> None:
    """A path that is cut in its middle would end in the name of a folder."""
    run, secret = tmp_path / "runs" / "brain", "/srv/" + "secret " * 60
    config = json.loads((run / "config.json").read_text(encoding="utf-8"))
    config |= {"data": f"{secret}/heads.zip", "only": f"'{secret}/x*'", "credit": "c" * 500}
    (run / "config.json").write_text(json.dumps(config), encoding="utf-8")
    command = f"python -m train --data '{secret}/heads.zip' --out runs/brain --kimg "
    for most in (30, 400):
        (run / "command.txt").write_text("\n".join(f"{command}{k}" for k in range(most)) + "\n", encoding="utf-8")
        here, elsewhere = (
            talking_to(trainings, client).get("/training/run?run=brain").json()["facts"] for client in (HERE, ELSEWHERE)
        )
        assert "secret" not in json.dumps(elsewhere)
        lines = elsewhere["command"].splitlines()
        assert {re.sub(r"[0-9]+$", "", line) for line in lines} == {
            "python -m train --data heads.zip --out brain --kimg "
        }
        newest = int(lines[-1].rsplit(" ", 1)[1])
        assert newest == 29 if most == 30 else newest > 29
        told = dict(map(tuple, elsewhere["config"]))
        assert told["data"] == "heads.zip" and told["only"] == "'x*'" and told["credit"] == "c" * 200
        assert secret.strip() in here["command"] and len(here["command"]) <= 2000


# --- the words ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("12% 48/400 [00:01<00:09, 3.1 images/s]", "12% 48/400 [00:01<00:09, 3.1 images/s]"),
        ("see runs/brain, and/or ../x", "see runs/brain, and/or ../x"),
        ("wrote /srv/runs/a/000012.safetensors", "wrote 000012.safetensors"),
        ("at (/srv/x.py:3), --out=/srv/runs/", "at (x.py:3), --out=runs"),
        ("gcc -I/srv/p/x and file:///srv/p/a.zip", "gcc -Ix and file:a.zip"),
        ("//srv/p/a.zip, \\\\nas\\p\\b.zip", "a.zip, b.zip"),
        ('no such folder: "/srv/anna\'s patients/heads"', 'no such folder: "heads"'),
        (r"C:\Users\anna\heads.zip is gone", "heads.zip is gone"),
        ("~/heads and ~anna/secret/heads", "heads and heads"),
        ("[Errno 2] No such file: '/srv/my patients/heads'", "[Errno 2] No such file: 'heads'"),
        ("https://a.example/b/c and http://127.0.0.1:7860/x", "https://a.example/b/c and http://127.0.0.1:7860/x"),
        ("a / b", "a / b"),
        ("", ""),
    ],
)
def test_paths_in_a_text(text: str, told: str) -> None:
    assert bare(text) == told


def test_paths_in_a_command() -> None:
    assert bare_command("/srv/venv/bin/python -m train --data=/a/b --out 'c/d e' -x/y/z A=/b/c") == (
        "python -m train --data=b --out 'd e' z c"
    )
    assert (
        bare_command(r'python -m train --data "C:\my patients\heads" --kimg 4')
        == "python -m train --data heads --kimg 4"
    )
    credit = "python -m train --credit 'Anna, https://a.example/b' --data=file:///srv/a.zip"
    assert bare_command(credit) == "python -m train --credit 'Anna, https://a.example/b' --data=file:a.zip"
    assert bare_command("python 'never closed /srv/secret\npython x") == "python x"
    assert bare_training({"command": ["python", "--data=/a/b", 3], "data": "/a/b"}) == {
        "command": ["python", "--data=b", "3"], "data": "b",
    }  # fmt: skip
    assert bare_training([]) == [] and bare_training({}) == {}
    assert [last_part(one) for one in ("/", "a", "a/", r"a\b", "/a//")] == ["/", "a", "a", "b", "a"]


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_places_are_found_however_they_are_spelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    deep = tmp_path / ("a  b" * 30) / "heads"
    deep.mkdir(parents=True)
    os.symlink(deep, tmp_path / "link")
    os.symlink("round", tmp_path / "round")
    monkeypatch.chdir(deep.parent)
    names = called([Path("heads"), Path(".."), tmp_path / "link", tmp_path / "round", Path("/"), Path(".")])
    assert "heads" not in names and "/" not in names and ".." not in names
    for text, told in (
        (f"{deep}/x is damaged", "link/x is damaged"),
        (" ".join(f"{deep}/x is damaged".split()), "link/x is damaged"),
        (f"{tmp_path}/round", "round"),
        (f"{tmp_path}/x", f"{tmp_path.name}/x"),
        (str(SettingError("data", f"{deep}/x", "a folder")), "data cannot be 'link...': a folder"),
    ):
        found = without(text, names)
        assert found in (told, told.replace("link", "heads")), found
