"""A run in small files: what arrives, how near it is, that it goes on, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from core import runs
from core.errors import OutputError, SettingError, TrainingError
from tests.train.test_run import SHORT, run
from train import state, travel

LIMIT = 200 * 1024


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("travel") / "run"
    with pytest.MonkeyPatch.context() as patch:
        assert run(patch, "--data", "phantoms", *SHORT, "--kimg", "0.012", "--out", out) == 0
    return out


def test_a_run_arrives_in_small_files_and_goes_on(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = travel.pack(trained, tmp_path / "bag", limit=LIMIT)
    assert len(made) >= 2 and all(path.stat().st_size <= LIMIT for path in made)
    assert [path.name for path in made] == [f"travel-{n}-of-{len(made)}.safetensors" for n in range(1, len(made) + 1)]
    there = travel.unpack(tmp_path / "bag", tmp_path / "there")
    before, after = state.latest(trained / "state"), state.latest(there / "state")
    assert before is not None and after is not None and before.facts == after.facts
    assert before.tensors.keys() == after.tensors.keys()
    for name, tensor in before.tensors.items():
        found = after.tensors[name]
        assert (found.shape, found.dtype) == (tensor.shape, tensor.dtype), name
        if name.endswith(":exp_avg"):
            assert not found.any(), "beta1 is 0: the next step overwrites it"
        else:  # 11 bits of a weight, 8 of a second moment
            assert torch.allclose(found, tensor, rtol=2**-8 if name.endswith("_sq") else 2**-10, atol=1e-7), name
    assert (there / "log.jsonl").read_bytes() == (trained / "log.jsonl").read_bytes()
    assert run(monkeypatch, "--out", there, "--resume", "--kimg", "0.02") == 0, capsys.readouterr().err
    assert runs.newest(there) is not None
    log = [json.loads(line) for line in (there / "log.jsonl").read_text(encoding="utf-8").splitlines()]
    assert log[-1]["kimg"] == 0.02 and len(log) > len((trained / "log.jsonl").read_text().splitlines())


def test_packing_again_leaves_no_file_of_before(trained: Path, tmp_path: Path) -> None:
    travel.pack(trained, tmp_path, limit=LIMIT)
    made = travel.pack(trained, tmp_path, limit=8 * LIMIT)
    assert sorted(tmp_path.iterdir()) == sorted(made)


def test_first_moments_travel_where_they_count(trained: Path, tmp_path: Path) -> None:
    there = shutil.copytree(trained, tmp_path / "run")
    saved = state.latest(there / "state")
    assert saved is not None
    saved.facts["settings"]["beta1"] = 0.5
    state.save(there / "state", saved.tensors, saved.facts, images=saved.facts["images"])
    travel.pack(there, tmp_path / "bag", limit=LIMIT)
    after = state.latest(travel.unpack(tmp_path / "bag", tmp_path / "new") / "state")
    assert after is not None
    moments = [name for name in saved.tensors if name.endswith(":exp_avg")]
    assert moments and all(torch.allclose(after.tensors[n], saved.tensors[n], rtol=2**-8, atol=1e-7) for n in moments)


def test_files_that_do_not_belong_together_are_refused(trained: Path, tmp_path: Path) -> None:
    a, b = (travel.pack(trained, tmp_path / name, limit=LIMIT) for name in "ab")
    shutil.copy(b[1], a[1])
    with pytest.raises(TrainingError, match="does not hold all files of one run"):
        travel.unpack(tmp_path / "a", tmp_path / "run")
    a[1].unlink()
    with pytest.raises(TrainingError, match="does not hold all files of one run"):
        travel.unpack(tmp_path / "a", tmp_path / "run")
    with pytest.raises(TrainingError, match="has no travel-1-of-N"):
        travel.unpack(tmp_path / "none", tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize("damage", ["cut", "foreign", "climbs", "format"])
def test_damaged_and_foreign_files_are_refused(damage: str, trained: Path, tmp_path: Path) -> None:
    first = travel.pack(trained, tmp_path / "bag", limit=LIMIT)[0]
    says = {"format": 1, "stamp": "x", "number": 1, "of": 1, "facts": {"images": 4}, "files": {"../out": "evil"}}
    if damage == "cut":
        first.write_bytes(first.read_bytes()[:5000])
    elif damage == "foreign":
        save_file(load_file(first), first)
    else:
        for path in (tmp_path / "bag").iterdir():
            path.unlink()
        if damage == "format":
            says["format"] = 9
        save_file({"g.a": torch.zeros(2)}, first, metadata={"styloscope_travel": json.dumps(says)})
    with pytest.raises(TrainingError, match="damaged|does not hold all files of one run"):
        travel.unpack(tmp_path / "bag", tmp_path / "run")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bag"]


def test_what_cannot_be_packed_says_so(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="has no state to travel with"):
        travel.pack(tmp_path, tmp_path / "bag", limit=LIMIT)
    with pytest.raises(TrainingError, match="alone takes 1 MB; give --limit as much"):
        travel.pack(trained, tmp_path / "bag", limit=travel._MARGIN + 500)
    with pytest.raises(SettingError, match="limit cannot be '0.5': megabytes from 1 up"):
        travel.main(["pack", str(trained), str(tmp_path / "bag"), "--limit", "0.5"])
    assert not list(tmp_path.iterdir())
    travel.pack(trained, tmp_path / "bag", limit=LIMIT)
    with pytest.raises(OutputError, match="has something in it"):
        travel.unpack(tmp_path / "bag", trained)


def test_the_command_says_what_it_left(trained: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert travel.main(["pack", str(trained), str(tmp_path / "bag")]) == 0
    assert capsys.readouterr().out.startswith("1 file, ")
    assert travel.main(["unpack", str(tmp_path / "bag"), str(tmp_path / "run")]) == 0
    assert (tmp_path / "run" / "config.json").is_file()
