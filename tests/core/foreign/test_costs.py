"""What opening a foreign file costs: memory of its own size, one reading of its weights."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import core
from core import foreign
from core.errors import CheckpointError
from core.foreign import filling
from core.foreign.inert import Stored
from tests.core.foreign.test_hostile import EXAMPLES, most_memory
from tests.core.foreign.test_torch_files import saved, table
from tests.interop import FOLDER, needs_interop

pytestmark = needs_interop
Table = dict[str, torch.Tensor]


def large(dtype: torch.dtype = torch.float32) -> Table:
    """The generator of an example with a mapping that makes its file some 50 MB at float32."""
    found, wide = table("rosinality", "g_ema."), 2000
    found |= {f"style.{k}.weight": torch.randn(wide, wide) for k in (2, 3)}
    found |= {f"style.{k}.bias": torch.zeros(wide) for k in (1, 2, 3)}
    found["style.1.weight"], found["style.4.weight"] = torch.randn(wide, 64), torch.randn(64, wide)
    return {name: tensor.to(dtype) for name, tensor in found.items()}


@pytest.fixture
def hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    """rosinality's mapping has one width; here another stands between its layers, so that a file can be large."""
    from core.foreign import rosinality2

    def configured(path: Path, kind: Any, **values: Any) -> Any:
        return filling.configured(path, kind, **values, **({"hidden_dim": 2000} if "w_dim" in values else {}))

    monkeypatch.setattr(rosinality2, "configured", configured)


@pytest.mark.parametrize(("dtype", "times"), [(torch.float32, 1), (torch.float16, 2), (torch.float64, 1)])
@pytest.mark.parametrize("old", [False, True])
def test_memory_of_the_size_of_the_file(
    dtype: torch.dtype, times: int, old: bool, tmp_path: Path, hidden: None
) -> None:
    """float32 as they lie there, float16 doubled, and never more than one tensor besides while it is turned."""
    path = saved(tmp_path / "x", {"g_ema": large(dtype), "latent_avg": torch.zeros(64)}, old=old)
    core.load(FOLDER / EXAMPLES[0])  # what is imported late has been imported
    before = most_memory(reset=True)
    opened = core.load(path)
    largest = 2000 * 2000 * dtype.itemsize
    assert most_memory() - before < times * path.stat().st_size + largest + 4e6
    assert opened.generator.w_dim == 64


def test_what_all_networks_share_counts_for_each(tmp_path: Path) -> None:
    tensors, d = table("rosinality", "g_ema."), table("rosinality", "d.")
    core.load(saved(tmp_path / "x", {"g_ema": tensors, "g": {k: v.clone() for k, v in tensors.items()}, "d": d}))
    for old in (False, True):
        path = saved(tmp_path / "x", {"g_ema": tensors, "g": tensors}, old=old)
        with pytest.raises(CheckpointError, match="in g: tensors that share their storages until they are larger"):
            core.load(path)
        assert core.load(path, generator_only=True).live is None


@pytest.mark.parametrize("dtype", [torch.int8, torch.uint8, torch.bool, torch.int32, torch.int64])
def test_weights_of_whole_numbers(dtype: torch.dtype, tmp_path: Path) -> None:
    """A byte would become four."""
    tensors = table("rosinality", "g_ema.")
    tensors["style.2.weight"] = tensors["style.2.weight"].to(dtype)
    with pytest.raises(CheckpointError, match=f"style.2.weight is of the type {str(dtype).removeprefix('torch.')}"):
        core.load(saved(tmp_path / "x", tensors))


@pytest.mark.parametrize("example", EXAMPLES)
def test_a_header_without_the_weights(example: str, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = core.load(FOLDER / example, generator_only=True).about
    read: list[int] = []

    def counted(stored: Stored, source: Any) -> torch.Tensor:
        read.append(stored.bytes)
        return plain(stored, source)

    plain = Stored.read
    monkeypatch.setattr(Stored, "read", counted)
    assert foreign.about_of(FOLDER / example) == whole
    assert sum(read) < 0.02 * (FOLDER / example).stat().st_size


def test_kernels_without_number(tmp_path: Path) -> None:
    tensors = table("rosinality", "g_ema.")
    kernel = torch.ones(4, 4) / 16
    tensors |= {f"x{k}.kernel": kernel for k in range(1000)}
    with pytest.raises(CheckpointError, match="10.. filters, of which"):
        core.load(saved(tmp_path / "x", tensors))
    first = {f"generator.progression.{k}.conv1.1.weight": torch.ones(1, 1, 3, 3) for k in range(50, 150)}
    with pytest.raises(CheckpointError, match="10. filters, of which"):
        core.load(saved(tmp_path / "x", table("stylegan1", "g_running.") | first))


def test_an_average_of_wide_layers_is_taken_in_small_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    from core.mapping import Mapping

    monkeypatch.setattr(filling, "AVERAGED", 500)
    mapping = Mapping(3, 5, 0, layers=2, lr=1.0, hidden=1 << 16)
    before = most_memory(reset=True)
    w = filling._average_w(mapping)
    assert w.shape == (5,) and most_memory() - before < 60e6
