"""Timelines: frames by exact arithmetic, ways through finished ws, limits, and the way there and back through files."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core import carried, pictures
from core.errors import SettingError
from explorer import animate
from explorer.animate import Walk
from explorer.recipe import Mix, Recipe, Steer
from explorer.studio import Studio
from explorer.timeline import MOST_KEYS, Key, Timeline, spline_weights
from tests.core.gif import decode_gif
from tests.explorer.test_main import Do, do, refused

__all__ = ["do", "refused"]

BRAIN = Recipe(checkpoint="brain")


def keys(*spots: tuple[int, float], ease: str = "linear") -> tuple[Key, ...]:
    return tuple(Key(replace(BRAIN, seed=seed), time, ease) for seed, time in spots)


FOUR = keys((3, 0.0), (9, 0.5), (27, 0.7), (41, 2.0))


def hermite(u: Fraction, times: list[Fraction], points: list[np.ndarray]) -> np.ndarray:
    """The curve of the docstring in float64, from its ends and velocities."""
    t0, t1, t2, t3 = times
    h = t2 - t1
    one, two = (points[2] - points[0]) * float(h / (t2 - t0)), (points[3] - points[1]) * float(h / (t3 - t1))
    a, b, c = 2 * u**3 - 3 * u**2 + 1, u**3 - 2 * u**2 + u, u**3 - u**2
    return float(a) * points[1] + float(b) * one + float(1 - a) * points[2] + float(c) * two


def test_a_walk_is_a_timeline_with_the_same_frames() -> None:
    """Frame k of a stretch stands at exactly k/S, whatever the frames a second do to the times."""
    for fps in (24.0, 29.97, 0.1, 7 / 3):
        for loop in (False, True):
            walk = Walk(tuple(replace(BRAIN, seed=seed) for seed in (3, 9, 27)), steps=7, loop=loop, fps=fps)
            frames = walk.frames()
            assert len(frames) == walk.count == walk.timeline.count == (21 if loop else 15)
            shares = [frame.toward.t if frame.toward else 0.0 for frame in frames[:14]]
            assert shares == [k / 7 for k in range(7)] * 2
            assert frames[7].seed == 9 and frames[14 % len(frames)].seed == 27
            again = Timeline.parse(walk.timeline.json())
            assert again == walk.timeline and again.frames() == frames


def test_linear_and_spline_go_through_finished_ws(studio: Studio) -> None:
    points = [studio.ws(key.recipe).double().numpy() for key in FOUR]
    straight = Timeline(FOUR, fps=20)
    assert straight.count == 41
    for frame, (a, b, t) in {3: (0, 1, 0.3), 12: (1, 2, 0.5), 27: (2, 3, 0.5)}.items():
        assert np.allclose(studio.ws(straight.frame(frame)).numpy(), (1 - t) * points[a] + t * points[b], atol=1e-5)
    curve = Timeline(FOUR, fps=20, spline="catmull-rom")
    times = [Fraction(0), Fraction(1, 2), Fraction(7, 10), Fraction(2)]
    for frame, u in ((11, Fraction(1, 4)), (12, Fraction(1, 2)), (13, Fraction(3, 4))):
        assert np.allclose(studio.ws(curve.frame(frame)).numpy(), hermite(u, times, points), atol=1e-5)
    for timeline in (straight, curve):
        for frame, key in zip((0, 10, 14, 40), FOUR, strict=True):
            assert timeline.frame(frame) is key.recipe
    # Where it has only straight neighbours, the curve is the line.
    assert np.allclose(spline_weights(0.3, [None, 0.0, 1.0, None]), [0, 0.7, 0.3, 0])


@pytest.mark.parametrize("gaps", [(1, 1, 1), (1, 1000, 1), (1000, 1, 1000), (1, 1000, 1000)])
def test_no_spacing_of_times_throws_the_curve_far_out(gaps: tuple[int, int, int]) -> None:
    places = [0.0, *map(float, np.cumsum(gaps))]
    for u in np.linspace(0, 1, 21):
        weights = spline_weights(float(u), list(places))
        assert math.isclose(math.fsum(weights), 1) and min(weights) > -4 / 27 - 1e-9 and max(weights) < 1.2
        # What moves at one pace goes on at that pace.
        assert math.isclose(np.dot(weights, places), places[1] + u * gaps[1], abs_tol=1e-9)


def test_steps_along_a_direction_pass_through_every_amount_between(studio: Studio) -> None:
    ends = [replace(BRAIN, seed=5, steer=(Steer("sefa-1", amount),) if amount else ()) for amount in (0.0, 3.0, 2.0)]
    timeline = Timeline(tuple(Key(one, time) for time, one in enumerate(ends)), fps=4, spline="catmull-rom")
    passed = []
    for frame in range(timeline.count):
        off = studio.ws(timeline.frame(frame)) - studio.ws(ends[0])
        passed.append(float(off.norm() / (studio.ws(ends[1]) - studio.ws(ends[0])).norm() * 3))
    weights = spline_weights(0.25, [None, 0.0, 4.0, 8.0])
    assert passed[0] == 0 and math.isclose(passed[1], 3 * weights[2] + 2 * weights[3], abs_tol=1e-4)
    assert math.isclose(passed[4], 3, abs_tol=1e-6) and math.isclose(passed[8], 2, abs_tol=1e-4)
    between = studio.ws(replace(BRAIN, seed=5, steer=(Steer("sefa-1", passed[2]),)))
    assert np.allclose(studio.ws(timeline.frame(2)).numpy(), between.numpy(), atol=1e-5)


def test_each_picture_brings_its_psi_and_its_mix(studio: Studio) -> None:
    """The same seed at another psi: the ws between are those of the psi between."""
    ends = (replace(BRAIN, seed=5, psi=0.2), replace(BRAIN, seed=5, psi=1.0, mix=(Mix(seed=8, layers="2-3"),)))
    timeline = Timeline((Key(ends[0], 0), Key(ends[1], 1)), fps=4)
    ws = studio.ws(timeline.frame(1)).numpy()
    expected = studio.ws(replace(ends[0], psi=0.4)).numpy()
    assert np.allclose(ws[:2], expected[:2], atol=1e-6)
    mixed = 0.75 * studio.ws(ends[0]).numpy() + 0.25 * studio.ws(ends[1]).numpy()
    assert np.allclose(ws, mixed, atol=1e-6) and not np.allclose(ws[2:], expected[2:], atol=1e-3)


@pytest.mark.parametrize("spline", ["linear", "catmull-rom"])
def test_a_loop_closes_to_the_bit(studio: Studio, spline: str) -> None:
    timeline = Timeline(keys((3, 0.25), (9, 0.5), (27, 1.0)), fps=8, loop=True, spline=spline, duration=1.7)
    assert timeline.count == 14  # 13.6 frames: the last stretch takes the rest of a frame
    for index in range(timeline.count):
        around = timeline.frame(index + timeline.count)
        assert around == timeline.frame(index)
    assert timeline.frame(2) is timeline.keys[0].recipe and timeline.frame(0) != timeline.frame(2)
    steps = [studio.ws(timeline.frame(index)).numpy() for index in range(15)]
    gaps = [np.abs(b - a).mean() for a, b in zip(steps, steps[1:], strict=False)]
    assert gaps[13] < 1.5 * max(gaps[8:13])  # no jump where it comes around
    assert Timeline(keys((3, 0), (9, 1)), fps=4, loop=True).seconds == 2


def test_easing_is_by_stretch(studio: Studio) -> None:
    shares = {"linear": 0.25, "smooth": 5 / 32, "in": 1 / 16, "out": 7 / 16}
    for name, share in shares.items():
        frame = Timeline((*keys((3, 0), ease=name), *keys((9, 1))), fps=4).frame(1)
        assert frame.toward is not None and math.isclose(frame.toward.t, share)
    held = Timeline((*keys((3, 0), (9, 1), ease="hold"), *keys((27, 2))), fps=4, spline="catmull-rom")
    assert [frame.seed for frame in held.frames()] == [3] * 4 + [9] * 4 + [27]


BAD: list[tuple[dict[str, Any], str]] = [
    ({"keys": []}, "keys cannot be 'a list of 0': a list of 2 to 256"),
    ({"keys": [{"recipe": {}, "time": 0}] * 257}, "keys cannot be 'a list of 257'"),
    ({"fps": 0}, "fps cannot be"),
    ({"fps": True}, "fps cannot be 'True'"),
    ({"fps": 10**400}, "fps cannot be"),
    ({"loop": 1}, "loop cannot be '1'"),
    ({"spline": "cubic"}, "spline cannot be 'cubic': linear or catmull-rom"),
    ({"spline": []}, "spline cannot be"),
    ({"space": "z", "spline": "catmull-rom"}, "space cannot be 'z'"),
    ({"format": 2}, "format cannot be '2'.*newer Styloscope"),
    ({"lop": True}, "a key of the timeline cannot be 'lop': did you mean loop"),
    ({"keys": [{"recipe": {}, "time": 0}, {"recipe": {}, "time": 0}]}, "time cannot be '0.0': times ascend"),
    ({"keys": [{"recipe": {}, "time": 0}, {"recipe": {}, "time": -1}]}, "time cannot be '-1.0'"),
    ({"keys": [{"recipe": {}, "time": 0}, {"recipe": {}, "time": "1"}]}, r"keys\[1\].time cannot be '1'"),
    ({"keys": [{"recipe": {}, "time": 0}, {"recipe": {}}]}, r"keys\[1\].time cannot be 'nothing'"),
    ({"keys": [{"recipe": {}, "time": 0}, {"recipe": {"psi": 9}, "time": 1}]}, r"keys\[1\].recipe.psi cannot be '9'"),
    ({"keys": [{"recipe": {}, "time": 0, "ease": "x"}, {"recipe": {}, "time": 1}]}, r"keys\[0\].ease cannot be 'x'"),
    ({"keys": [{"recipe": 3, "time": 0}, {"recipe": {}, "time": 1}]}, r"keys\[0\].recipe cannot be '3'"),
    ({"keys": [{"recipe": {}, "time": 0}, {"recipe": {}, "time": 300}]}, "at most 5000 frames, not 7201"),
    ({"duration": 0.5}, "duration cannot be '0.5': no less than"),
    ({"duration": 1.0, "loop": True}, "duration cannot be '1.0': more than"),
    ({"keys": [{"recipe": {"grown": {"size": [7, 6]}}, "time": 0}, {"recipe": {}, "time": 1}]},
     "grown cannot be 'the usual size': a walk keeps one grown, here 7x6"),
    ({"keys": [{"recipe": {"blend": [{"seed": k, "weight": 1 / 40} for k in range(40)]}, "time": t} for t in (0, 1)]},
     "blend cannot be '80 entries'"),
]  # fmt: skip


@pytest.mark.parametrize(("wrong", "says"), BAD)
def test_what_cannot_be_is_named(wrong: dict[str, Any], says: str) -> None:
    good = {"format": 1, "keys": [{"recipe": {"seed": 1}, "time": 0}, {"recipe": {"seed": 2}, "time": 1}]}
    assert Timeline.parse(good).count == 25
    with pytest.raises(SettingError, match=says):
        Timeline.parse({**good, **wrong})
    with pytest.raises(SettingError, match="the timeline cannot be"):
        Timeline.parse("[1]")


def test_names_of_one_network_make_one_timeline(do: Do, refused: Callable[..., str]) -> None:
    """What a name says counts, not how it is spelled; no name is that of the others; the sentence names both."""

    def spelled(*names: str | None) -> str:
        recipes = ({"seed": seed, **({"checkpoint": name} if name else {})} for seed, name in enumerate(names))
        keys = [{"recipe": recipe, "time": time} for time, recipe in enumerate(recipes)]
        return json.dumps({"fps": 2, "keys": keys})

    do("interpolate", "--timeline", spelled("first", "first/000012", None), "--out", "a.gif")
    do("interpolate", "--timeline", spelled("first", "first", "first"), "--out", "b.gif")
    assert Path("a.gif").read_bytes() == Path("b.gif").read_bytes()
    do("interpolate", "--timeline", spelled("brain", "colour"), "--checkpoint", "brain", "--out", "c.gif")
    said = refused("interpolate", "--timeline", spelled(None, "first", "first/000004"), "--out", "x.gif")
    assert "checkpoint cannot be 'first/000004': a walk keeps one checkpoint, here first/000012" in said
    with pytest.raises(SettingError, match="'the usual network': a walk keeps one checkpoint, here brain"):
        Timeline((Key(BRAIN, 0), Key(Recipe(), 1)))


def test_a_film_by_the_command_line_and_again_from_itself(do: Do, studio: Studio) -> None:
    """Every format carries the timeline; the film made of it again is the same to the bit; a walk carries one too."""
    curve = Timeline(FOUR, fps=10, spline="catmull-rom", loop=True, duration=2.5)
    Path("t.json").write_text(curve.json(), encoding="utf-8")
    assert do("interpolate", "--timeline", "@t.json", "--out", "a.gif") == ["a.gif"]
    shown, _ = decode_gif(Path("a.gif").read_bytes())
    assert len(shown) == 25
    for index in (0, 1, 6, 24):
        assert np.array_equal(shown[index][..., 0], studio.exact(curve.frame(index)))
    do("interpolate", "--timeline", "@a.gif", "--out", "b.gif")
    assert Path("a.gif").read_bytes() == Path("b.gif").read_bytes()
    do("interpolate", "--timeline", "@a.gif", "--psi", "0.2", "--out", "frames")
    told = json.loads(Path("frames/timeline.json").read_text(encoding="utf-8"))
    assert [key["recipe"]["psi"] for key in told["keys"]] == [0.2] * 4 and len(told["keys"][0]["recipe"]["sha"]) == 12
    assert np.array_equal(
        pictures.read(Path("frames/000003.png")),
        studio.exact(curve.with_recipes([replace(one, psi=0.2) for one in curve.recipes]).frame(3)),
    )
    do("interpolate", "--seeds", "3,9", "--steps", "3", "--space", "z", "--loop", "--out", "w.webp")
    told = json.loads(carried.read_carried(Path("w.webp")) or "")
    assert (told["space"], told["loop"], [key["recipe"]["seed"] for key in told["keys"]]) == ("z", True, [3, 9])
    do("interpolate", "--timeline", "@w.webp", "--out", "again.webp")
    assert Path("w.webp").read_bytes() == Path("again.webp").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--timeline", "{}"], "keys cannot be"),
        (["--timeline", "@none.json"], "timeline cannot be '@none.json': that file cannot be read"),
        (["--timeline", "@plain.gif"], "plain.gif carries no timeline"),
        (["--timeline", "{}", "--fps", "10"], "fps cannot be '10.0': a timeline says it itself"),
        (["--timeline", "{}", "--seeds", "1,2"], "seeds cannot be '1,2': a timeline says it itself"),
        (["--timeline", "{}", "--loop"], "loop cannot be 'True'"),
    ],
)
def test_the_command_refuses_in_one_line(refused: Callable[..., str], arguments: list[str], says: str) -> None:
    pictures.write_animation("plain.gif", [np.zeros((4, 4), np.uint8)], fps=2, count=1)
    assert says in refused("interpolate", *arguments, "--out", "x.gif")


def test_a_walk_of_too_many_pictures_carries_none(studio: Studio) -> None:
    long = Walk(tuple(replace(BRAIN, seed=seed) for seed in range(MOST_KEYS + 1)), steps=1)
    assert animate.carried(studio, long) is None
    assert animate.carried(studio, replace(long, recipes=long.recipes[1:])) is not None
