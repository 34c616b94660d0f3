"""The Training panel's addresses: what they read of a run that is written meanwhile, and whom they let start one."""

from __future__ import annotations

import io
import json
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("gradio")

from fastapi import FastAPI
from PIL import Image
from starlette.testclient import TestClient

from core.errors import OutputError, SettingError
from explorer import following
from explorer.web.guard import Guard, Login
from explorer.web.training_routes import add_training_routes
from explorer.web.trainings import Trainings, checked_path
from tests.explorer.conftest import until

SHEET = io.BytesIO()
Image.new("L", (8, 4)).save(SHEET, "png")
HERE = ("127.0.0.1", 50000)
TRAINER = """
import os, pathlib, signal, sys, time
given = dict(flag[2:].split("=", 1) for flag in sys.argv[1:] if "=" in flag)
if given["data"] == "nowhere":
    print("reading the pictures\\r 3%", end="", file=sys.stderr)
    sys.exit(print("\\nerror: there is no folder nowhere", file=sys.stderr) or 2)
out = pathlib.Path(given["out"])
stop = []
signal.signal(signal.SIGTERM, lambda *_: stop.append(1) if given["size"] == "32" else None)
out.mkdir(parents=True)
(out / "config.json").write_text('{"kimg": 0.4}')
(out / "nice").write_text(str(os.getpriority(os.PRIO_PROCESS, 0)))
print("\\x1b[1m 12%\\x1b[0m 48/400", end="", file=sys.stderr, flush=True)
while not stop or (out / "saving").exists():
    time.sleep(0.02)
print("\\rstopped at 0.048 kimg", file=sys.stderr)
"""


def line(kimg: float, **more: Any) -> str:
    return json.dumps({"kimg": kimg, "seconds": 10 * kimg, "images_per_second": 100.0, "loss_g": kimg, **more}) + "\n"


@pytest.fixture
def runs(tmp_path: Path) -> Path:
    """A folder with the run `brain`: three lines and the half of a fourth, two sheets, one measure."""
    run = tmp_path / "runs" / "brain"
    (run / "samples").mkdir(parents=True)
    (run / "checkpoints").mkdir()
    (run / "config.json").write_text('{"kimg": 8, "seed": 0, "resolved": {"size": [8, 8]}}', encoding="utf-8")
    (run / "command.txt").write_text("python -m train --data x --out runs/brain\n", encoding="utf-8")
    (run / "log.jsonl").write_text("".join(map(line, (1, 2, 3))) + line(4)[:20], encoding="utf-8")
    figures = {"fid": {"extractor": "own", "n": 64, "seed": 0, "value": 30.5, "real": 2.0, "noise": 300.0}}
    measured = {"kimg": 2, "checkpoint": "000002.safetensors", "seconds": 3.0, "figures": figures}
    (run / "metrics.jsonl").write_text(json.dumps(measured) + "\n", encoding="utf-8")
    (run / "checkpoints" / "000002.safetensors").write_bytes(b"")
    for number in (1, 2):
        (run / "samples" / f"{number:06d}.png").write_bytes(SHEET.getvalue())
    return tmp_path / "runs"


@pytest.fixture
def trainings(runs: Path) -> Iterator[Trainings]:
    started = Trainings(runs=runs, program=(sys.executable, "-c", TRAINER))
    yield started
    started.close()


def client_of(trainings: Trainings, *, host: str = "127.0.0.1", login: Login | None = None, **more: Any) -> TestClient:
    app = FastAPI(openapi_url=None)
    add_training_routes(app, trainings=trainings, host=host)
    app.add_middleware(Guard, host=host, login=login)
    return TestClient(app, base_url="http://127.0.0.1:7860", client=HERE, **more)


@pytest.fixture
def client(trainings: Trainings) -> TestClient:
    return client_of(trainings)


