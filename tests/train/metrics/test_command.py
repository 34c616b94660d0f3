"""python -m train.metrics, as a person types it."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import core
from core import runs
from core.checkpoint import sha256
from core.errors import OutputError
from tests.train import make
from tests.train.metrics.test_evaluation import toy
from train.metrics import append, cli, line
from train.metrics.__main__ import main
from train.metrics.beside import beside
from train.metrics.record import table


@pytest.fixture
def network(tmp_path: Path) -> Path:
    """A network file inside a run."""
    g, d = toy()
    run = tmp_path / "runs" / "toy"
    path = run / "checkpoints" / "000012.safetensors"
    told = {"images_seen": 12500, "commit": "0123456789ab"}
    core.save(path, g, d, {"training": told, "picture": {"crop": [0, 0, 16, 16]}})
    (run / runs.CONFIG).write_text('{"fit": "native", "seed": 3}', encoding="utf-8")
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Pictures of their size."""
    return make.folder(tmp_path / "in", count=30, size=(16, 16))


def said(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str]:
    """Exit status, and what was printed: stdout, or stderr after an error."""
    monkeypatch.setattr(sys, "argv", ["train.metrics", *map(str, arguments)])
    status = main()
    out = capsys.readouterr()
    return status, out.out if status == 0 else out.err


