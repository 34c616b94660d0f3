"""Features: the fixed network stays what it is, the discriminator's are those its verdict is made of."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional as F

import core
from core.errors import DataError
from train.metrics import features, inception

CPU = torch.device("cpu")


def pictures(count: int, *, channels: int = 1, size: tuple[int, int] = (14, 12)) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (count, channels, *size), dtype=np.uint8)


def judge(*, std_channels: int = 1) -> core.Discriminator:
    torch.manual_seed(0)
    config = core.DiscriminatorConfig(size=(16, 16), filters=(8, 8, 8), start=(4, 4), std_channels=std_channels)
    return core.build_discriminator(config)


def test_the_random_network_is_the_same_everywhere() -> None:
    """Figures of last year compare with today's only while these numbers stand."""
    extractor = features.random_network(1, device=CPU)
    found = extractor.features(np.arange(256, dtype=np.uint8).reshape(1, 1, 16, 16))
    assert found.shape == (1, 352)
    assert found[0, [0, 31, 100, 351]].tolist() == pytest.approx([0.4531, 2.4692, 0.0713, 1.8752], abs=1e-3)
    before = torch.random.get_rng_state()
    features.random_network(3, device=CPU)
    assert torch.equal(before, torch.random.get_rng_state())


def test_the_random_network_sees_edges_and_places_but_not_brightness() -> None:
    extractor = features.random_network(1, device=CPU)
    flat = np.stack([np.full((1, 32, 32), level, np.uint8) for level in (0, 200)])
    assert extractor.features(flat).abs().max() < 1e-5
    spot = np.zeros((2, 1, 32, 32), np.uint8)
    spot[0, 0, 4:8, 4:8] = spot[1, 0, 20:24, 4:8] = 255
    one, two = extractor.features(spot)
    assert (one - two).norm() > 0.1 * one.norm()


@pytest.mark.parametrize("std_channels", [0, 1])
def test_the_discriminators_features_are_those_of_its_verdict(std_channels: int) -> None:
    d = judge(std_channels=std_channels)
    extractor = features.discriminator(d, crop=(1, 2, 14, 12), device=CPU)
    shown = pictures(5)
    found = extractor.features(shown)
    frame = F.pad(torch.from_numpy(shown).float() / 127.5 - 1, (2, 2, 1, 1), value=-1.0)
    alone = torch.cat([d(one[None]) for one in frame])
    torch.testing.assert_close(d.epilogue.out(found).squeeze(1), alone)
    torch.testing.assert_close(extractor.features(shown[2:3]), found[2:3])


def test_batches_do_not_show() -> None:
    extractor = features.random_network(3, device=CPU)
    shown = pictures(20, channels=3)
    calls: list[int] = []
    whole = extractor.features(shown, each=lambda: calls.append(1))
    torch.testing.assert_close(whole[17:], extractor.features(shown[17:]))
    assert len(calls) == 2


def test_inception_resizes_as_its_weights_were_trained() -> None:
    same = torch.rand(1, 3, 299, 299)
    torch.testing.assert_close(inception._resized(same), same)
    # Pixel k is taken at k n / 299: the first at 0, the last short of the end, which is held.
    row = inception._resized(torch.tensor([[[[0.0, 1.0], [0.0, 1.0]]]]))[0, 0, 0]
    assert float(row[0]) == 0 and float(row[100]) == pytest.approx(200 / 299) and float(row[-1]) == 1


def test_missing_weights_are_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(DataError, match="no Inception weights were found in .*give --inception PATH"):
        inception.find()
    with pytest.raises(DataError, match="there are no Inception weights at nowhere.pth"):
        inception.find("nowhere.pth")
    kept = tmp_path / "hub" / "checkpoints" / inception.NAMES[0]
    kept.parent.mkdir(parents=True)
    kept.write_bytes(b"no weights")
    assert inception.find() == kept
    with pytest.raises(DataError, match="cannot be read as Inception weights"):
        inception.load(kept, device=CPU)
    torch.save({"fc.weight": torch.zeros(10, 2048)}, kept)
    with pytest.raises(DataError, match="does not hold Inception weights"):
        inception.load(kept, device=CPU)
    for other in (torch.zeros(1000, 512), torch.zeros(())):  # a ResNet's; no layer's
        torch.save({"fc.weight": other}, kept)
        with pytest.raises(DataError, match="does not hold Inception weights"):
            inception.load(kept, device=CPU)
    torch.save({"fc.weight": torch.zeros(1008, 2048)}, kept)
    monkeypatch.setitem(sys.modules, "torchvision.models.inception", None)
    with pytest.raises(DataError, match="needs the package torchvision"):
        inception.load(kept, device=CPU)


@pytest.mark.parametrize("classes", [1000, 1008])
def test_inception(tmp_path: Path, classes: int) -> None:
    try:
        models = importlib.import_module("torchvision.models.inception")
    except (ImportError, RuntimeError) as wrong:
        pytest.skip(f"no torchvision that fits this torch: {wrong}")
    torch.manual_seed(0)
    network = models.Inception3(num_classes=classes, aux_logits=False, init_weights=False)
    torch.save(network.state_dict(), tmp_path / "weights.pth")
    extractor = inception.load(tmp_path / "weights.pth", device=CPU)
    found = extractor.features(pictures(1, size=(32, 32)))
    assert found.shape == (1, 2048) and bool(found.isfinite().all())
    assert ("no published FID" in extractor.says) == (classes == 1000)
    # The mean of ones is one everywhere only where the zeros of the margin are not counted.
    block = inception._build(classes, tmp_path).Mixed_5b
    pooled: list[torch.Tensor] = []
    block.branch_pool.register_forward_hook(lambda module, inputs, output: pooled.append(inputs[0]))
    block(torch.ones(1, 192, 5, 5))
    assert bool((pooled[0] == 1).all()) == (classes == 1008)