def look(client: TestClient, run: str = "brain", **places: str) -> dict[str, Any]:
    answer = client.get("/training/run", params={"run": run, **places})
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_a_run_is_told_once_and_then_only_what_is_new(client: TestClient, runs: Path) -> None:
    news = look(client)
    assert news["log"]["columns"]["kimg"] == [1, 2, 3] and news["log"]["fresh"]
    assert news["state"] == "running" and news["moments"][-1][0] == "000002"
    assert news["facts"]["kimg"] == 3 and news["facts"]["seconds_left"] == pytest.approx(50)
    assert news["facts"]["networks"] == ["000002"] and news["facts"]["command"].startswith("python -m train")
    assert ["resolved size", "[8, 8]"] in news["facts"]["config"]
    measured = news["metrics"]["columns"]
    assert (measured["fid.value"], measured["fid.real"], measured["fid.noise"]) == ([30.5], [2], [300])
    assert not {"fid.n", "fid.seed"} & set(measured)

    place = news["log"]["next"]
    again = look(client, log=place)["log"]
    assert again["columns"] == {} and again["next"] == place and not again["fresh"]
    with open(runs / "brain" / "log.jsonl", "a", encoding="utf-8") as log:
        log.write(line(4)[20:] + line(5, size=[16, 16]))
    later = look(client, log=place)["log"]
    assert later["columns"]["kimg"] == [4, 5] and later["steps"] == [[5, "16 × 16"]] and not later["fresh"]


def test_a_log_that_was_cut_back_and_written_on_is_read_anew(client: TestClient, runs: Path) -> None:
    place = look(client)["log"]["next"]
    (runs / "brain" / "log.jsonl").write_text("".join(map(line, (1, 2, 2.5, 3, 4))), encoding="utf-8")
    assert look(client, log=place)["log"]["fresh"]
    (runs / "brain" / "log.jsonl").write_text(line(1), encoding="utf-8")
    cut = look(client, log=place)["log"]
    assert cut["fresh"] and cut["columns"]["kimg"] == [1]
    (runs / "brain" / "log.jsonl").unlink()
    assert look(client, log=place)["log"] == {"columns": {}, "steps": [], "next": "", "fresh": True, "more": False}


@pytest.mark.parametrize(
    "place", ["12", "-1-00000000", "1e9-00000000", "9" * 20 + "-00000000", "1-0000000g", "٣-00000000"]
)
def test_a_place_that_nobody_gave_is_refused(client: TestClient, place: str) -> None:
    answer = client.get("/training/run", params={"run": "brain", "log": place})
    assert answer.status_code == 400 and answer.json()["error"].startswith("after cannot be")


def test_very_many_lines_become_few_points_that_keep_their_course(runs: Path) -> None:
    count = 9001
    sizes = ((8, None) if k < 5000 else (16, 5000.0) for k in range(count))
    entries = (
        line(k, size=size, r1=k if k % 3 == 0 else None, fade_from=begin, fade_to=begin and begin + 1)
        for k, (size, begin) in enumerate(sizes)
    )
    (runs / "brain" / "log.jsonl").write_text("".join(entries), encoding="utf-8")
    found = following.rows(runs / "brain", "log.jsonl")
    assert {len(column) for column in found.columns.values()} == {len(found.columns["kimg"])}
    assert len(found.columns["kimg"]) <= following.MOST_ROWS + 1
    assert found.columns["kimg"][-1] == found.columns["loss_g"][-1] == count - 1
    assert found.columns["kimg"][0] == pytest.approx(2) and found.columns["r1"][0] == pytest.approx(1.5)
    assert found.steps == [(0, "8 × 8"), (5000, "16 × 16")]
    assert set(found.columns["fade_from"]) == {None, 5000.0} and set(found.columns["fade_to"]) == {None, 5001.0}


