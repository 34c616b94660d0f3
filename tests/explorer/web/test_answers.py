"""What every address does alike: one way to refuse, nothing about where folders lie, a share of the queue."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest.importorskip("gradio")

from gradio.context import LocalContext
from gradio_client import Client
from gradio_client.exceptions import AppError
from starlette.applications import Starlette
from starlette.testclient import TestClient

from core.errors import CheckpointError, OutputError
from explorer.studio import Studio
from explorer.web import build, trainings
from explorer.web import jobs as queue
from explorer.web.answers import Refusals, hide_places, telling, visitor
from explorer.web.job_routes import add_job_routes
from explorer.web.jobs import Jobs
from tests.explorer.conftest import served, toy
from tests.explorer.web.test_jobs import BRAIN

WEB = Path(trainings.__file__).parent
SLOW = (sys.executable, "-c", "import time; time.sleep(300)")


@pytest.fixture
def house(tmp_path: Path) -> Path:
    toy(tmp_path / "secret" / "checkpoints" / "brain.safetensors")
    (tmp_path / "secret" / "checkpoints" / "broken.safetensors").write_text("hello", encoding="utf-8")
    (tmp_path / "secret" / "runs").mkdir()
    return tmp_path / "secret"


def studio_of(house: Path) -> Studio:
    return Studio(house / "checkpoints", house / "runs", device="cpu")


@pytest.fixture
def talking(house: Path) -> Iterator[TestClient]:
    app = build(studio_of(house), folders=(house / "checkpoints", house / "runs"))
    with TestClient(app, base_url="http://127.0.0.1:7860") as client:
        yield client


@pytest.mark.parametrize(
    "address",
    [
        "/about?checkpoint={}", "/map?checkpoint={}", "/points?checkpoint={}",
        '/frame?recipe={{"checkpoint":"{}"}}', '/layers?recipe={{"checkpoint":"{}"}}',
    ],
)  # fmt: skip
def test_where_folders_lie_is_not_told(talking: TestClient, house: Path, address: str) -> None:
    answer = talking.get(address.format("none"))
    assert (answer.status_code, answer.json()) == (
        400, {"error": "there is no network 'none' in checkpoints or runs; there is brain, broken"},
    )  # fmt: skip
    said = talking.get(address.format("broken")).json()["error"]
    assert said.startswith("checkpoints/broken.safetensors is ") and str(house) not in said
    for name in ("brain", "broken"):
        (house / "checkpoints" / f"{name}.safetensors").unlink()
    said = talking.get(address.format("brain")).json()["error"]
    assert said.startswith("there is no network in checkpoints or in runs: ")


def test_gradios_clients_are_not_told_either(house: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Their jobs are counted by who asks, too."""
    asked: list[str] = []

    def seen() -> str | None:
        request = LocalContext.request.get(None)
        asked.append(request.client.host if request is not None else "nobody")
        return visitor()

    monkeypatch.setattr(queue, "visitor", seen)
    with served(build(studio_of(house), folders=(house / "checkpoints", house / "runs"))) as address:
        client = Client(address, verbose=False)
        with pytest.raises(AppError, match="there is no network 'none' in checkpoints or runs"):
            client.predict(seeds="3", checkpoint="none", api_name="/render")
        assert client.predict(rows="0", columns="1", layers="1", api_name="/mix")
    assert asked == ["127.0.0.1"]


def test_on_the_command_line_the_path_stays(house: Path) -> None:
    studio = studio_of(house)
    with pytest.raises(CheckpointError, match=re.escape(str(house / "checkpoints"))):
        studio.network("none")
    with pytest.raises(CheckpointError, match=re.escape(str(house / "checkpoints" / "broken.safetensors"))):
        studio.network("broken")
    studio.be_discreet()
    assert str(house) in studio.nothing()  # which only the terminal shows
    path = house / "checkpoints" / "brain.safetensors"
    network = studio.network("brain")
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(CheckpointError, match="^checkpoints/brain.safetensors is truncated"):
        studio._room(network)


def test_whatever_else_is_refused_hides_them(house: Path) -> None:
    async def wrong(request: object) -> dict[str, object]:
        raise OutputError(f"{house / 'checkpoints'} is full, {house / 'runs' / 'a.png'} too; free space in {house}")

    app = Starlette()
    app.router.add_route("/full", telling(wrong), methods=["GET"])
    hide_places(app, [house / "checkpoints", house / "runs", Path("/")])
    app.add_middleware(Refusals)
    answer = TestClient(app).get("/full")
    assert (answer.status_code, answer.json()) == (
        400, {"error": f"checkpoints is full, runs/a.png too; free space in {house}"},
    )  # fmt: skip


def test_there_is_one_way_to_refuse_and_one_list_of_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    for file in WEB.glob("*routes.py"):
        assert "except StyloscopeError" not in file.read_text(encoding="utf-8"), file.name
    monkeypatch.setattr(trainings, "is_device", lambda name: name == "harmless")
    with pytest.raises(trainings.SettingError, match="name cannot be 'harmless'"):
        trainings.checked_name("harmless", runs=Path("none"))


def test_no_other_machine_takes_all_of_the_queue() -> None:
    def submitted(address: str) -> tuple[int, str]:
        client = TestClient(app, client=(address, 5000))
        answer = client.post("/jobs", json={"verb": "map"})
        return answer.status_code, answer.json().get("error", "")

    with closing(Jobs(program=SLOW, most=6)) as jobs:
        app = Starlette()
        add_job_routes(app, jobs=jobs, check=lambda recipe: BRAIN)
        app.add_middleware(Refusals)
        assert [submitted("192.0.2.7")[0] for _ in range(3)] == [202] * 3
        full = "long jobs are under way already; wait for one, or cancel one"
        assert submitted("192.0.2.7") == (400, f"3 {full}")
        assert submitted("192.0.2.8")[0] == 202
        assert [submitted(one)[0] for one in ("127.0.0.1", "::1")] == [202, 202], "who sits here has all that is left"
        assert submitted("192.0.2.8") == submitted("127.0.0.1") == (400, f"6 {full}")
        jobs.cancel(next(iter(jobs._jobs)))
        assert submitted("192.0.2.7")[0] == 202, "one of theirs is over"


def test_who_asks_by_way_of_gradio() -> None:
    token = LocalContext.request.set(SimpleNamespace(client=SimpleNamespace(host="192.0.2.7")))  # type: ignore[arg-type]
    try:
        assert visitor() == "192.0.2.7"
    finally:
        LocalContext.request.reset(token)
    assert visitor() is None
