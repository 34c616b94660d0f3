"""Augmentation against slow restatements in float64, one pixel at a time, and the argument that it does not leak."""

from __future__ import annotations

import math
from functools import partial

import numpy as np
import pytest
import torch
from torch import Tensor

from train import augment, resample
from train.transforms import TRANSFORMS

Array = np.ndarray
SIZES = [(7, 7), (6, 9), (8, 5)]
GEOMETRY = [name for name, one in TRANSFORMS.items() if one.space != "colour"]
COLOUR = [name for name, one in TRANSFORMS.items() if one.space == "colour"]
MOVES = [(name, size) for size in SIZES for name in augment.kinds(size, 1) if name in GEOMETRY]
BLITS = [name for name, one in TRANSFORMS.items() if one.space == "blit"]


# --- the restatement ---------------------------------------------------------------------------------------------


def turn(angle: float) -> Array:
    return np.array([[math.cos(angle), -math.sin(angle), 0], [math.sin(angle), math.cos(angle), 0], [0, 0, 1]])


def shift(x: float, y: float) -> Array:
    return np.array([[1, 0, x], [0, 1, y], [0, 0, 1.0]])


def geometric(name: str, v: Array, size: tuple[int, int]) -> Array:
    """The paper's matrices on (x, y, 1) about the centre, in pixels."""
    height, width = size
    if name == "x_flip":
        return np.diag([1 - 2 * v[0], 1, 1])
    if name == "rotate_90":
        return turn(v[0] * math.pi / 2)
    if name == "integer_translation":
        return shift(np.round(v[0] * width), np.round(v[1] * height))
    if name == "isotropic_scaling":
        return np.diag([v[0], v[0], 1])
    if name == "anisotropic_scaling":
        return np.diag([v[0], 1 / v[0], 1])
    if name == "fractional_translation":
        return shift(v[0] * width, v[1] * height)
    return turn(v[0])


def coloured(name: str, v: float, pixel: Array) -> Array:
    """One pixel (r, g, b), by vectors: its part along the gray axis and the part across."""
    axis = np.ones(3) / math.sqrt(3)
    along, across = axis * (axis @ pixel), pixel - axis * (axis @ pixel)
    if name == "brightness":
        return pixel + v
    if name == "contrast":
        return pixel * v
    if name == "luma_flip":
        return pixel - 2 * v * along
    if name == "hue":
        return along + across * math.cos(v) + np.cross(axis, across) * math.sin(v)
    return along + across * v


def reflected(index: int, size: int) -> int:
    while not 0 <= index < size:
        index = -index if index < 0 else 2 * (size - 1) - index
    return index


