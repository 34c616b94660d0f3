"""The nearest real pictures: distances against a plain restatement, ranks, and the verdicts that they lead to."""

from __future__ import annotations

import numpy as np
import pytest

from explorer import nearest
from explorer.nearest import Real

BOX = (1, 2, 14, 12)
SHAPE = (16, 18)


def smooth(random: np.random.Generator, count: int, planes: int = 1) -> np.ndarray:
    """Pictures as people's slices are: of one kind, no two alike; uint8 [N, C, 16, 18]."""
    middle = random.integers(60, 180, (1, planes, *SHAPE))
    return np.clip(middle + random.normal(0, 40, (count, planes, *SHAPE)), 0, 255).astype(np.uint8)


def people(random: np.random.Generator, *, count: int = 30, each: int = 3, **more: object) -> Real:
    """Some people, several pictures of each that are much alike."""
    first = np.repeat(smooth(random, count), each, axis=0).astype(np.int64)
    pixels = np.clip(first + random.integers(-6, 7, first.shape), 0, 255).astype(np.uint8)
    values = {"who": np.repeat(np.arange(count), each), "training": np.ones(count * each, bool), "named": True, **more}
    return Real(pixels, BOX, **values)  # type: ignore[arg-type]


def plainly(real: Real, picture: np.ndarray, row: int) -> float:
    """The distance to a row, in float64, the nearer way round where that counts."""
    top, left, height, width = real.box
    whole = real.pixels[row].astype(np.float64)
    ways = [whole, whole[..., ::-1]] if real.mirrored else [whole]
    planes = picture[None] if picture.ndim == 2 else picture.transpose(2, 0, 1)
    shown = [way[:, top : top + height, left : left + width] for way in ways]
    return min(float(np.sqrt(((one - planes) ** 2).mean())) for one in shown)


