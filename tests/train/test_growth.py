"""The schedule of a growth: what it says at every image, and what it refuses."""

from __future__ import annotations

import itertools
import math
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import SettingError
from train.config import Config
from train.growth import Growth, Stage

SIZES = [(4, 3), (8, 6), (16, 12), (32, 24)]


def growth(size: str = "32x24", *, pictures: int | None = 100, **settings: object) -> Growth:
    config = Config.read({"data": "phantoms", "arch": "stylegan", "size": size, **settings})
    height, _, width = size.partition("x")
    return Growth.of(config, (int(height), int(width)), pictures=pictures)


@st.composite
def schedules(draw: st.DrawFn) -> Growth:
    fades = [0, *(draw(st.integers(0, 600)) for _ in SIZES[1:])]
    # A size is as long as the largest batch, since the step before it may go past its beginning by that.
    stables = [draw(st.integers(max(0, 32 - fade), 600)) for fade in fades]
    batches = [4 * draw(st.integers(1, 8)) for _ in SIZES]
    return growth(
        fade=",".join(str(length / 1000) for length in fades),
        stable=",".join(str(length / 1000) for length in stables),
        batches=",".join(map(str, batches)),
    )


def walk(of: Growth, *, past: int = 100) -> list[tuple[int, Stage]]:
    """Every step as a training takes it: images before it, and its stage."""
    images, steps = 0, []
    while images < of.end + past:
        steps.append((images, of.at(images)))
        images += steps[-1][1].batch
    return steps


@given(schedules())
def test_a_training_grows_and_never_shrinks(of: Growth) -> None:
    steps = walk(of)
    for (images, stage), (_, after) in itertools.pairwise(steps):
        assert after.level >= stage.level and stage.size == SIZES[stage.level]
        assert 0 <= stage.alpha <= 1 and (stage.fading or stage.alpha == 1)
        if after.level == stage.level:
            assert after.alpha >= stage.alpha
        if stage.fading:
            assert stage.alpha == (images - stage.begin) / (stage.end - stage.begin) < 1
        assert stage.begin <= images < stage.end or images >= of.end
    assert steps[-1][1].size == SIZES[-1] and steps[-1][1].alpha == 1


@given(schedules())
def test_steps_are_counted_and_each_phase_ends_with_the_first_step_past_its_boundary(of: Growth) -> None:
    steps = walk(of)
    assert [of.step(images) for images, _ in steps] == list(range(len(steps)))
    for (images, stage), (after, later) in itertools.pairwise(steps):
        if (later.level, later.fading) != (stage.level, stage.fading) and images < of.end:
            assert images < stage.end <= after or after >= of.end


@given(schedules())
def test_what_is_reached_is_the_size_of_the_last_step(of: Growth) -> None:
    """So a checkpoint at the end of a size holds it finished, and not the next one faded in by nothing."""
    done = []
    for (_, stage), (images, after) in itertools.pairwise(walk(of)):
        reached = of.reached(images)
        assert reached.level == (stage.level if images < of.end else len(SIZES) - 1)
        assert reached.alpha >= stage.alpha
        if of.is_done(images):
            assert after.level > stage.level and reached.alpha == 1
            done.append(images)
    assert done == of.ends()
    assert of.reached(of.end) == of.final and not of.is_done(of.end)


