"""State for resuming: whole or not at all, read back before the one before it goes."""

from __future__ import annotations

import errno
import sys
from pathlib import Path

import pytest
import torch

from core.errors import OutputError, TrainingError
from tests.train import make
from train import state


def a_state(images: int) -> tuple[dict[str, torch.Tensor], dict[str, object]]:
    return {"w": torch.arange(5.0) + images, "step": torch.tensor(images)}, {"images": images}


def test_there_and_back(tmp_path: Path) -> None:
    tensors, facts = a_state(8)
    strided = {**tensors, "conv": torch.rand(2, 3, 4, 4).to(memory_format=torch.channels_last)}
    path = state.save(tmp_path, strided, facts, images=8)
    found = state.latest(tmp_path)
    assert path.name == "000000008.safetensors" and found is not None
    assert found.facts == facts and all(torch.equal(found.tensors[name], value) for name, value in strided.items())


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells what is mapped")
def test_what_was_read_does_not_keep_its_file(tmp_path: Path) -> None:
    """Windows removes no file of which a tensor is a view."""
    path = state.save(tmp_path, *a_state(8), images=8)
    found = state.latest(tmp_path)
    assert found is not None and len(found.tensors) == 2
    assert str(path) not in Path("/proc/self/maps").read_text(encoding="utf-8")


def test_a_state_that_is_being_read_goes_with_a_later_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def taken(path: Path, missing_ok: bool = False) -> None:
        raise PermissionError(errno.EACCES, "Access is denied")

    state.save(tmp_path, *a_state(8), images=8)
    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", taken)
        state.forget_others(tmp_path, images=9)
    state.save(tmp_path, *a_state(16), images=16)
    state.forget_others(tmp_path, images=16)
    assert [file.name for file in tmp_path.iterdir()] == ["000000016.safetensors"]


def test_the_one_before_goes_only_when_the_new_one_is_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state.save(tmp_path, *a_state(8), images=8)

    def full(path: Path, data: bytes) -> None:
        with open(path, "wb") as file:
            file.write(data[: len(data) // 2])
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        with pytest.raises(OutputError, match="No space left"):
            state.save(tmp_path, *a_state(16), images=16)
    assert [file.name for file in tmp_path.iterdir()] == ["000000008.safetensors"]
    state.save(tmp_path, *a_state(16), images=16)
    assert [file.name for file in tmp_path.iterdir()] == ["000000016.safetensors"]


def test_a_state_cut_short_falls_back_to_the_one_before(tmp_path: Path) -> None:
    state.save(tmp_path, *a_state(8), images=8)
    (tmp_path / "000000016.safetensors").write_bytes((tmp_path / "000000008.safetensors").read_bytes()[:60])
    found = state.latest(tmp_path)
    assert found is not None and found.facts == {"images": 8}
    (tmp_path / "000000008.safetensors").write_bytes(b"junk")
    with pytest.raises(TrainingError, match="no state in .* can be read"):
        state.latest(tmp_path)


def test_no_state_is_none(tmp_path: Path) -> None:
    assert state.latest(tmp_path) is None and state.latest(tmp_path / "nowhere") is None


def test_a_trainer_goes_on_to_the_bit() -> None:
    """Three steps in a row, and one step, saved, restored into a fresh trainer, and two more."""
    straight = make.trainer(path_every=2, r1_every=2)
    for _ in range(3):
        straight.step()
    first = make.trainer(path_every=2, r1_every=2)
    first.step()
    kept = {name: value.contiguous().clone() for name, value in first.tensors().items()}
    second = make.trainer(path_every=2, r1_every=2)
    second.restore(kept, first.facts())
    for _ in range(2):
        second.step()
    expected = straight.tensors()
    assert all(torch.equal(value, expected[name]) for name, value in second.tensors().items())
    assert second.tensors().keys() == expected.keys() and second.figures() == straight.figures()