def test_a_table_and_a_line(
    network: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = network.parent.parent
    flags = ["--data", data, "--count", 12, "--metrics", "swd,recall_random,nearest,ks_outline"]
    status, text = said(monkeypatch, capsys, "--checkpoint", network, *flags)
    assert status == 0 and "over the pictures themselves" in text and "over fixed random" in text
    assert "network" in text and "real" in text and "noise" in text and "half of the pictures" in text
    assert " ± " in text and "mirror" not in text
    status, text = said(monkeypatch, capsys, "--checkpoint", run, *flags, "--holdout", 0.4, "--json")
    entry = json.loads(text)
    assert status == 0 and entry["kimg"] == 12.5 and entry["checkpoint"] == "000012.safetensors"
    assert entry["sha"] == sha256(network)[:12] and entry["commit"] == "0123456789ab"
    assert entry["figures"]["swd"]["n"] == 12 and entry["figures"]["swd"]["against"] == "held-out pictures"
    assert [len(kept["figures"]) for kept in runs.metrics(run)] == [4, 4]
    assert runs.metrics(run)[1] == entry and len(entry["figures"]["swd"]["data"]) == 12


def test_the_held_out_pictures_of_the_run(
    network: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = network.parent.parent
    (run / runs.CONFIG).write_text('{"fit": "native", "seed": 3, "holdout": 0.5}', encoding="utf-8")
    flags = ["--data", data, "--metrics", "ks_contrast", "--json"]
    _, text = said(monkeypatch, capsys, "--checkpoint", run, *flags)
    assert json.loads(text)["figures"]["ks_contrast"]["against"] == "held-out pictures"


def test_a_network_outside_a_run_leaves_nothing_but_what_is_asked(
    network: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    alone = tmp_path / "checkpoints" / "toy.safetensors"
    alone.parent.mkdir()
    alone.write_bytes(network.read_bytes())
    before = sorted(tmp_path.rglob("*"))
    flags = ["--checkpoint", "toy", "--data", data, "--metrics", "ks_contrast"]
    assert said(monkeypatch, capsys, *flags)[0] == 0
    assert sorted(tmp_path.rglob("*")) == before
    assert said(monkeypatch, capsys, *flags, "--out", tmp_path / "figures.jsonl")[0] == 0
    assert len((tmp_path / "figures.jsonl").read_text(encoding="utf-8").splitlines()) == 1


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (["--checkpoint", "none.safetensors"], "there is no network at none.safetensors"),
        (["--checkpoint", ""], "give --checkpoint a network file"),
        (["--data", "nowhere"], "nowhere does not exist"),
        (["--data", ""], "give --data a folder"),
        (["--count", "3"], "count cannot be '3'"),
        (["--count", "many"], "count cannot be 'many'"),
        (["--seed", "-1"], "seed cannot be '-1'"),
        (["--holdout", "0.9"], "holdout cannot be '0.9'"),
        (["--holdout", "nan"], "holdout cannot be 'nan'"),
        (["--fit", "tight"], "fit cannot be 'tight'"),
        (["--metrics", "beauty"], "metrics cannot be 'beauty': one of swd, "),
        (["--metrics", "fid", "--inception", "none.pth"], "there are no Inception weights at none.pth"),
        (["--holdout", "0.1"], "3 pictures on one side are too few"),
    ],
)
def test_mistakes(
    network: Path,
    data: Path,
    change: list[str],
    says: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    flags = ["--checkpoint", network, "--data", data, "--metrics", "spread", *change]
    status, text = said(monkeypatch, capsys, *flags)
    assert status == 2 and says in text
    assert len(text.strip().splitlines()[-1:]) == 1 and "Traceback" not in text
    assert not (network.parent.parent / runs.METRICS).exists()


def test_the_pictures_are_those_that_the_run_took(
    network: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def measured(*more: object) -> dict[str, object]:
        flags = ["--checkpoint", network, "--data", data, "--metrics", "swd", "--count", 12, "--json", *more]
        status, text = said(monkeypatch, capsys, *flags)
        assert status == 0, text
        return json.loads(text)["figures"]["swd"]["data"]

    whole, some = measured(), measured("--only", "02?.png,01?.png,00[5-9].png")
    assert whole != some
    config = network.parent.parent / runs.CONFIG
    settings = {"fit": "native", "seed": 3, "only": "02?.png,01?.png,00[5-9].png", "axis": None}
    config.write_text(json.dumps(settings), encoding="utf-8")
    assert measured() == some and measured("--only", "*") == whole


@pytest.mark.parametrize(
    ("config", "command", "expected"),
    [
        ('{"mirror": true}', "python -m train", True),
        ("{}", "python -m train --data a.zip --mirror", True),
        ("{}", "python -m train --mirror --no-mirror", False),
        ("{}", "python -m train --out runs/a --resume", None),
        ("{}", "", None),
        ('{"mirror": 1}', "python -m train --data a.zip", False),
    ],
)
def test_whether_the_training_was_mirrored(
    config: str,
    command: str,
    expected: bool | None,
    network: Path,
    data: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    g, d = toy()
    core.save(network, g, d, {"training": {"command": command}, "picture": {"crop": [0, 0, 16, 16]}})
    (network.parent.parent / runs.CONFIG).write_text(config, encoding="utf-8")
    flags = ["--checkpoint", network, "--data", data, "--count", 12, "--metrics", "ks_contrast"]
    _, text = said(monkeypatch, capsys, *flags, "--json")
    assert json.loads(text)["figures"]["ks_contrast"]["mirrored"] is expected
    _, text = said(monkeypatch, capsys, *flags)
    assert ("compared with pictures that are not mirrored" in text) is (expected is True)


def test_standard_errors_in_the_table() -> None:
    figure = {"value": 0.3828, "real": 0.144, "noise": 4603.0, "goal": "lower", "title": "a", "extractor": None, "n": 9}
    old, new = (table({"a": {**figure, **errors}}) for errors in ({}, {"error": 0.1536, "real_error": None}))
    assert "±" not in old and "0.383 ± 0.15  0.144  4603.0" in new
    shown = [table({"a": {**figure, "error": error}}) for error in (0.0, 0.0962, 12.3, 1e-6, 0.00996)]
    for text, error in zip(shown, ("± 0 ", "± 0.096", "± 12 ", "± 1.0e-06", "± 0.01"), strict=True):
        assert error in text


def test_half_a_line_is_taken_away(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    file.write_text('{"kimg": 1}\n{"kim', encoding="utf-8")
    append(file, line({}, kimg=2, checkpoint="2", seconds=1.25))
    assert [entry["kimg"] for entry in runs.metrics(tmp_path)] == [1, 2]


def test_what_only_lacks_its_end_stays_and_another_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "metrics.jsonl"
    file.write_text('{"kimg": 1}\n{"kimg": 2}', encoding="utf-8")  # as an editor may leave it
    append(file, line({}, kimg=3, checkpoint="3", seconds=1.25))
    assert [entry["kimg"] for entry in runs.metrics(tmp_path)] == [1, 2, 3]
    notes = tmp_path / "notes.txt"
    notes.write_bytes(b"my notes, without an end of line")
    with pytest.raises(OutputError, match="something else than lines of figures"):
        append(notes, line({}, kimg=3, checkpoint="3", seconds=1.25))
    assert notes.read_bytes() == b"my notes, without an end of line"


def test_several_networks_are_measured_once_each_and_stand_side_by_side(
    network: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    run = network.parent.parent
    torch.manual_seed(5)
    g, d = toy()
    for weight in g.parameters():
        weight.data.mul_(1.5)
    core.save(network.with_stem("000024"), g, d, {"picture": {"crop": [0, 0, 16, 16]}})
    flags = ["--data", data, "--metrics", "swd,ks_contrast,precision_discriminator"]
    status, text = said(monkeypatch, capsys, "--checkpoint", network.parent, run, network, *flags)
    assert status == 0 and [entry["checkpoint"] for entry in runs.metrics(run)] == [
        "000012.safetensors",
        "000024.safetensors",
    ]
    last = text[text.index("toy/000012") :]
    assert "toy/000024" in last and last.count("*") >= 2 and "every network has its own" in last
    assert "precision" not in last
    alone = said(monkeypatch, capsys, "--checkpoint", network.with_stem("000024"), *flags, "--json")[1]
    assert json.loads(alone)["figures"] == runs.metrics(run)[1]["figures"], "what is remembered changes no figure"
    status, text = said(monkeypatch, capsys, "--checkpoint", network, tmp_path / "none", *flags)
    assert status == 2 and "none" in text and len(runs.metrics(run)) == 3, "nothing is measured where one is missing"


def test_what_was_not_measured_alike_is_not_compared() -> None:
    def figures(value: float, *, n: int = 12, error: float | None = 0.1) -> dict[str, Any]:
        facts = {"title": "distance", "extractor": None, "filter": "", "seed": 0, "data": "x", "against": "half"}
        return {"swd": {"value": value, "real": 1.0, "noise": 9.0, "goal": "lower", "n": n, "error": error, **facts}}

    row = next(line for line in beside([("a", figures(3)), ("b", figures(2))]).splitlines() if "distance" in line)
    assert row.split() == ["distance", "3.000", "±", "0.10", "2.000", "±", "0.10", "*", "1.000", "lower", "12"]
    unlike = beside([("a", figures(3)), ("b", figures(2, n=24))])
    assert "*" not in unlike and "12-24" in unlike and "nothing compares them" in unlike
    assert "*" not in beside([("a", figures(3)), ("b", figures(3))]).split("* the best")[0], "equal ones win nothing"
    partly = beside([("a", {**figures(3), "ms_ssim": figures(2)["swd"]}), ("b", figures(2))])
    assert partly.split("* the best")[0].count("*") == 1


def test_networks_of_one_name_are_told_apart(
    network: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "more" / "toy"
    shutil.copytree(network.parent.parent, other)
    loose = tmp_path / "000012.safetensors"
    loose.write_bytes(network.read_bytes())
    monkeypatch.chdir(other)
    flags = ["--checkpoint", network, "--checkpoint", ".", loose, "--data", data, "--metrics", "ks_contrast"]
    status, text = said(monkeypatch, capsys, *flags)
    assert status == 0
    header = next(line for line in text.splitlines() if "better" in line and "000012" in line).split()
    assert header[:3] == ["runs/toy/000012", "more/toy/000012", "000012"]


def test_a_network_without_what_is_asked_is_named_before_any_is_measured(
    network: Path, data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    bare = tmp_path / "bare.safetensors"
    core.save(bare, toy()[0], about={"picture": {"crop": [0, 0, 16, 16]}})
    flags = ["--data", data, "--metrics", "ks_contrast,precision_discriminator"]
    status, text = said(monkeypatch, capsys, "--checkpoint", network, bare, *flags)
    assert status == 2 and "bare.safetensors has no discriminator; leave that measure out" in text
    assert runs.metrics(network.parent.parent) == []


def test_other_sizes_and_crops_are_not_compared(
    network: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = tmp_path / "cut.safetensors"
    core.save(cut, *toy(), about={"picture": {"crop": [2, 2, 12, 12]}})
    flags = ["--checkpoint", network, cut, "--data", "phantoms", "--metrics", "ks_contrast,spread", "--count", 24]
    status, text = said(monkeypatch, capsys, *flags)
    assert status == 0 and "nothing compares them" in text and "*" not in text


def test_what_was_measured_is_shown_where_a_later_network_is_gone(
    network: Path, data: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("000024", "000036"):
        network.with_stem(name).write_bytes(network.read_bytes())
    measure = cli._measure

    def losing(path: Path, *rest: Any) -> Any:
        if path.stem == "000036":
            path.unlink()
        return measure(path, *rest)

    monkeypatch.setattr(cli, "_measure", losing)
    monkeypatch.setattr(
        sys, "argv", ["x", "--checkpoint", str(network.parent), "--data", str(data), "--metrics", "swd"]
    )
    assert main() == 2
    out = capsys.readouterr()
    assert "toy/000012  toy/000024" in " ".join(out.out.split("N\n")[-2].split("\n")[-1:]) or "toy/000024" in out.out
    assert "000036" in out.err
