"""All figures of a toy network on phantoms: every one with its rows and its facts, and nothing else disturbed."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import pytest
import torch

import core
from core.errors import DataError, SettingError
from core.frame import Frame
from tests.train import make
from train.config import Config
from train.data import Phantoms
from train.metrics import draw, evaluate, names, rank, read_names
from train.metrics.bench import Bench, Kept, divide
from train.metrics.evaluation import chosen, default_count, steps
from train.metrics.measures import MEASURES
from train.opening import open_data, plan

CPU = torch.device("cpu")
FACTS = {"value", "real", "noise", "error", "real_error", "goal", "title", "extractor", "n", "filter", "seed", "data"}
FACTS |= {"against", "mirrored"}


def toy(*, channels: int = 1, num_classes: int = 0) -> tuple[core.Generator, core.Discriminator]:
    torch.manual_seed(0)
    shared: dict[str, Any] = {"size": (16, 16), "filters": (8, 8, 8), "start": (4, 4), "channels": channels}
    shared["num_classes"] = num_classes
    g = core.build_generator(core.GeneratorConfig(**shared, z_dim=8, w_dim=8, mapping_layers=1))
    return g, core.build_discriminator(core.DiscriminatorConfig(**shared, mapping_layers=1))


def heads(size: int = 16) -> Phantoms:
    return Phantoms(frame=Frame.of((size, size), size=(16, 16), fit="native"), channels=1)


def measured(**changes: Any) -> dict[str, Any]:
    g, d = toy()
    return evaluate(g, d, changes.pop("data", heads()), **{"device": CPU, "count": 16, **changes})


def test_every_figure_has_its_rows_and_its_facts() -> None:
    called: list[int] = []
    g, d = toy()
    before = torch.random.get_rng_state(), np.random.get_state()[1].tolist()  # type: ignore[union-attr]
    figures = evaluate(g, d, heads(), count=16, device=CPU, each=lambda: called.append(1))
    assert torch.equal(before[0], torch.random.get_rng_state())
    assert before[1] == np.random.get_state()[1].tolist()  # type: ignore[union-attr]
    assert list(figures) == [name for name in names() if not name.endswith("inception")]
    assert len(called) == steps(chosen("", judged=True, inception=False), 16, (0, 0, 16, 16))
    json.dumps(figures, allow_nan=False)
    for figure in figures.values():
        assert set(figure) - {"levels", "scales"} == FACTS
        assert figure["data"] == "phantoms" and figure["seed"] == 0 and "lanczos" in figure["filter"]
        assert all(math.isfinite(figure[row]) for row in ("value", "real", "noise", "error", "real_error"))
        assert figure["error"] >= 0 and figure["real_error"] >= 0 and figure["mirrored"] is None
    assert set(figures["swd"]["levels"]) == {"16x16"} and figures["swd"]["levels"]["16x16"]["error"] > 0
    assert figures["ms_ssim"]["scales"] == 1
    assert figures["swd"]["extractor"] is None and "discriminator" in figures["recall_discriminator"]["extractor"]


def test_real_pictures_are_near_and_noise_is_far() -> None:
    figures = measured(count=60, names="swd,frechet_random,kernel_random,recall_random,nearest,nearer,spread")
    for name in ("swd", "frechet_random", "kernel_random"):
        assert figures[name]["real"] < 0.2 * figures[name]["noise"]
    assert figures["recall_random"]["real"] > 0.8 and figures["recall_random"]["noise"] < 0.1
    assert figures["nearest"]["real"] == pytest.approx(1, abs=0.2) and figures["nearest"]["noise"] > 2
    assert figures["nearer"]["real"] < 0.1 and figures["spread"]["real"] == pytest.approx(1, abs=0.2)


def test_pictures_of_a_smaller_size_say_that_they_are_averages(tmp_path: Any) -> None:
    large = Phantoms(frame=Frame.of((32, 32), size=(32, 32), fit="native"), channels=1)
    said = {
        data.averaged: measured(data=data, names="spread")["spread"]["filter"] for data in (heads(), large.at((16, 16)))
    }
    assert said == {False: "lanczos, fit native", True: "lanczos, fit native; averages to 16x16"}
    assert not large.at((32, 32)).averaged and large.at((16, 16)).at((8, 8)).averaged
    make.save(tmp_path / "a.png", make.picture("L", (32, 32)))
    make.save(tmp_path / "b.png", make.picture("L", (32, 32), seed=1))
    data = open_data(plan(Config.read({"data": str(tmp_path)})))
    assert not data.at((32, 32)).averaged and data.at((16, 16)).averaged


def test_the_same_figures_again() -> None:
    some = ["swd", "kernel_discriminator", "path_length_random", "ms_ssim"]
    assert measured(names=some) == measured(names=some)
    assert measured(names=some)["swd"] != measured(names=some, seed=5)["swd"]


def test_what_is_kept_of_real_pictures_changes_no_figure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A second round looks at them no more, unless it is of other pictures, and sees the network anew."""
    read: list[int] = []
    real = draw.real
    monkeypatch.setattr(draw, "real", lambda data, rows, crop: read.append(len(rows)) or real(data, rows, crop=crop))
    kept = Kept()
    g, d = toy()
    other = core.build_generator(g.config)
    for generator, given, times in ((g, {}, 2), (g, {}, 0), (other, {}, 0), (g, {"count": 20}, 2), (g, {"seed": 3}, 2)):
        how: dict[str, Any] = {"count": 16, "device": CPU, **given}
        read.clear()
        assert evaluate(generator, d, heads(), kept=kept, **how) == evaluate(generator, d, heads(), **how)
        assert len(read) == times + 2, "as often as without, beside as often as it is not known"
    held = Phantoms(frame=heads().frame, channels=1, heads=(0, 60))
    assert measured(held=held, kept=kept) == measured(held=held)