@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("planes", [1, 3])
def test_the_nearest_are_those_of_a_plain_search(planes: int, mirrored: bool) -> None:
    random = np.random.default_rng(planes)
    pixels = random.integers(0, 256, (70, planes, *SHAPE), np.uint8)
    training = np.arange(70) % 7 != 0
    real = Real(pixels, BOX, np.arange(70) // 5, training, named=True, mirrored=mirrored)
    picture = random.integers(0, 256, BOX[2:] if planes == 1 else (*BOX[2:], 3), np.uint8)
    ((found, _),) = nearest.near(real, [picture], number=6)
    wanted = sorted((plainly(real, picture, row), row) for row in np.flatnonzero(training).tolist())[:6]
    assert [one.row for one in found] == [row for _, row in wanted]
    assert np.allclose([one.distance for one in found], [away for away, _ in wanted], rtol=1e-12)
    assert mirrored == any(one.mirrored for one in nearest.near(real, [picture], number=60)[0][0])


def test_held_out_pictures_are_compared_with_other_people_alone() -> None:
    real = people(np.random.default_rng(0))
    yard = nearest.measured(real)
    assert yard.kind == "people" and len(yard.distances) == 90
    for row in (0, 31, 89):
        away = np.array([plainly(real, real.shown(row), other) for other in range(90)])
        least = [away[real.who == who].min() for who in range(30) if who != real.who[row]]
        assert yard.distances[row] == pytest.approx(min(least), rel=1e-4)
        rest = sorted(least)[1 : 1 + nearest.NEXT]
        assert yard.leads[row] == pytest.approx(min(least) / np.mean(rest), rel=1e-4)


def test_a_run_that_held_some_out_is_measured_by_those() -> None:
    real = people(np.random.default_rng(1), training=np.arange(90) < 60)
    yard = nearest.measured(real)
    assert yard.kind == "held" and len(yard.distances) == 30
    assert yard.distances[4] == pytest.approx(min(plainly(real, real.shown(64), row) for row in range(60)), rel=1e-4)
    ((found, _),) = nearest.near(real, [real.shown(70)], number=1)
    assert found[0].row < 60 and found[0].distance > 1  # what was held out is not found


def test_pictures_of_nobody_known_are_compared_with_all_others() -> None:
    real = people(np.random.default_rng(2), who=np.arange(90), named=False)
    yard = nearest.measured(real)
    assert yard.kind == "others"
    others = [plainly(real, real.shown(5), row) for row in range(90) if row != 5]
    assert yard.distances[5] == pytest.approx(min(others), rel=1e-4)


def test_of_many_pictures_some_measure_always_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    real = people(np.random.default_rng(3))
    whole = nearest.measured(real)
    shares = list[float]()
    monkeypatch.setattr(nearest, "_MOST", 20)
    monkeypatch.setattr(nearest, "_QUERIES", 4 * 30 * 7)  # seven at a time
    first, second = nearest.measured(real, tick=shares.append), nearest.measured(real)
    assert len(first.distances) == 20 and np.array_equal(first.distances, second.distances)
    assert np.isin(np.round(first.distances, 3), np.round(whole.distances, 3)).all()
    assert shares == sorted(shares) and shares[-1] == 1


def test_verdicts() -> None:
    random = np.random.default_rng(4)
    real = people(random, count=120)
    yard = nearest.measured(real)

    def verdict(picture: np.ndarray) -> str:
        return nearest.answer(real, yard, [np.clip(picture, 0, 255).astype(np.uint8)], number=2)[0].verdict

    copied = real.shown(7).astype(np.int64)
    assert verdict(copied) == "same"
    assert verdict(copied + random.integers(-9, 10, copied.shape)) == "copy"
    middle = real.pixels[::3, 0, 1:15, 2:14].mean(axis=0)
    assert verdict(middle) == "smooth"  # nearer to everybody than they are to each other, and a copy of nobody
    fresh = people(np.random.default_rng(4), count=240)  # the same kind: their middle is drawn first
    seen = [verdict(fresh.shown(row)) for row in range(360, 720, 3)]
    assert seen.count("usual") > 100 and seen.count("copy") + seen.count("same") <= 3
    assert verdict(255 - middle) == "far"


def test_a_mirror_image_counts_where_the_training_showed_them() -> None:
    random = np.random.default_rng(5)
    real = people(random, mirrored=True)
    turned = real.shown(11, mirrored=True)
    ((found, lead),) = nearest.near(real, [turned], number=3)
    assert (found[0].row, found[0].distance, found[0].mirrored) == (11, 0.0, True) and lead == 0
    plain = Real(real.pixels, BOX, real.who, real.training, named=True)
    assert nearest.near(plain, [turned], number=1)[0][0][0].distance > 10


def test_two_people_have_no_next_ones() -> None:
    real = people(np.random.default_rng(6), count=2)
    yard = nearest.measured(real)
    assert len(yard.distances) == 6 and not np.isfinite(yard.leads).any()
    (found,) = nearest.answer(real, yard, [real.shown(0)], number=9)
    assert found.alone is None and len(found.near) == 6


def test_many_pictures_are_answered_as_one_by_one(monkeypatch: pytest.MonkeyPatch) -> None:
    real = people(np.random.default_rng(7))
    yard = nearest.measured(real)
    sought = [*smooth(np.random.default_rng(8), 9)[:, 0, 1:15, 2:14], real.shown(4)]
    alone = [nearest.answer(real, yard, [one], number=3)[0] for one in sought]
    monkeypatch.setattr(nearest, "_QUERIES", 4 * 4 * 14 * 12)  # four at a time
    shares = list[float]()
    together = nearest.answer(real, yard, sought, number=3, tick=shares.append)
    assert [one.near for one in together] == [one.near for one in alone] and together[-1].verdict == "same"
    assert np.allclose([one.lead for one in together], [one.lead for one in alone], rtol=1e-4)
    assert shares == sorted(shares) and shares[-1] == 1


def test_few_held_out_pictures_tell_no_rarity() -> None:
    random = np.random.default_rng(4)
    for people_there, wanted in ((32, "few"), (33, "copy")):  # of 96 and of 99 pictures
        real = people(random, count=people_there)
        yard = nearest.measured(real)
        moved = real.shown(7).astype(np.int64)
        moved = np.clip(moved + random.integers(-9, 10, moved.shape), 0, 255).astype(np.uint8)
        (found,) = nearest.answer(real, yard, [moved], number=1)
        assert (found.nearer, found.alone, found.verdict) == (1, 1, wanted)