def test_before_it_grows_it_may_learn_all_sizes_at_once() -> None:
    settings = {"fade": "0.1", "stable": "0.2", "batches": "32,32,32,16"}
    plain, of = growth(**settings), growth(**settings, reconstruct=0.25)
    assert of.at(0) == Stage(3, SIZES[3], 1.0, 16, 0, False, 250, ahead=True) and of.at(0).says == "head start"
    alone = 250 // 50  # images of the discriminator alone, at the first size
    first, *rest = of.stages()
    assert (first.begin, first.end) == (250, plain.stages()[0].end + 250 + alone)
    assert [(s.level, s.fading, s.begin - 250 - alone, s.end - 250 - alone) for s in rest] == [
        (s.level, s.fading, s.begin, s.end) for s in plain.stages()[1:]
    ]
    assert of.end == plain.end + 250 + alone and of.sizes == plain.sizes and of.grows
    steps = walk(of)
    assert [stage.ahead for images, stage in steps if images < 300] == [True] * 16 + [False] * 2  # 256 of 250
    assert [of.step(images) for images, _ in steps] == list(range(len(steps)))
    assert all(of.is_ahead(images) and of.reached(images) == of.final for images in (0, 16, 256))
    assert not of.is_ahead(257) and of.reached(288).size == SIZES[0]
    assert of.ends() == [images for images, _ in steps if of.is_done(images)] and len(of.ends()) == 3
    assert not growth(grow_from="32x24", stable="0.2", reconstruct=0.1).grows and not plain.is_ahead(0)
    with pytest.raises(SettingError, match="^stable cannot be .*32x24, which would be shown no picture: the step bef"):
        growth(grow_from="32x24", stable="0.004", reconstruct=0.1, batch=32)


def test_the_table_of_a_schedule() -> None:
    of = growth(fade="0,0.1,0.2,2e", stable="0.3,0,0.1,1e", batches="16,8,8,4", pictures=150)
    assert [(s.level, s.fading, s.begin, s.end, s.batch) for s in of.stages()] == [
        (0, False, 0, 300, 16),
        (1, True, 300, 400, 8),
        (2, True, 400, 600, 8),
        (2, False, 600, 700, 8),
        (3, True, 700, 1000, 4),
        (3, False, 1000, 1150, 4),
    ]
    assert of.end == 1150 and of.sizes == SIZES and of.grows
    assert of.at(304).alpha == 0.04, "alpha is of the nominal boundaries, taken at the start of a step"
    assert of.ends() == [304, 400, 704], "after the first step past each boundary"


def test_one_number_is_for_all_sizes_but_the_first_does_not_fade() -> None:
    of = growth(fade="0.1", stable="0.2", batch=8)
    assert [(s.level, s.fading) for s in of.stages()] == [
        (0, False),
        *((k, f) for k in (1, 2, 3) for f in (True, False)),
    ]
    assert of.end == 200 + 3 * 300 and {s.batch for s in of.stages()} == {8}


def test_growing_from_a_later_size() -> None:
    of = growth(grow_from="16x12", fade="0.1", stable="0.2", batches="8,4")
    assert [(s.level, s.size, s.fading) for s in of.stages()] == [
        (2, (16, 12), False),
        (3, (32, 24), True),
        (3, (32, 24), False),
    ]
    whole = growth(grow_from="32x24", stable="0.2")
    assert not whole.grows and whole.at(0) == whole.final


def test_without_stabilisation_the_last_size_ends_full_grown() -> None:
    of = growth(stable="0.1,0,0,0", fade="0.1")
    assert of.at(of.end - 1).alpha < 1 and of.at(of.end).alpha == 1
    assert of.reached(of.end).alpha == 1 and of.final.size == (32, 24)


