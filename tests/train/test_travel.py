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
    names = [f"travel-000000012-{n}-of-{len(made)}.safetensors" for n in range(1, len(made) + 1)]
    assert [path.name for path in made] == names
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


def older(bag: Path, trained: Path, tmp_path: Path) -> list[Path]:
    """A pack of the same run four images earlier, beside what is in `bag`."""
    saved = state.latest(trained / "state")
    assert saved is not None
    run = tmp_path / "older"
    (run / "state").mkdir(parents=True)
    state.save(run / "state", {n: t + 1 for n, t in saved.tensors.items()}, {**saved.facts, "images": 8}, images=8)
    made = travel.pack(run, tmp_path / "apart", limit=LIMIT * 2)
    return [Path(shutil.copy(path, bag)) for path in made]


def test_of_several_packs_the_newest_whole_one_is_taken(trained: Path, tmp_path: Path) -> None:
    bag = tmp_path / "bag"
    made = travel.pack(trained, bag, limit=LIMIT)
    older(bag, trained, tmp_path)
    after = state.latest(travel.unpack(bag, tmp_path / "a") / "state")
    assert after is not None and after.facts["images"] == 12
    made[-1].unlink()  # the new pack was cut short
    after = state.latest(travel.unpack(bag, tmp_path / "b") / "state")
    before = state.latest(trained / "state")
    assert after is not None and before is not None and after.facts["images"] == 8
    name = "g.mapping.layers.0.weight"
    assert torch.allclose(after.tensors[name], before.tensors[name] + 1, rtol=1e-2)


def test_files_that_do_not_belong_together_are_refused(trained: Path, tmp_path: Path) -> None:
    made = travel.pack(trained, tmp_path / "a", limit=LIMIT)
    other = travel.pack(trained, tmp_path / "b", limit=LIMIT + 4096)
    assert len(other) == len(made)
    shutil.copy(other[1], made[1])
    with pytest.raises(TrainingError, match="does not hold all files of one pack"):
        travel.unpack(tmp_path / "a", tmp_path / "run")
    with pytest.raises(TrainingError, match="has no file that train.travel packed"):
        travel.unpack(tmp_path / "none", tmp_path / "run")
    assert not (tmp_path / "run").exists()


FACTS = {"images": 12, "settings": {}, "seconds": 1.0}
HEADERS = {
    "of missing": {"of": None},
    "of true": {"of": True},
    "of huge": {"of": 10**10},
    "another number": {"number": 2},
    "a fraction": {"number": 1.0},
    "no stamp": {"stamp": None},
    "a list for a stamp": {"stamp": [1]},
    "another format": {"format": 9},
    "no facts": {"facts": None},
    "no settings": {"facts": {"images": 12}},
    "fewer than none": {"facts": {**FACTS, "images": -5}},
    "true images": {"facts": {**FACTS, "images": True}},
    "a format in facts": {"facts": {**FACTS, "format": 9}},
    "other images": {"facts": {**FACTS, "images": 13}},
}


@pytest.mark.parametrize("header", ["cut", "foreign", "deep", *HEADERS])
def test_damaged_and_foreign_files_are_refused(header: str, trained: Path, tmp_path: Path) -> None:
    bag = tmp_path / "bag"
    first = travel.pack(trained, bag, limit=LIMIT * 100)[0]
    says = {"format": 1, "stamp": "x", "number": 1, "of": 1, "facts": FACTS, **HEADERS.get(header, {})}
    if header == "cut":
        first.write_bytes(first.read_bytes()[:5000])
    elif header == "foreign":
        save_file(load_file(first), first)
    else:
        text = "[" * 100_000 if header == "deep" else json.dumps(says)
        save_file({"g.a": torch.zeros(2)}, first, metadata={"styloscope_travel": text})
    with pytest.raises(TrainingError, match="damaged|does not hold all files of one pack"):
        travel.unpack(bag, tmp_path / "run")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["bag"]


def test_what_fails_half_way_leaves_nothing(trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    travel.pack(trained, tmp_path / "bag", limit=LIMIT)

    def full(*_: object, **__: object) -> None:
        raise OutputError("the disk is full")

    with monkeypatch.context() as patch, pytest.raises(OutputError, match="the disk is full"):
        patch.setattr(travel.state, "save", full)
        travel.unpack(tmp_path / "bag", tmp_path / "run")
    assert not (tmp_path / "run" / "config.json").exists()
    travel.unpack(tmp_path / "bag", tmp_path / "run")


def test_a_state_that_is_replaced_meanwhile_is_read_again(
    trained: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole, gone = state.latest, [TrainingError("no state can be read"), FileNotFoundError("gone")]
    monkeypatch.setattr(travel.time, "sleep", lambda seconds: None)

    def latest(folder: Path) -> state.State | None:
        if gone:
            raise gone.pop()
        return whole(folder)

    monkeypatch.setattr(travel.state, "latest", latest)
    assert travel.pack(trained, tmp_path, limit=LIMIT) and not gone


def test_other_files_are_left_alone(trained: Path, tmp_path: Path) -> None:
    photos = tmp_path / "travel-photos-of-paris.safetensors"
    photos.write_bytes(b"mine")
    travel.pack(trained, tmp_path, limit=LIMIT)
    assert photos.read_bytes() == b"mine"


def test_the_head_starts_first_moments_travel() -> None:
    tensors = {"codes.mean": torch.ones(4), "g_adam.a:exp_avg": torch.ones(3), "d_adam.a:exp_avg": torch.ones(3)}
    assert "g_adam.a:exp_avg" in travel._lighter(tensors, beta1=0.0)
    assert "d_adam.a:exp_avg" not in travel._lighter(tensors, beta1=0.0)


def test_codes_that_hold_travel_and_the_moments_do_not() -> None:
    tensors = {"g_adam.a:exp_avg": torch.ones(3), "codes.mean": torch.ones(4), "codes.over": torch.ones(())}
    light = travel._lighter(tensors, beta1=0.0)
    assert set(light) == {"codes.mean", "codes.over"} and light["codes.over"].dtype == torch.float32


def test_what_cannot_be_packed_says_so(trained: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match="has no state to travel with"):
        travel.pack(tmp_path, tmp_path / "bag", limit=LIMIT)
    with pytest.raises(TrainingError, match="alone takes 1 MB; give --limit as much"):
        travel.pack(trained, tmp_path / "bag", limit=travel._MARGIN + 500)
    with pytest.raises(SettingError, match="limit cannot be '0.5': megabytes from 1 to 1000000"):
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