def doubled(picture: Array, s: int, t: int) -> float:
    """Pixel (row s, column t) of the picture that is mirrored beyond its edges and doubled with the wavelet."""
    h = resample.SYM6
    total = 0.0
    for y in range(s // 2 - 4, s // 2 + 5):
        for x in range(t // 2 - 4, t // 2 + 5):
            k, m = s - 2 * y + 5, t - 2 * x + 5
            if 0 <= k < 12 and 0 <= m < 12:
                total += 2 * h[k] * h[m] * picture[reflected(y, len(picture)), reflected(x, picture.shape[1])]
    return total


def moved(picture: Array, matrix: Array) -> Array:
    """Padded, doubled, looked up bilinearly, halved: every pixel of the result by itself."""
    height, width = picture.shape
    cy, cx, at = (height - 1) / 2, (width - 1) / 2, resample.CENTRE
    inverse = np.linalg.inv(matrix)
    seen: dict[tuple[int, int], float] = {}

    def look(s: int, t: int) -> float:
        x, y, _ = inverse @ [(t - at) / 2 - cx, (s - at) / 2 - cy, 1]
        row, column = 2 * (y + cy) + at, 2 * (x + cx) + at
        top, left = math.floor(row), math.floor(column)
        value = 0.0
        for i, p in ((top, 1 - row + top), (top + 1, row - top)):
            for j, q in ((left, 1 - column + left), (left + 1, column - left)):
                place = (i % (4 * height - 4), j % (4 * width - 4))
                if place not in seen:
                    seen[place] = doubled(picture, *place)
                value += p * q * seen[place]
        return value

    lookups = np.array([[look(s, t) for t in range(-5, 2 * width + 5)] for s in range(-5, 2 * height + 5)])
    kernel = np.outer(resample.SYM6, resample.SYM6) / 2
    return np.array(
        [
            [(kernel * lookups[2 * y : 2 * y + 12, 2 * x : 2 * x + 12]).sum() for x in range(width)]
            for y in range(height)
        ]
    )


def copied(picture: Array, matrix: Array) -> Array:
    height, width = picture.shape
    inverse, result = np.linalg.inv(matrix), np.zeros_like(picture)
    for y in range(height):
        for x in range(width):
            a, b, _ = np.round(inverse @ [x - (width - 1) / 2, y - (height - 1) / 2, 1], 6)
            row, column = round(b + (height - 1) / 2), round(a + (width - 1) / 2)
            result[y, x] = picture[reflected(row, height), reflected(column, width)]
    return result


def restated(images: Tensor, draws: dict[str, Tensor], kinds: tuple[str, ...]) -> Array:
    """All kinds at p = 1."""
    result = []
    for n, picture in enumerate(images.double().numpy()):
        matrix = np.eye(3)
        for name in kinds:
            if name in GEOMETRY:
                matrix = geometric(name, draws[name][n, 1:].double().numpy(), picture.shape[1:]) @ matrix
        if not np.allclose(matrix, np.eye(3)):
            by = copied if set(kinds) & set(GEOMETRY) <= set(BLITS) else moved
            picture = np.stack([by(channel, matrix) for channel in picture])
        pixels = np.moveaxis(np.broadcast_to(picture, (3, *picture.shape[1:])), 0, -1).copy()
        for name in kinds:
            if name in COLOUR:
                v = float(draws[name][n, 1])
                pixels = np.array([[coloured(name, v, pixel) for pixel in row] for row in pixels])
        result.append(np.moveaxis(pixels, -1, 0)[: len(picture)])
    return np.stack(result)


def pictures(count: int, channels: int, size: tuple[int, int], *, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.rand(count, channels, *size, dtype=dtype) * 2 - 1


@pytest.fixture(autouse=True)
def seeded() -> None:
    torch.manual_seed(3)


# --- each transformation, and all of them -------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "size"), MOVES)
def test_a_move_against_the_restatement(name: str, size: tuple[int, int]) -> None:
    images, draws = pictures(2, 1, size), augment.draw(2, (name,))
    draws[name][:, 1:] = draws[name][:, 1:].where(draws[name][:, 1:] != 0, 1.0)
    ours = augment.apply(images, draws, 1.0, (name,))
    np.testing.assert_allclose(ours, restated(images, draws, (name,)), atol=1e-9)
    assert not torch.equal(ours, images)


@pytest.mark.parametrize("name", COLOUR)
def test_a_colour_against_the_restatement(name: str) -> None:
    images, draws = pictures(3, 3, (4, 5)), augment.draw(3, (name,))
    draws[name][:2, 1:] = torch.tensor([[0.0], [1.0]])
    ours = augment.apply(images, draws, 1.0, (name,))
    np.testing.assert_allclose(ours, restated(images, draws, (name,)), atol=1e-12)
    if name in ("brightness", "contrast"):
        gray = augment.apply(images[:, :1], draws, 1.0, (name,))
        torch.testing.assert_close(gray, ours[:, :1], rtol=0, atol=1e-15)


@pytest.mark.parametrize(("size", "channels"), [((7, 7), 3), ((6, 9), 1), ((9, 4), 3)])
def test_all_together_against_the_restatement(size: tuple[int, int], channels: int) -> None:
    kinds = augment.kinds(size, channels)
    images, draws = pictures(2, channels, size), augment.draw(2, kinds)
    np.testing.assert_allclose(augment.apply(images, draws, 1.0, kinds), restated(images, draws, kinds), atol=1e-9)


def test_float32_is_close_to_float64_at_a_true_size() -> None:
    kinds = augment.kinds((112, 96), 1)
    images, draws = pictures(4, 1, (112, 96)), augment.draw(4, kinds)
    narrow = augment.apply(images.float(), draws, 1.0, kinds)
    assert narrow.dtype == torch.float32 and narrow.shape == images.shape
    torch.testing.assert_close(narrow.double(), augment.apply(images, draws, 1.0, kinds), rtol=0, atol=2e-3)


def test_what_a_person_expects_to_see() -> None:
    """x-flip mirrors, a quarter turns clockwise, a shift to the right brings in the left edge's mirror image."""
    image = torch.arange(25.0).reshape(1, 1, 5, 5)

    def made(name: str, *values: float) -> Tensor:
        return augment.apply(image, {name: torch.tensor([[0.0, *values]])}, 1.0, (name,))

    assert torch.equal(made("x_flip", 1), image.flip(3))
    assert torch.equal(made("rotate_90", 1), image.rot90(-1, (2, 3)))
    assert torch.equal(made("rotate_90", 2), image.flip(2, 3))
    right = made("integer_translation", 0.2, 0)
    assert torch.equal(right[..., 1:], image[..., :-1]) and torch.equal(right[..., 0], image[..., 1])


def test_which_kinds_for_which_pictures() -> None:
    assert augment.kinds((8, 8), 3) == tuple(TRANSFORMS)
    assert set(TRANSFORMS) - set(augment.kinds((8, 6), 3)) == {"rotate_90"}
    assert set(TRANSFORMS) - set(augment.kinds((8, 8), 1)) == {"luma_flip", "hue", "saturation"}


def test_the_parameters_are_distributed_as_in_the_paper() -> None:
    draws = augment.draw(20000, tuple(TRANSFORMS))
    values = {name: draw[:, 1:].double() for name, draw in draws.items()}
    for name, deviation in {
        "isotropic_scaling": 0.2,
        "anisotropic_scaling": 0.2,
        "contrast": 0.5,
        "saturation": 1,
    }.items():
        logs = values[name].log() / math.log(2)
        assert abs(logs.mean()) < 0.04 * deviation and logs.std().item() == pytest.approx(deviation, rel=0.03)
    for name, deviation in {"fractional_translation": 1 / 8, "brightness": 0.2}.items():
        assert abs(values[name].mean()) < 0.04 * deviation
        assert values[name].std().item() == pytest.approx(deviation, rel=0.03)
    for name, reach in {
        "pre_rotation": math.pi,
        "post_rotation": math.pi,
        "hue": math.pi,
        "integer_translation": 1 / 8,
    }.items():
        spread = values[name].flatten().sort().values / reach
        torch.testing.assert_close(spread, torch.linspace(-1, 1, len(spread)).double(), rtol=0, atol=0.04)
    for name, choices in {"x_flip": 2, "luma_flip": 2, "rotate_90": 4}.items():
        shares = values[name].long().flatten().bincount(minlength=choices) / 20000
        torch.testing.assert_close(shares, torch.full((choices,), 1 / choices), rtol=0, atol=0.02)


# --- derivatives -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("size", "channels"), [((4, 4), 1), ((5, 3), 3)])
def test_derivatives_of_first_and_second_order(size: tuple[int, int], channels: int) -> None:
    kinds = augment.kinds(size, channels)
    draws = augment.draw(2, kinds)
    images = pictures(2, channels, size).requires_grad_(True)
    for chosen in (kinds, tuple(name for name in kinds if name in BLITS)):
        transform = partial(augment.apply, draws=draws, p=1.0, kinds=chosen)
        assert torch.autograd.gradcheck(transform, images)
        # The map is linear: only with a square after it has its second derivative something to be wrong about.
        assert torch.autograd.gradgradcheck(lambda x, f=transform: f(x).square(), images, fast_mode=True)


def test_a_penalty_on_the_gradient_reaches_the_network() -> None:
    kinds = augment.kinds((16, 12), 1)
    draws, network = augment.draw(3, kinds), torch.nn.Conv2d(1, 4, 3)
    images = pictures(3, 1, (16, 12), dtype=torch.float32).requires_grad_(True)
    logits = network(augment.apply(images, draws, 0.8, kinds)).square().sum((1, 2, 3))
    (slope,) = torch.autograd.grad(logits.sum(), images, create_graph=True)
    slope.square().sum().backward()
    assert network.weight.grad is not None and network.weight.grad.isfinite().all() and network.weight.grad.any()


# --- probability -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_p_zero_is_the_same_to_the_bit(dtype: torch.dtype) -> None:
    kinds = augment.kinds((9, 9), 3)
    images = pictures(4, 3, (9, 9)).to(dtype)
    images[0, 0, 0, :3] = torch.tensor([-0.0, math.nan, math.inf], dtype=dtype)
    bits = {2: torch.int16, 4: torch.int32, 8: torch.int64}[images.element_size()]
    extreme = {name: torch.full_like(value, 1e9) for name, value in augment.draw(4, kinds).items()}
    for value in extreme.values():
        value[:, 0] = 0
    for p in (0.0, torch.tensor(0.0)):
        same = augment.apply(images, extreme, p, kinds)
        assert same.dtype == dtype and torch.equal(same.view(bits), images.view(bits))


def test_pictures_left_alone_keep_their_bits() -> None:
    kinds = augment.kinds((12, 10), 3)
    images, draws = pictures(40, 3, (12, 10), dtype=torch.float32), augment.draw(40, kinds)
    applied = torch.stack([draws[name][:, 0] < 0.1 for name in kinds]).any(0)
    assert 0 < applied.sum() < 40
    result = augment.apply(images, draws, 0.1, kinds)
    assert torch.equal(result[~applied], images[~applied])
    assert (result != images).flatten(1).any(1)[applied].float().mean() > 0.5


def test_extreme_draws_stay_finite() -> None:
    kinds = augment.kinds((8, 6), 1)
    images, draws = pictures(2, 1, (8, 6), dtype=torch.float32), augment.draw(2, kinds)
    for factor in (1e-3, 1e3):
        wild = {name: torch.cat([value[:, :1], value[:, 1:] * factor], dim=1) for name, value in draws.items()}
        assert augment.apply(images, wild, 1.0, kinds).isfinite().all()


@pytest.mark.parametrize("name", TRANSFORMS)
def test_how_often_a_kind_is_applied(name: str) -> None:
    """At p = 0.3 within five deviations of the binomial, at p = 1 always; with parameters that show."""
    count = 4000
    draws = augment.draw(count, (name,))
    draws[name][:, 1:] = 1.0
    images = pictures(1, 3, (4, 4), dtype=torch.float32).expand(count, -1, -1, -1)
    if "scaling" in name or name in ("contrast", "saturation"):
        draws[name][:, 1:] = 1.5
    if "translation" in name:
        draws[name][:, 1:] = 0.26
    expected = 1 - math.sqrt(0.7) if name in ("pre_rotation", "post_rotation") else 0.3
    changed = (augment.apply(images, draws, 0.3, (name,)) != images).flatten(1).any(1).sum().item()
    assert abs(changed - expected * count) < 5 * math.sqrt(count * expected * (1 - expected))
    assert (augment.apply(images[:50], {name: draws[name][:50]}, 1.0, (name,)) != images[:50]).flatten(1).any(1).all()


def test_draws_are_reproducible_and_can_be_sliced() -> None:
    kinds = augment.kinds((16, 12), 1)
    images = pictures(8, 1, (16, 12), dtype=torch.float32)
    torch.manual_seed(11)
    draws = augment.draw(8, kinds)
    torch.manual_seed(11)
    again = augment.draw(8, kinds)
    assert all(torch.equal(draws[name], again[name]) and len(draws[name]) == 8 for name in kinds)
    whole = augment.apply(images, draws, 0.6, kinds)
    assert torch.equal(whole, augment.apply(images, again, torch.tensor(0.6), kinds))
    for part in (slice(0, 3), slice(3, 4), slice(4, 8)):
        sliced = augment.apply(images[part], {name: value[part] for name, value in draws.items()}, 0.6, kinds)
        torch.testing.assert_close(sliced, whole[part], rtol=0, atol=1e-6)
    with pytest.raises(ValueError, match="8 pictures and 3 draws"):
        augment.apply(images, {name: value[:3] for name, value in draws.items()}, 0.6, kinds)


def test_autocast_and_half_precision_do_not_coarsen_it() -> None:
    kinds = augment.kinds((16, 12), 1)
    images, draws = pictures(4, 1, (16, 12), dtype=torch.float32), augment.draw(4, kinds)
    expected = augment.apply(images, draws, 1.0, kinds)
    with torch.autocast("cpu", torch.bfloat16):
        assert torch.equal(augment.apply(images, draws, 1.0, kinds), expected)
    half = augment.apply(images.bfloat16(), draws, 1.0, kinds)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(
        half.float(), augment.apply(images.bfloat16().float(), draws, 1.0, kinds).bfloat16().float()
    )


# --- it does not leak ---------------------------------------------------------------------------------------------


def shares(images: Tensor, elements: Tensor) -> Array:
    """How often each of the elements [K, ...] is among the images [N, ...]; every image is one of them."""
    same = (images[:, None] == elements[None]).flatten(2).all(2)
    assert (same.sum(1) == 1).all()
    return same.float().mean(0).numpy()


def mixing(elements: Tensor, kinds: tuple[str, ...], p: float, *, count: int) -> Array:
    """T[i, j]: how often element j becomes element i, as counted over what `apply` makes."""
    columns = []
    for element in elements:
        images = element.expand(count, *element.shape)
        columns.append(shares(augment.apply(images, augment.draw(count, kinds), p, kinds), elements))
    return np.stack(columns, axis=1)


@pytest.mark.parametrize(("kinds", "group"), [(("rotate_90",), 4), (("x_flip",), 2), (("x_flip", "rotate_90"), 8)])
def test_the_distribution_can_be_told_from_the_augmented_one(kinds: tuple[str, ...], group: int) -> None:
    """Section 2.2 and appendix C of the paper, counted. A toy set: one lopsided picture in all its orientations.

    Augmentation mixes the shares of the orientations by a matrix T. For p < 1 it has an inverse: from the augmented
    pictures' shares the original ones are found again, and a generator that draws others is told from the real set.
    At p = 1 everything is mixed to the same, and what the generator draws no longer matters: that is a leak.
    """
    count, p = 20000, 0.5
    picture = torch.arange(9.0).reshape(1, 3, 3)
    turned = [picture.rot90(k, (1, 2)) for k in range(4)]
    elements = torch.stack({8: turned + [t.flip(2) for t in turned], 4: turned, 2: [picture, picture.flip(2)]}[group])
    mix = mixing(elements, kinds, p, count=count)
    smallest = np.linalg.svd(mix, compute_uv=False).min()
    assert smallest == pytest.approx((1 - p) ** len(kinds), abs=0.04)

    def seen(wanted: Array) -> Array:
        drawn = elements[torch.multinomial(torch.from_numpy(wanted), count, replacement=True)]
        return shares(augment.apply(drawn, augment.draw(count, kinds), p, kinds), elements)

    real = np.arange(1.0, group + 1) ** 2 / (np.arange(1.0, group + 1) ** 2).sum()
    other, noise = real[::-1].copy(), 4 / math.sqrt(count)
    for wanted in (real, other):
        np.testing.assert_allclose(np.linalg.solve(mix, seen(wanted)), wanted, atol=noise / smallest)
    assert np.linalg.norm(seen(real) - seen(real)) < noise
    assert np.linalg.norm(seen(real) - seen(other)) > smallest * np.linalg.norm(real - other) - noise > noise
    assert np.linalg.svd(mixing(elements, kinds, 1.0, count=count), compute_uv=False)[1:].max() < 0.05


# --- the heuristic -----------------------------------------------------------------------------------------------


def test_p_follows_the_discriminators_sureness() -> None:
    steps = dict(images=64, kimg=500.0, target=0.6)
    assert augment.next_p(0.5, 0.7, **steps) == pytest.approx(0.5 + 64 / 500000)
    assert augment.next_p(0.5, 0.1, **steps) == pytest.approx(0.5 - 64 / 500000)
    assert augment.next_p(0.5, 0.6, **steps) == 0.5
    assert augment.next_p(0.0, -1.0, **steps) == 0.0
    assert augment.next_p(1.0, 1.0, **steps) == 1.0


def test_p_reaches_one_in_kimg() -> None:
    p, images = 0.0, 0
    while p < 1:
        p = augment.next_p(p, 1.0, images=1000, kimg=20.0, target=0.6)
        images += 1000
    assert images == 20000
