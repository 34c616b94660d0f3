"""Standard errors against closed forms, and figures without a group against the same worked out from what is left."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from core.errors import DataError
from tests.train import make
from tests.train.metrics.test_distances import normals
from tests.train.metrics.test_evaluation import heads, measured
from train.config import Config
from train.metrics import (
    density_coverage,
    descriptors,
    frechet_distance,
    kernel_distance,
    left_out,
    moments,
    precision_recall,
    sliced_wasserstein,
)
from train.metrics.bench import Bench, divide
from train.metrics.jackknife import GROUPS, blocks, grouped, standard_error
from train.metrics.measures import _pairs_without
from train.metrics.pyramid import FEWER, without_groups
from train.opening import open_data, plan


def frechet(a: np.ndarray, b: np.ndarray) -> float:
    return frechet_distance(*moments(a), *moments(b))


def test_the_error_of_a_mean_is_the_deviation_over_the_root() -> None:
    x = normals(50, 1)[:, 0]
    left = [np.delete(x, k).mean() for k in range(50)]
    assert standard_error(left) == pytest.approx(x.std(ddof=1) / math.sqrt(50), rel=1e-12)


def test_the_error_of_a_mean_over_groups_is_that_of_the_means_of_groups() -> None:
    x, groups = normals(60, 1)[:, 0], blocks(60, 10)
    means = x.reshape(10, 6).mean(1)
    left = [x[groups != g].mean() for g in range(10)]
    assert standard_error(left) == pytest.approx(means.std(ddof=1) / math.sqrt(10), rel=1e-12)


def test_one_group_says_nothing() -> None:
    assert math.isnan(standard_error([1.0])) and math.isnan(standard_error([])) and standard_error([2.0, 2.0]) == 0


def test_the_error_of_a_frechet_distance_is_the_spread_of_fresh_draws() -> None:
    """Of two independent sets, far enough apart for its distribution to be about normal."""
    found, errors = [], []
    for seed in range(30):
        a, b = normals(200, 3, seed=seed), normals(200, 3, seed=100 + seed) + 1
        found.append(frechet(a, b))
        errors.append(standard_error(left_out.frechet(a, b, grouped(range(200), 10), grouped(range(200), 10))))
    assert np.mean(errors) == pytest.approx(np.std(found, ddof=1), rel=0.3)


def test_neighbours_of_one_person_are_not_independent() -> None:
    """Twenty copies of each number say no more than one of each."""
    x = normals(40, 1)[:, 0]
    copies, who = np.repeat(x, 20), np.repeat(np.arange(40), 20)
    groups, alone = grouped(who.tolist(), 10), grouped(range(800), 10)
    by_person, by_picture = (standard_error(copies[own != g].mean() for g in range(10)) for own in (groups, alone))
    assert by_person == pytest.approx(x.std(ddof=1) / math.sqrt(40), rel=0.5) and by_picture < by_person / 2


def test_groups_are_whole_people_and_about_equal() -> None:
    who = ["a"] * 30 + ["b"] * 10 + ["c"] * 10 + ["d"] * 11 + [str(k) for k in range(30)]
    groups = grouped(who, 3)
    assert len({(one, int(g)) for one, g in zip(who, groups, strict=True)}) == len(set(who))
    assert max(np.bincount(groups)) - min(np.bincount(groups)) <= 1
    assert np.bincount(grouped(range(25), GROUPS)).tolist() == [3] * 5 + [2] * 5
    assert np.bincount(blocks(25, GROUPS)).min() >= 2 and (np.diff(blocks(25, GROUPS)) >= 0).all()


@pytest.mark.parametrize("shape", [(60, 8), (30, 50)])
def test_distances_without_a_group_are_those_of_the_rest(shape: tuple[int, int]) -> None:
    a, b = normals(*shape), normals(*shape, seed=1) * 1.3 + 0.2
    groups, others = grouped(np.arange(len(a)).tolist(), 5), grouped([k // 3 for k in range(len(b))], 5)
    pairs: list[tuple[Callable[..., list[float]], Callable[..., float]]] = [
        (left_out.frechet, frechet),
        (left_out.kernel, kernel_distance),
    ]
    for left, whole in pairs:
        expected = [whole(a[groups != g], b[others != g]) for g in range(5)]
        assert left(a, b, groups, others) == pytest.approx(expected, rel=1e-6)


def test_manifolds_without_a_group_keep_their_radii() -> None:
    x, y = normals(40, 3), normals(50, 3, seed=1) * 0.8
    groups, others = grouped(range(40), 4), grouped(range(50), 4)
    nearest = [np.sort(np.linalg.norm(part[:, None] - part[None], axis=2), axis=1)[:, 5] for part in (x, y)]
    apart = np.linalg.norm(x[:, None] - y[None], axis=2)
    for g, found in enumerate(zip(*left_out.manifolds(x, y, groups, others), strict=True)):
        kept, left = groups != g, others != g
        in_real = (apart <= nearest[0][:, None] * (1 + 1e-9))[kept][:, left]
        in_fake = (apart <= nearest[1][None] * (1 + 1e-9))[kept][:, left]
        expected = [in_real.any(0).mean(), in_fake.any(1).mean(), in_real.sum() / (5 * left.sum())]
        assert found == pytest.approx([*expected, in_real.any(1).mean()])


def test_with_nobody_left_out_manifolds_are_those_of_the_figures() -> None:
    x, y = normals(40, 3), normals(40, 3, seed=1)
    groups = 1 + np.arange(40) % 2  # group 0 is empty
    found = [part[0] for part in left_out.manifolds(x, y, groups, groups)]
    assert found == pytest.approx([*precision_recall(x, y), *density_coverage(x, y)])


def test_wide_features_of_many_pictures_have_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(left_out, "WIDEST", 8)
    groups = grouped(range(20), 5)
    assert left_out.frechet(normals(20, 9), normals(20, 9), groups, groups) == []
    assert len(left_out.frechet(normals(20, 8), normals(20, 8), groups, groups)) == 5


@pytest.mark.parametrize("left", [left_out.frechet, left_out.kernel, left_out.manifolds])
def test_a_group_of_nearly_everybody(left: Callable[..., Any]) -> None:
    groups = np.zeros(20, np.int64)
    others = groups.copy()
    others[0] = 1
    groups[1] = 1
    with pytest.raises(DataError, match="outside of each group"):
        left(
            normals(20, 3), normals(20, 3), *((others, groups) if left is not left_out.manifolds else [groups * 0] * 2)
        )
    assert Bench.errors(lambda _: left(normals(20, 3), normals(20, 3), groups * 0, groups * 0)) == {
        "error": None,
        "real_error": None,
    }


@pytest.mark.parametrize("channels", [1, 3])
def test_sliced_wasserstein_without_a_group(channels: int) -> None:
    """What is left, normalised anew by its own mean and deviation, over the same directions."""
    random = np.random.default_rng(0)
    sets = [random.integers(0, 256, (12, channels, 32, 32), dtype=np.uint8) // (k + 1) for k in range(2)]
    a, b = (descriptors(part, seed=0) for part in sets)
    groups = grouped(range(12), 4)
    found = without_groups(a, b, groups, groups, seed=3)
    assert found.shape == (4, len(a))
    kept = torch.from_numpy(groups != 1).repeat_interleave(len(a[0]) // 12)
    sides = []
    for part in (a[0][kept], b[0][kept]):
        cells = part.unflatten(1, (channels, 49))
        sides.append(((cells - cells.mean((0, 2), keepdim=True)) / cells.std((0, 2), keepdim=True)).flatten(1))
    directions = torch.from_numpy(np.random.default_rng(3).standard_normal((49 * channels, FEWER)).astype(np.float32))
    lines = [(part @ (directions / directions.norm(dim=0))).sort(dim=0).values for part in sides]
    assert found[1, 0] == pytest.approx(float((lines[0] - lines[1]).abs().mean()), rel=0.01)
    assert found[:, 0].mean() == pytest.approx(sliced_wasserstein(a, b, seed=3)[0], rel=0.3)


def test_pairs_without_those_of_a_group() -> None:
    values, groups = np.array([10.0, 1, 2, 3, 4, 5]), np.array([0, 0, 1, 1, 2, 2])
    # Number k is of the pictures k and k - 1, and the first of the first and the last one.
    assert _pairs_without(values, groups) == [pytest.approx((3 + 4 + 5) / 3), pytest.approx(16 / 3), pytest.approx(2)]


def test_pictures_are_grouped_by_person(tmp_path: Any) -> None:
    for person in range(24):
        for number in range(3):
            make.save(tmp_path / f"person{person:03}_slice{number:02}.png", make.picture("L", (16, 16), seed=person))
    data = open_data(plan(Config.read({"data": str(tmp_path), "size": "16"})))
    sets = divide(data, held=None, count=36, crop=(0, 0, 16, 16), seed=0)
    bench = Bench(sets, None, each=lambda: None)  # type: ignore[arg-type]
    fakes, reference = bench.groups({"fake": 36, "reference": 36})
    units = sets.units(sets.reference)
    assert len(set(units)) == 12 and reference.max() == fakes.max() == GROUPS - 1
    assert len(set(zip(units, reference.tolist(), strict=True))) == 12


def test_phantoms_are_nobody_twice() -> None:
    sets = divide(heads(), held=None, count=20, crop=(0, 0, 16, 16), seed=0)
    assert len(set(sets.units(sets.reference))) >= 20


def test_the_error_of_a_figure_shrinks_with_more_pictures() -> None:
    small, large = (measured(count=count, names="sharpness_fine")["sharpness_fine"] for count in (20, 400))
    assert large["error"] < small["error"] and large["real_error"] < small["real_error"]


def test_whether_a_run_was_mirrored_stands_in_every_row() -> None:
    assert measured(names="spread", count=12, mirrored=True)["spread"]["mirrored"] is True


@pytest.mark.filterwarnings("error")
def test_one_person_who_is_nearly_everybody(tmp_path: Any) -> None:
    for number in range(33):
        person = 3 if number == 32 else number // 16
        make.save(tmp_path / f"person{person:03}_slice{number:02}.png", make.picture("L", (16, 16), seed=number))
    data = open_data(plan(Config.read({"data": str(tmp_path), "size": "16"})))
    for seed in range(3):
        found = measured(data=data, names="nearer,nearest,sharpness_fine,spread", seed=seed)
        assert set(found) == {"nearer", "nearest", "sharpness_fine", "spread"}
        assert all(math.isfinite(one["value"]) for one in found.values())