def test_what_does_not_grow_is_a_growth_of_one_stage() -> None:
    config = Config.read({"data": "phantoms", "size": "32", "batch": 8, "kimg": 0.5})
    of = Growth.of(config, (32, 32), pictures=None)
    assert [(s.level, s.size, s.alpha, s.batch, s.end) for s in of.stages()] == [(3, (32, 32), 1.0, 8, 500)]
    assert of.at(10**9) == of.at(0) == of.final and of.step(80) == 10 and of.ends() == [] and not of.grows


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"grow_from": "64x48"}, "grow_from cannot be '64x48': one of 4x3, 8x6, 16x12, 32x24.*does not shrink"),
        ({"grow_from": "10x8"}, "grow_from cannot be '10x8': one of 4x3"),
        ({"size": "100x90"}, "size cannot be '100x90'"),
        ({"start": "5x5"}, "start cannot be '5x5'"),
        ({"batches": "16,8"}, "batches cannot be '16,8': 4 numbers, one for each size trained on: 4x3, 8x6"),
        ({"batches": "16,8,8,2"}, "batches cannot be '2': at least the minibatch group, 4; change --batches"),
        ({"batches": "16,8,8,6"}, "batches cannot be '6': a multiple of the minibatch group, 4"),
        ({"batches": "16,8,8,4", "micro_batch": 12}, "micro_batch cannot be '12': .*divides the batch, 16"),
        ({"fade": "1,2"}, "fade cannot be '1,2': one number for all sizes, or 4 numbers"),
        ({"fade": "1,2,3,4"}, "fade cannot be '1,2,3,4': 0 for 4x3, the first size"),
        ({"fade": "-1"}, "fade cannot be '-1': numbers from 0 to 1000000000"),
        ({"fade": "9" * 400}, "fade cannot be '9+...': numbers from 0 to 1000000000"),
        ({"stable": "1,1,1,1000000001e"}, "stable cannot be '1,1,1,1000000001e': numbers from 0 to 1000000000"),
        ({"kimg": 1e306}, r"kimg cannot be '1e\+306': a number from 0.001 to 1000000000"),
        ({"tick": 1e306}, r"tick cannot be '1e\+306'"),
        ({"every": 1e306}, r"every cannot be '1e\+306'"),
        ({"stable": "nan"}, "stable cannot be 'nan'"),
        ({"stable": "0"}, "stable cannot be '0': more than 0 for 4x3"),
        ({"stable": "1,0,1,1", "fade": "0,0,1,1"}, "stable cannot be '1,0,1,1': more than 0 for 8x6"),
        ({"path_weight": 2.0}, "path_weight cannot be '2.0': 0.0 with stylegan"),
        ({"g_architecture": "resnet"}, "g_architecture cannot be 'resnet': skip with stylegan"),
        ({"arch": "stylegan2", "fade": "10"}, "fade cannot be '10': 600 with stylegan2, which does not grow"),
        ({"loss": "wgan-gp", "gamma": 1.0}, "gamma cannot be '1.0': auto with --loss wgan-gp"),
        ({"loss": "wgan-gp", "augment": "ada"}, "augment cannot be 'ada': none or fixed:P with --loss wgan-gp"),
    ],
)
def test_schedules_that_cannot_be(settings: dict[str, object], said: str) -> None:
    with pytest.raises(SettingError, match=said):
        growth(**{"size": "32x24", **settings})  # type: ignore[arg-type]


def test_a_size_that_lies_within_the_step_before_it_is_refused() -> None:
    """Else a run would be done with levels that no step has reached, and say nothing."""
    said = "cannot be '0.004': more for 8x6, which would be shown no picture: the step before goes past its end"
    with pytest.raises(SettingError, match=f"stable {said}"):
        growth(fade="0.004", stable="0.004", batch=16)
    with pytest.raises(SettingError, match="fade cannot be '0,0.004,0.1,0.1': more for 8x6"):
        growth(fade="0,0.004,0.1,0.1", stable="0.004,0,0,0", batch=16)
    with pytest.raises(SettingError, match="stable cannot be '1e': more for 8x6"):
        growth(fade="0", stable="1e", batch=32, pictures=10)
    assert growth(fade="0.004", stable="0.012", batch=16).ends() == [16, 32, 48]


def test_epochs_are_passes_over_the_pictures() -> None:
    assert growth(stable="1.5e", fade="0.1", pictures=33).stages()[0].end == math.ceil(1.5 * 33)
    with pytest.raises(SettingError, match=re.escape("stable cannot be '2e': a number of kimg: phantoms have no end")):
        growth(stable="2e", pictures=None)


def test_path_lengths_are_off_for_what_grows_and_other_defaults_are_its_own() -> None:
    config = Config.read({"data": "phantoms", "arch": "stylegan"})
    assert (config.path_weight, config.g_lr, config.gamma, config.images(auto=7)) == (0.0, 0.001, 10.0, 7)
    assert Config.read({"data": "phantoms", "arch": "stylegan", "loss": "wgan-gp"}).gamma == "auto"
    assert Config.read({"data": "phantoms", "arch": "stylegan", "g_lr": 0.002}).g_lr == 0.002
    assert Config.read({"data": "phantoms"}).images() == 1_000_000
