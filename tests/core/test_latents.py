"""Seeds, layers, truncation, mixing and paths: properties, float64 restatements, and values that never drift."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from core.errors import SettingError
from core.latents import (
    MOST_SEEDS,
    SEED_LIMIT,
    corners,
    ease,
    lerp,
    mix,
    noise_maps,
    parse_layers,
    parse_seeds,
    path,
    seeds_to_z,
    slerp,
    truncate,
    weighted,
)
from tests.pace import soon

SEEDS = st.integers(0, SEED_LIMIT - 1)
SPACE = st.sampled_from(["", " ", "  ", "\t", "\n"])
SHARES = st.floats(0, 1)


def refused(parse: object, *arguments: object) -> SettingError:
    with pytest.raises(SettingError) as caught:
        parse(*arguments)  # type: ignore[operator]
    assert "\n" not in str(caught.value)
    return caught.value


# --- seed lists --------------------------------------------------------------------------------------------------


@st.composite
def seed_lists(draw: st.DrawFn) -> tuple[str, list[int]]:
    """A text and the seeds it means, with spaces wherever a person may leave one."""
    parts, seeds = [], []
    for _ in range(draw(st.integers(1, 12))):
        first = draw(SEEDS)
        before, after = draw(SPACE), draw(SPACE)
        if draw(st.booleans()):
            parts.append(f"{before}{first}{after}")
            seeds.append(first)
        else:
            last = min(first + draw(st.integers(0, 40)), SEED_LIMIT - 1)
            parts.append(f"{before}{first}{draw(SPACE)}-{draw(SPACE)}{last}{after}")
            seeds.extend(range(first, last + 1))
    return ",".join(parts), seeds


@given(seed_lists())
def test_seed_lists_mean_what_they_say(case: tuple[str, list[int]]) -> None:
    text, seeds = case
    assert parse_seeds(text) == seeds
    assert parse_seeds(seeds) == seeds


@given(st.text(max_size=30) | st.text(alphabet="0123456789-, ", max_size=30))
def test_any_text_is_seeds_or_refused(text: str) -> None:
    try:
        seeds = parse_seeds(text)
    except SettingError as wrong:
        assert wrong.field == "seeds"
        assert wrong.value == text or str(wrong.value) in text
        return
    assert 1 <= len(seeds) <= MOST_SEEDS
    assert all(type(seed) is int and 0 <= seed < SEED_LIMIT for seed in seeds)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ("1,,a", "1,,a"),
        ("1,a", "a"),
        ("", ""),
        (",", ","),
        ("1,", "1,"),
        ("9-3", "9-3"),
        ("2,9 - 3", "9 - 3"),
        ("-1", "-1"),
        ("1--3", "1--3"),
        ("1-2-3", "1-2-3"),
        ("3-", "3-"),
        ("4294967296", "4294967296"),
        ("0-4294967296", "0-4294967296"),
        ("0-4096", "0-4096"),
        ("0-4294967295", "0-4294967295"),
        ("0-4000,5,0-95", "0-95"),
        ("9" * 5000, "9" * 5000),
        ("1.0", "1.0"),
        ("1e3", "1e3"),
        ("0x1f", "0x1f"),
        ("1_000", "1_000"),
        ("+1", "+1"),
        ("1 2", "1 2"),
        ("٣", "٣"),  # digits to str.isdigit and to int, but nobody means them
        ("²", "²"),
        ("７", "７"),
        ("1–3", "1–3"),  # an en dash
        ("nan", "nan"),
        ("None", "None"),
        ("1\x002", "1\x002"),
    ],
)
def test_wrong_seeds_name_the_part(text: str, part: str) -> None:
    wrong = refused(parse_seeds, text)
    assert (wrong.field, wrong.value) == ("seeds", part)
    assert len(str(wrong)) < 250
    assert refused(lambda t: parse_seeds(t, field="rows"), text).field == "rows"


@pytest.mark.parametrize("value", [True, None, 1.5, -1, SEED_LIMIT, [], [1, True], [1.0], [None], [-1], ["a"], [[1]]])
def test_values_that_are_no_seeds(value: object) -> None:
    refused(parse_seeds, value)


def test_seeds_from_values() -> None:
    assert parse_seeds(7) == [7]
    assert parse_seeds(np.int64(7)) == [7]  # type: ignore[arg-type]
    assert parse_seeds(np.array([3, 1])) == [3, 1]
    assert parse_seeds((3, 3, 1)) == [3, 3, 1]
    assert parse_seeds(range(3)) == [0, 1, 2]
    assert parse_seeds("0007") == [7]


def test_as_many_seeds_as_allowed() -> None:
    assert parse_seeds("0-4095") == list(range(4096))
    assert parse_seeds("4294967200-4294967295")[-1] == SEED_LIMIT - 1
    assert "4096" in str(refused(parse_seeds, "0-4096"))


def test_a_long_list_is_refused_at_once() -> None:
    start = time.process_time()
    refused(parse_seeds, "0-4294967295," * 100_000)
    refused(parse_seeds, "1," * 1_000_000)
    refused(parse_layers, "0-63," * 10_000 + "x")
    assert soon(time.process_time() - start, seconds=1)


# --- layers ------------------------------------------------------------------------------------------------------


@given(st.sets(st.integers(0, 17), min_size=1), st.data())
def test_layers_come_ascending_and_once(wanted: set[int], data: st.DataObject) -> None:
    parts = [str(layer) for layer in wanted]
    for layer in wanted:
        last = layer
        while last + 1 in wanted and data.draw(st.booleans()):
            last += 1
        parts.append(f"{data.draw(SPACE)}{layer}-{last}")
    text = ",".join(data.draw(st.permutations(parts)))
    assert parse_layers(text, 18) == tuple(sorted(wanted))


@given(st.text(max_size=20) | st.text(alphabet="0123456789-, ", max_size=20), st.integers(1, 18) | st.none())
def test_any_text_is_layers_or_refused(text: str, num_ws: int | None) -> None:
    try:
        layers = parse_layers(text, num_ws)
    except SettingError as wrong:
        assert wrong.field == "layers"
        return
    assert layers == tuple(sorted(set(layers))) and layers
    assert layers[0] >= 0 and layers[-1] < (num_ws or 64)


@pytest.mark.parametrize("text", ["", "9-3", "4-12", "12", "-1", "a", "1,,2", "0-", "9" * 11, "٣", "1;2", True, None])
def test_wrong_layers(text: object) -> None:
    assert "11" in str(refused(parse_layers, text, 12)) or text == "9-3"


def test_layers_as_in_the_contract() -> None:
    assert parse_layers("4-7", 12) == (4, 5, 6, 7)
    assert parse_layers("0,3,8-11", 12) == (0, 3, 8, 9, 10, 11)
    assert parse_layers("11,0-2,1", 12) == (0, 1, 2, 11)
    assert parse_layers(5) == (5,)


# --- z -----------------------------------------------------------------------------------------------------------


@given(st.lists(SEEDS, min_size=1, max_size=4), st.integers(1, 20))
def test_z_is_what_everybody_has(seeds: list[int], z_dim: int) -> None:
    z = seeds_to_z(seeds, z_dim)
    assert z.dtype == torch.float32 and z.shape == (len(seeds), z_dim)
    for row, seed in zip(z, seeds, strict=True):
        assert np.array_equal(row.numpy(), np.random.RandomState(seed).randn(1, z_dim)[0].astype(np.float32))


def test_z_does_not_drift() -> None:
    expected = [
        [1.764052391052246, 0.40015721321105957, 0.978738009929657],
        [1.6905256509780884, -0.46593737602233887, 0.032820165157318115],
        [0.6484086513519287, 0.6693235039710999, -1.0805437564849854],
    ]
    assert seeds_to_z([0, 7, SEED_LIMIT - 1], 3).tolist() == expected
    assert seeds_to_z([], 5).shape == (0, 5)


def test_global_random_state_is_left_alone() -> None:
    np.random.seed(5)
    torch.manual_seed(5)
    before, stream = str(np.random.get_state()), torch.get_rng_state()
    seeds_to_z([1, 2], 4)
    noise_maps(3, [(4, 4)])
    assert str(np.random.get_state()) == before
    assert torch.equal(stream, torch.get_rng_state())


# --- arithmetic --------------------------------------------------------------------------------------------------


def normals(*shape: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.RandomState(seed).randn(*shape).astype(np.float32))


@pytest.mark.parametrize("cutoff", [None, 0, 1, 3, 6])
@given(psi=st.floats(-5, 5))
def test_truncation(cutoff: int | None, psi: float) -> None:
    ws, w_avg = normals(2, 6, 5), normals(5, seed=1)
    expected = ws.double()
    first = 6 if cutoff is None else cutoff
    expected[:, :first] = w_avg.double() + psi * (expected[:, :first] - w_avg.double())
    cut = truncate(ws, w_avg, psi, cutoff)
    torch.testing.assert_close(cut.double(), expected, rtol=1e-5, atol=1e-5)
    assert torch.equal(cut[:, first:], ws[:, first:])
    assert torch.equal(truncate(ws[0], w_avg, psi, cutoff), cut[0])


def test_truncation_at_its_ends() -> None:
    ws, w_avg = normals(2, 6, 5), normals(5, seed=1)
    assert torch.equal(truncate(ws, w_avg, 1), ws)
    assert torch.equal(truncate(ws, w_avg, 0), w_avg.expand(2, 6, 5))
    assert torch.equal(truncate(ws, w_avg, 0, 2)[:, :2], w_avg.expand(2, 2, 5))


@pytest.mark.parametrize(("field", "value"), [("cutoff", -1), ("cutoff", 7), ("cutoff", 1.5), ("psi", math.nan)])
def test_truncation_refuses_what_a_recipe_refuses(field: str, value: float) -> None:
    with pytest.raises(SettingError, match=f"{field} cannot be"):
        truncate(normals(2, 6, 5), normals(5, seed=1), **{"psi": 1.0, field: value})  # type: ignore[arg-type]


@given(SHARES, st.sets(st.integers(0, 5)))
def test_mixing(amount: float, chosen: set[int]) -> None:
    ws, source = normals(6, 5), normals(6, 5, seed=1)
    kept = ws.clone()
    mixed = mix(ws, source, sorted(chosen), amount)
    assert torch.equal(ws, kept)
    for layer in range(6):
        share = amount if layer in chosen else 0.0
        expected = (1 - share) * ws[layer].double() + share * source[layer].double()
        torch.testing.assert_close(mixed[layer].double(), expected, rtol=1e-5, atol=1e-6)
        if share in (0, 1):
            assert torch.equal(mixed[layer], (ws, source)[int(share)][layer])


@given(SHARES)
def test_lerp(t: float) -> None:
    a, b = normals(3, 5), normals(3, 5, seed=1)
    torch.testing.assert_close(lerp(a, b, t).double(), (1 - t) * a.double() + t * b.double(), rtol=1e-5, atol=1e-6)


def restated_slerp(a: np.ndarray, b: np.ndarray, t: float) -> np.ndarray:
    """One pair of float64 vectors: a turn by t of the angle in the plane that they span, with the length between."""
    length_a, length_b = np.linalg.norm(a), np.linalg.norm(b)
    x, y = a / length_a, b / length_b
    side = y - (x @ y) * x
    angle = math.atan2(np.linalg.norm(side), x @ y)
    direction = math.cos(t * angle) * x + math.sin(t * angle) * side / np.linalg.norm(side)
    return direction * ((1 - t) * length_a + t * length_b)


@given(SHARES, SEEDS)
def test_slerp(t: float, seed: int) -> None:
    a, b = normals(3, 8, seed=seed), 3 * normals(3, 8, seed=seed // 2)
    turned = slerp(a, b, t).double().numpy()
    expected = [restated_slerp(x, y, t) for x, y in zip(a.double().numpy(), b.double().numpy(), strict=True)]
    np.testing.assert_allclose(turned, expected, rtol=1e-5, atol=1e-5)


@given(SHARES, st.floats(1e-9, 1e-2))
def test_slerp_of_vectors_that_nearly_agree(t: float, apart: float) -> None:
    a = torch.tensor([[3.0, 0.0]], dtype=torch.float64)
    b = 5 * torch.tensor([[math.cos(apart), math.sin(apart)]], dtype=torch.float64)
    length = 3 + 2 * t
    expected = length * torch.tensor([[math.cos(t * apart), math.sin(t * apart)]], dtype=torch.float64)
    torch.testing.assert_close(slerp(a, b, t), expected, rtol=0, atol=1e-7)


def test_ends_are_exact() -> None:
    a, b = normals(3, 5), normals(3, 5, seed=1) * 1e6
    for between in (lerp, slerp):
        assert torch.equal(between(a, b, 0), a) and torch.equal(between(a, b, 0.0), a)
        assert torch.equal(between(a, b, 1), b) and torch.equal(between(a, b, 1.0), b)
    assert torch.equal(weighted([a, b], [0, 1]), b)
    assert torch.equal(weighted([a, b], [1.0, 0.0]), a)
    for index, weights in zip((0, 6, 42, 48), np.eye(4).tolist(), strict=True):
        assert list(corners(7)[index]) == weights


def test_slerp_where_there_is_no_plane() -> None:
    a = normals(1, 5)
    torch.testing.assert_close(slerp(a, a, 0.3), a)
    torch.testing.assert_close(slerp(a, 3 * a, 0.5), 2 * a)
    for b in (-a, torch.zeros_like(a)):
        assert slerp(a, b, 0.3).isfinite().all() and slerp(b, a, 0.3).isfinite().all()


@given(st.lists(st.floats(-10, 10), min_size=1, max_size=5))
def test_weighted(weights: list[float]) -> None:
    weights = [*weights, 1 - sum(weights)]
    parts = [normals(6, 5, seed=k) for k in range(len(weights))]
    expected = sum(weight * part.double() for weight, part in zip(weights, parts, strict=True))
    torch.testing.assert_close(weighted(parts, weights).double(), expected, rtol=1e-5, atol=1e-5)
    assert weighted(parts, weights).dtype == torch.float32


def test_weighted_needs_one_weight_each() -> None:
    with pytest.raises(ValueError):
        weighted([normals(2, 2)], [0.5, 0.5])


@given(SHARES)
def test_ease(t: float) -> None:
    assert ease(t, "linear") == t
    assert math.isclose(ease(t, "smooth"), 3 * t**2 - 2 * t**3, abs_tol=1e-12)
    assert 0 <= ease(t, "smooth") <= 1
    assert (ease(0, "smooth"), ease(0.5, "smooth"), ease(1, "smooth")) == (0, 0.5, 1)


# --- walks and sheets --------------------------------------------------------------------------------------------


@given(st.integers(2, 9), st.integers(1, 30))
def test_a_walk(points: int, steps: int) -> None:
    frames = path(points, steps)
    assert len(frames) == (points - 1) * steps + 1
    assert frames[0] == (0, 1, 0) and frames[-1] == (points - 2, points - 1, 1)
    for number, (i, j, t) in enumerate(frames[:-1]):
        assert (i, j, t) == (number // steps, number // steps + 1, number % steps / steps)


@given(st.integers(2, 9), st.integers(1, 30))
def test_a_loop(points: int, steps: int) -> None:
    frames = path(points, steps, loop=True)
    assert len(frames) == points * steps
    for number, (i, j, t) in enumerate(frames):
        assert (i, j, t) == (number // steps, (number // steps + 1) % points, number % steps / steps)


@given(st.integers(1, 20))
def test_corners(steps: int) -> None:
    cells = corners(steps)
    assert len(cells) == steps * steps
    for number, weights in enumerate(cells):
        row, column = divmod(number, steps)
        y, x = (row / (steps - 1), column / (steps - 1)) if steps > 1 else (0, 0)
        assert weights == pytest.approx(((1 - y) * (1 - x), (1 - y) * x, y * (1 - x), y * x), abs=1e-15)
        assert sum(weights) == pytest.approx(1, abs=1e-12)


# --- noise -------------------------------------------------------------------------------------------------------


def test_noise_does_not_drift() -> None:
    maps = noise_maps(7, [(2, 2), (2, 2), (1, 3)])
    expected = [
        [[-0.1000841036438942, 0.2541996240615845], [-1.15525221824646, -0.26454654335975647]],
        [[-0.6358714699745178, -1.2343865633010864], [1.7795177698135376, 0.8088502883911133]],
        [[-0.7919846773147583, 0.4624015986919403, 0.5262627601623535]],
    ]
    assert [one.tolist() for one in maps] == expected
    assert all(one.dtype == np.float32 for one in maps)


def test_noise_depends_on_seed_and_layer_alone() -> None:
    shapes = [(7, 6), (14, 12), (14, 12)]
    maps = noise_maps(SEED_LIMIT - 1, shapes)
    assert [one.shape for one in maps] == shapes
    assert not np.array_equal(maps[1], maps[2])
    assert not np.array_equal(maps[0], noise_maps(0, shapes)[0])
    assert all(np.array_equal(a, b) for a, b in zip(maps[:2], noise_maps(SEED_LIMIT - 1, shapes[:2]), strict=True))
    values = np.concatenate([one.ravel() for one in noise_maps(1, [(64, 64)] * 3)])
    assert abs(values.mean()) < 0.03 and abs(values.std() - 1) < 0.03


@pytest.mark.parametrize("seed", [-1, SEED_LIMIT])
def test_noise_of_no_seed(seed: int) -> None:
    assert refused(noise_maps, seed, [(2, 2)]).field == "noise"