def test_a_copy_of_the_training_pictures_is_found_out() -> None:
    """Pictures that were trained on, shown as if they were samples."""
    training = Phantoms(frame=heads().frame, channels=1, heads=(0, 60))
    held = Phantoms(frame=heads().frame, channels=1, heads=(60, 120))
    sets = divide(training, held=held, count=40, crop=(0, 0, 16, 16), seed=0)

    class Copies:
        """Stands where a network's pictures are drawn."""

        def samples(self, count: int, **_: object) -> np.ndarray:
            return draw.real(training, range(count), crop=sets.crop)

    bench = Bench(sets, Copies(), each=lambda: None)  # type: ignore[arg-type]
    table = {measure.name: measure for measure in MEASURES}
    assert table["nearer"].run(bench, None, 40)[0][0] == 1
    assert table["nearest"].run(bench, None, 40)[0][0] == 0


def test_held_out_pictures_are_what_is_compared_with() -> None:
    training, held = heads().split(0.1, seed=0)
    figures = measured(data=training, held=held, names="spread")
    assert figures["spread"]["against"] == "held-out pictures"


def test_halves_are_of_different_people(tmp_path: Any) -> None:
    for person in range(16):
        for number in range(3):
            make.save(tmp_path / f"person{person:03}_slice{number:02}.png", make.picture("L", (16, 16), seed=person))
    data = open_data(plan(Config.read({"data": str(tmp_path), "size": "16"})))
    sets = divide(data, held=None, count=100, crop=(0, 0, 16, 16), seed=0)
    people = [{name[:9] for name in side.names} for side in (sets.reference, sets.other)]  # type: ignore[attr-defined]
    assert not people[0] & people[1] and sets.count == 24
    assert sets.rows(sets.other) != sorted(sets.rows(sets.other))


def test_classes_and_colour() -> None:
    g, d = toy(channels=3, num_classes=2)
    data = Phantoms(frame=Frame.of((16, 16), size=(16, 16), fit="native"), channels=3)
    figures = evaluate(g, d, data, names="kernel_discriminator,ks_contrast", count=12, device=CPU)
    assert figures["kernel_discriminator"]["n"] == 12


def test_without_a_discriminator_its_figures_are_left_out() -> None:
    g, _ = toy()
    figures = evaluate(g, None, heads(), names=(), count=12, device=CPU)
    assert figures and not [name for name in figures if name.endswith("discriminator")]
    with pytest.raises(SettingError, match="has no discriminator"):
        evaluate(g, None, heads(), names="recall_discriminator", count=12, device=CPU)


def test_names() -> None:
    assert read_names("fid, swd,swd,kid") == ["frechet_inception", "swd", "kernel_inception"]
    assert read_names("") == []
    with pytest.raises(SettingError, match="metrics cannot be 'fidd': one of swd, frechet_random, .*fid, kid"):
        read_names("swd,fidd")


@pytest.mark.parametrize("count", [0, 11, 50001])
def test_counts(count: int) -> None:
    with pytest.raises(SettingError, match="count cannot be"):
        measured(count=count)
    assert default_count((4, 4, 104, 88)) == 1000 and 250 < default_count((8, 8, 208, 176)) < 1000


def test_too_few_pictures() -> None:
    few = Phantoms(frame=heads().frame, channels=1, heads=(0, 20))
    with pytest.raises(DataError, match="10 pictures on one side are too few"):
        measured(data=few)


def test_a_broken_network_is_said() -> None:
    g, d = toy()
    with torch.no_grad():
        d.epilogue.conv.bias.fill_(math.nan)
    with pytest.raises(DataError, match="not finite"):
        evaluate(g, d, heads(), names="kernel_discriminator", count=12, device=CPU)


def test_rank() -> None:
    figure = {"value": 0.8, "real": 1.0, "noise": 3.0}
    assert rank({**figure, "goal": "lower"}) == 0.8 and rank({**figure, "goal": "higher"}) == -0.8
    assert rank({**figure, "goal": "real"}) == pytest.approx(0.2)
    assert rank({**figure, "goal": "lower", "value": None}) == math.inf