def test_what_one_answer_reads_has_a_bound(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.runs.READ", 400)
    log = runs / "brain" / "log.jsonl"
    log.write_text("".join(map(line, range(40))), encoding="utf-8")
    first = following.rows(runs / "brain", "log.jsonl")
    assert first.columns["kimg"][-1] == 39 and len(first.columns["kimg"]) < 6 and not first.more
    with open(log, "a", encoding="utf-8") as added:
        added.write("".join(map(line, range(40, 60))))
    place, seen, more = first.next, [], True
    while more:
        part = following.rows(runs / "brain", "log.jsonl", after=place)
        place, more = part.next, part.more
        seen += part.columns["kimg"]
        assert not part.fresh
    assert seen == list(range(40, 60))
    log.write_bytes(b"x" * 5000)
    assert following.rows(runs / "brain", "log.jsonl").columns == {}


def test_lines_may_be_anything(client: TestClient, runs: Path) -> None:
    hostile = [
        '{"kimg": NaN, "loss_g": Infinity, "r1": 1e999}', "[" * 100_000, "[1]", "not json", "9" * 5000, '"text"',
        '{"kimg": 1' + "0" * 400 + "}", '{"<img src=x onerror=alert(1)>": 1, "kimg": 1, "loss_g": true}',
        '{"kimg": 2, "deep": ' + '{"a":' * 60 + "1" + "}" * 60 + "}", '{"size": [NaN, {}], "kimg": 3}', b"\xed\xa0\x80",
    ]  # fmt: skip
    text = b"\n".join(one if isinstance(one, bytes) else one.encode() for one in hostile) + b"\n"
    (runs / "brain" / "log.jsonl").write_bytes(text + line(4, warnings=["\x1b[31mlook\x00\n<b>", 3]).encode())
    (runs / "brain" / "config.json").write_text(
        '{"kimg": NaN, "\\ud800": ["\\ud800"], "x": ' + "[" * 5000, encoding="utf-8"
    )
    news = look(client)
    assert news["log"]["columns"]["kimg"] == [None, None, 1, 2, 3, 4]
    assert not any("<" in name for name in news["log"]["columns"])
    assert news["facts"]["warning"] == "[31mlook <b>" and news["facts"]["config"] == []
    (runs / "brain" / "config.json").write_text('{"kimg": NaN, "a\\ud800": ["\\ud800", NaN]}', encoding="utf-8")
    assert look(client)["facts"]["end"] is None


def test_the_best_network_and_what_the_measures_warn_of_are_told(client: TestClient, runs: Path) -> None:
    run = runs / "brain"
    assert look(client)["facts"]["best"] is None

    def measure(*lines: dict[str, Any]) -> None:
        (run / "metrics.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines), encoding="utf-8")

    stalled = {"kimg": 2.5, "warnings": ["no better swd in 5 rounds"]}
    measure(stalled)
    assert look(client)["facts"]["warning"] == "no better swd in 5 rounds"
    (run / "log.jsonl").write_text("".join(map(line, (1, 2))) + line(3, warnings=["samples look alike"]), "utf-8")
    assert look(client)["facts"]["warning"] == "samples look alike", "the later of the two"
    measure({**stalled, "kimg": 3.5})
    assert look(client)["facts"]["warning"] == "no better swd in 5 rounds"

    best = {"checkpoint": "000002.safetensors", "measure": "swd", "value": 6.125, "rank": 6.125, "kimg": 2.048}
    for file, known in (("000002.safetensors", "000002"), ("000009.safetensors", None), ("../config.json", None)):
        (run / "best.json").write_text(json.dumps({**best, "checkpoint": file}), encoding="utf-8")
        told = look(client)["facts"]["best"]
        assert told == (known and {"network": known, "measure": "swd", "value": 6.125, "kimg": 2.048})
    for damaged in ("", "[]", '{"checkpoint": "000002.safetensors", "measure": "swd", "value": NaN, "kimg": 2}'):
        (run / "best.json").write_text(damaged, encoding="utf-8")
        assert look(client)["facts"]["best"] is None
    (run / "best.json").write_text(json.dumps({**best, "kimg": 4}), encoding="utf-8")
    assert look(client)["facts"]["warning"] == "samples look alike", "a better network has come since"


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_links_out_of_a_run_are_not_followed(client: TestClient, runs: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    (secret / "samples").mkdir(parents=True)
    (secret / "log.jsonl").write_text(line(99), encoding="utf-8")
    sheet = (runs / "brain" / "samples" / "000001.png").read_bytes()
    (secret / "samples" / "000009.png").write_bytes(sheet)
    run = runs / "brain"
    (run / "log.jsonl").unlink()
    (run / "log.jsonl").symlink_to(secret / "log.jsonl")
    (run / "command.txt").unlink()
    (run / "command.txt").symlink_to(secret / "log.jsonl")
    (run / "samples" / "000009.png").symlink_to(secret / "samples" / "000009.png")
    news = look(client)
    assert news["log"]["columns"] == {} and news["facts"]["command"] == ""
    assert [name for name, *_ in news["moments"]] == ["000001", "000002"]
    assert client.get("/training/sheet", params={"run": "brain", "moment": "000009"}).status_code == 404
    os.rename(run / "samples", tmp_path / "aside")
    (run / "samples").symlink_to(secret / "samples")
    assert look(client)["moments"] == []
    (run / "log.jsonl").unlink()
    os.mkfifo(run / "log.jsonl")
    assert look(client)["log"]["columns"] == {}


def test_a_sheet_is_a_png_of_the_run(client: TestClient, runs: Path) -> None:
    given = client.get("/training/sheet", params={"run": "brain", "moment": "000002"})
    assert given.status_code == 200 and given.headers["content-type"] == "image/png"
    assert given.content == (runs / "brain" / "samples" / "000002.png").read_bytes()
    samples = runs / "brain" / "samples"
    (samples / "000003.png").write_bytes(b"<script>alert(1)</script>")
    bomb = bytearray(given.content)
    bomb[16:24] = (60_000).to_bytes(4, "big") * 2
    (samples / "000004.png").write_bytes(bytes(bomb))
    for moment in ("000003", "000004", "../config", "..%2f", "000002.png", "٠٠٠٠٠٢", "", "9" * 13):
        answer = client.get("/training/sheet", params={"run": "brain", "moment": moment})
        assert answer.status_code == 404 and "moment cannot be" in answer.json()["error"], moment


def frames(run: Path, *numbers: int) -> Path:
    """Sheets kept for evolution.gif after so many images, each of another width; returns their folder."""
    state = run / "state"
    state.mkdir(exist_ok=True)
    for images in numbers:
        Image.new("L", (8 + images % 1000, 4)).save(state / f"frame-{images:09d}.png")
    return state


def test_every_kept_sheet_is_a_moment_in_order_of_images(client: TestClient, runs: Path) -> None:
    run = runs / "brain"
    (run / "samples" / "000000.png").write_bytes(SHEET.getvalue())
    state = frames(run, 0, 48, 96, 2016, 2500)
    told = look(client)["moments"]
    names = ["frame-000000000", "frame-000000048", "frame-000000096", "000001", "frame-000002016", "frame-000002500"]
    assert [name for name, *_ in told] == names
    assert [images for *_, images in told] == [0, 48, 96, 1000, 2016, 2500]
    given = client.get("/training/sheet", params={"run": "brain", "moment": "frame-000000048"})
    assert given.status_code == 200 and given.content == (state / "frame-000000048.png").read_bytes()

    # Resumed from image 96, which takes away what came later, and draws 144 anew.
    for gone in (*state.glob("frame-000002*.png"), *(run / "samples").glob("00000[12].png")):
        gone.unlink()
    frames(run, 144)
    again = look(client)["moments"]
    assert again[:3] == told[:3] and [images for *_, images in again] == [0, 48, 96, 144]
    Image.new("L", (99, 4)).save(state / "frame-000000144.png")
    assert look(client)["moments"][3] != again[3]
    for moment in ("frame-000002500", "frame-48", "frame-" + "9" * 13, "frame-../../x", "frame-٠٠٠٠٠٠٠٤٨", "lock"):
        answer = client.get("/training/sheet", params={"run": "brain", "moment": moment})
        assert answer.status_code == 404 and "moment cannot be" in answer.json()["error"], moment


@pytest.mark.skipif(sys.platform == "win32", reason="links need rights there")
def test_frames_may_be_anything(client: TestClient, runs: Path, tmp_path: Path) -> None:
    run, secret = runs / "brain", tmp_path / "secret.png"
    secret.write_bytes(SHEET.getvalue())
    state = frames(run, 48)
    (state / "frame-000000050.png").symlink_to(secret)
    (state / "frame-000001050.png").symlink_to(secret)  # hides no sheet
    (state / "frame-000000060.png").mkdir()
    (state / "frame-000002060.png").mkdir()
    os.mkfifo(state / "frame-000000070.png")
    (state / "frame-000000080.png").write_bytes(SHEET.getvalue()[:20])
    assert [name for name, *_ in look(client)["moments"]] == ["frame-000000048", "frame-000000080", "000001", "000002"]
    for images in (50, 60, 70, 80):
        answer = client.get("/training/sheet", params={"run": "brain", "moment": f"frame-{images:09d}"})
        assert answer.status_code == 404, images
    os.rename(state, tmp_path / "aside")
    state.symlink_to(tmp_path / "aside")
    assert [name for name, *_ in look(client)["moments"]] == ["000001", "000002"]
    assert client.get("/training/sheet", params={"run": "brain", "moment": "frame-000000048"}).status_code == 404


def test_a_sheet_that_goes_while_it_is_asked_for(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("core.runs.inside", lambda *_: runs / "brain" / "state" / "frame-000000048.png")
    with pytest.raises(SettingError, match="moment cannot be"):
        following.sheet(runs / "brain", "frame-000000048")


def test_very_many_sheets_are_thinned_between_first_and_newest(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "MOST_MOMENTS", 5)
    frames(runs / "brain", *range(0, 900, 48), 2999)
    found = [moment.images for moment in following.moments(runs / "brain")]
    assert len(found) == 5 and found[0] == 0 and found[-1] == 2999 and found == sorted(found)


@pytest.mark.parametrize("name", ["", "..", "../runs/brain", "/etc", "brain/../brain", "nobody", "brain\x00"])
def test_only_runs_that_are_listed_are_found(client: TestClient, name: str) -> None:
    assert client.get("/training/run", params={"run": name}).status_code == 400


def test_the_list_is_newest_first_and_says_which_run(client: TestClient, runs: Path) -> None:
    for name, age, end in (("old", 9000, 8), ("<b>&amp;", 400, 3), ("новый", 200, 8)):
        run = runs / name
        run.mkdir()
        (run / "config.json").write_text(json.dumps({"kimg": end}), encoding="utf-8")
        (run / "log.jsonl").write_text(line(3), encoding="utf-8")
        os.utime(run / "log.jsonl", (time.time() - age,) * 2)
    said = client.get("/training").json()
    assert [(one["name"], one["state"]) for one in said["runs"]] == [
        ("brain", "running"), ("новый", "stopped"), ("<b>&amp;", "done"), ("old", "stopped")
    ]  # fmt: skip
    assert said["own"] is None and said["folder"] is True


def test_a_run_whose_end_was_left_to_auto_is_told_with_it(client: TestClient, runs: Path) -> None:
    run = runs / "brain"
    config: dict[str, Any] = {"kimg": "auto", "resolved": {"kimg": 8.0}}
    (run / "config.json").write_text(json.dumps(config), encoding="utf-8")
    facts = look(client)["facts"]
    assert facts["end"] == 8 and facts["seconds_left"] == pytest.approx(50)
    (run / "log.jsonl").write_text(line(8), encoding="utf-8")
    assert following.state(run, age=0.0) == "done"
    (run / "config.json").write_text('{"kimg": "auto", "resolved": []}', encoding="utf-8")
    assert look(client)["facts"]["end"] is None


def test_a_lock_says_at_once_whether_a_run_lives(runs: Path) -> None:
    run, lock = runs / "brain", runs / "brain" / "state" / "lock"
    lock.parent.mkdir()
    lock.write_text(json.dumps({"pid": 1, "host": "elsewhere", "began": 0.0, "place": "elsewhere"}), encoding="utf-8")
    os.utime(run / "log.jsonl", (1, 1))
    assert following.state(run) == "running"
    os.utime(lock, (1, 1))
    os.utime(run / "log.jsonl")
    assert following.state(run) == "stopped"
    lock.unlink()
    assert following.state(run) == "running"


def test_a_training_runs_at_low_priority_and_stop_lets_it_save(client: TestClient, runs: Path) -> None:
    started = client.post("/training", json={"name": "try-1"})
    assert started.status_code == 202 and started.json()["state"] == "running"
    until(lambda: client.get("/training").json()["own"]["line"] == "12% 48/400")
    if hasattr(os, "getpriority"):
        assert int((runs / "try-1" / "nice").read_text()) > os.getpriority(os.PRIO_PROCESS, 0)
    assert look(client, "try-1")["state"] == "running"
    second = client.post("/training", json={"name": "try-2"})
    assert second.status_code == 400 and "try-1 is under way" in second.json()["error"]
    (runs / "try-1" / "saving").touch()
    assert client.delete("/training").json()["own"]["state"] == "stopping"
    (runs / "try-1" / "saving").unlink()
    until(lambda: client.get("/training").json()["own"]["state"] == "ended")
    assert client.get("/training").json()["own"]["line"] == "stopped at 0.048 kimg"
    assert look(client, "try-1")["state"] == "stopped"
    taken = client.post("/training", json={"name": "try-1"})
    assert taken.status_code == 400 and "such a run already" in taken.json()["error"]


@pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")
def test_what_does_not_stop_is_ended_by_a_second_stop(trainings: Trainings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("explorer.web.trainings.PATIENCE", 0.2)
    training = trainings.start(name="stubborn", size=64)
    until(lambda: training.line != "starting")
    trainings.stop()
    time.sleep(0.3)
    assert training.alive and training.entry()["stubborn"]
    trainings.stop()
    until(lambda: not training.alive)
    assert training.state == "ended" and training.error is None


def test_the_trainers_own_sentence_comes_back(client: TestClient) -> None:
    assert client.post("/training", json={"name": "try-1", "data": "nowhere"}).status_code == 202
    until(lambda: client.get("/training").json()["own"]["state"] == "failed")
    assert client.get("/training").json()["own"]["error"] == "there is no folder nowhere"


@pytest.mark.parametrize(
    "wish",
    [
        {"name": "../out"}, {"name": "-x"}, {"name": ".x"}, {"name": "a b"}, {"name": "a/b"}, {"name": "con"},
        {"name": "x."}, {"name": "é"}, {"name": "x" * 65}, {"name": None}, {"name": "brain"}, {},
        {"name": "x", "size": 128}, {"name": "x", "size": True}, {"name": "x", "images": []}, {"name": "x", "out": "y"},
        {"name": "x", "images": 401}, {"name": "x", "data": ""}, {"name": "x", "data": 3},
        {"name": "x", "data": "a\0b"}, {"name": "x", "data": "a\ud800"}, {"name": "x", "data": "a" * 5000}, ["x"],
    ],
)  # fmt: skip
def test_a_wish_that_cannot_be_starts_nothing(client: TestClient, wish: Any) -> None:
    answer = client.post("/training", content=json.dumps(wish))
    assert answer.status_code == 400 and "cannot be" in answer.json()["error"]
    assert client.get("/training").json()["own"] is None


def test_a_path_is_never_a_flag() -> None:
    assert checked_path(" ~/x ") == str(Path("~/x").expanduser())
    assert checked_path("--resume") == "--resume"
    with pytest.raises(SettingError):
        checked_path("\n")


@pytest.mark.parametrize(
    "host, address, headers",
    [
        ("0.0.0.0", HERE, {}), ("192.0.2.7", HERE, {"host": "192.0.2.7"}), ("127.0.0.1", ("192.0.2.9", 1), {}),
        ("127.0.0.1", HERE, {"x-forwarded-for": "192.0.2.9"}), ("127.0.0.1", HERE, {"forwarded": "for=192.0.2.9"}),
        ("localhost", ("somebody", 1), {}),
    ],
)  # fmt: skip
def test_only_the_person_at_this_machine_names_a_folder(
    trainings: Trainings, host: str, address: tuple[str, int], headers: dict[str, str]
) -> None:
    app = FastAPI(openapi_url=None)
    add_training_routes(app, trainings=trainings, host=host)
    app.add_middleware(Guard, host=host)
    talking = TestClient(app, base_url="http://127.0.0.1:7860", client=address, headers=headers)
    assert talking.get("/training").json()["folder"] is False
    refused = talking.post("/training", json={"name": "x", "data": "/etc"})
    assert refused.status_code == 403 and "127.0.0.1" in refused.json()["error"]
    assert trainings.current() is None


def test_other_sites_and_strangers_start_nothing(trainings: Trainings) -> None:
    other = client_of(trainings, headers={"origin": "http://elsewhere.example"})
    assert other.post("/training", json={"name": "x"}).status_code == 403
    assert other.delete("/training").status_code == 403
    closed = client_of(trainings, login=Login("ada", "secret"))
    for ask in (closed.get, closed.delete):
        assert ask("/training").status_code == 401
    assert closed.post("/training", json={"name": "x"}).status_code == 401
    assert closed.get("/training/sheet", params={"run": "brain", "moment": "000002"}).status_code == 401
    assert trainings.current() is None


def test_a_server_that_goes_down_asks_its_training_to_save(
    trainings: Trainings, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("explorer.web.trainings.FAREWELL", 60.0)
    training = trainings.start(name="last")
    until(lambda: (runs / "last" / "nice").exists() and training.line != "starting")
    trainings.close()
    assert training.process.returncode == 0
    with pytest.raises(OutputError, match="could not be started"):
        Trainings(runs=runs, program=("no-such-program",)).start(name="x")
