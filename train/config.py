"""Every setting of a training, once: its flag, its line in config.json and its row in the manual come from here."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from core.errors import SettingError
from core.sizes import filters, start_shape
from train.growth import LONGEST, Growth, is_batches, is_lengths
from train.setting import (
    Setting,
    decimal,
    is_augment,
    is_filters,
    is_names,
    is_size,
    is_taps,
    parse_size,
    refuse_unknown,
    setting_field,
    switch,
    whole,
)
from train.slicing import AXES, is_slices, is_window

__all__ = ["ARCHITECTURES", "Config", "Setting", "parse_size", "settings"]

# What an architecture sets where neither preset nor flag does.
ARCHITECTURES: dict[str, dict[str, Any]] = {
    "stylegan2": {},
    "stylegan": {"path_weight": 0.0, "g_lr": 0.001, "d_lr": 0.001, "gamma": 10.0},  # Karras et al. 2019, appendix C
}
KIMG = 1000.0  # where nothing grows and nobody says how long
ALONE = 50  # after a head start the discriminator learns alone for one of so many parts of it

_RUN, _DATA, _NET, _TRAIN, _AUGMENT = "run", "data", "networks", "training", "augmentation"
_GROW, _REPORT, _MACHINE = "growing", "reports", "machine"


@dataclass(frozen=True)
class Config:
    """All settings of a run; a flag is a name with dashes for underscores. `auto` is decided when the run begins."""

    # What is asked
    arch: str = setting_field(
        "stylegan2", "the architecture; stylegan grows while it trains", group=_RUN, choices=tuple(ARCHITECTURES)
    )
    kimg: float | str = decimal(
        "auto",
        "train until this many thousand images were shown; auto is the end of the growth, or 1000 where nothing grows",
        group=_RUN,
        low=0.001,
        high=LONGEST,
        auto=True,
        meaning=False,
    )
    batch: int = whole(16, "images in one step", group=_RUN, low=1, high=65536)
    seed: int = whole(
        0, "seeds the networks, the order of the pictures and every draw", group=_RUN, low=0, high=2**32 - 1
    )

    init: str = setting_field(
        "", "begin with the weights of this network file, of the same size or half of it", group=_RUN
    )

    # What it sees
    data: str = setting_field("", "a folder or zip of pictures, or the word phantoms", group=_DATA)
    size: str = setting_field(
        "auto",
        "height x width of the network, such as 256 or 224x192; auto holds the most common picture unscaled",
        group=_DATA,
        check=is_size,
        allowed="HEIGHTxWIDTH such as 224x192, one number for a square, or auto",
    )
    start: str = setting_field(
        "auto",
        "the start shape, such as 7x6; auto takes the smallest",
        group=_DATA,
        check=is_size,
        allowed="HEIGHTxWIDTH such as 7x6, or auto",
    )
    channels: str = setting_field(
        "auto",
        "1 is gray, 3 is RGB, auto is what the pictures are",
        group=_DATA,
        check=lambda value: value in ("auto", "1", "3"),
        allowed="1 for gray, 3 for RGB, or auto",
    )
    fit: str = setting_field(
        "native",
        "native keeps a picture's own size, pad scales it into the frame, crop over it, stretch ignores its shape",
        group=_DATA,
        choices=("native", "pad", "crop", "stretch"),
    )
    only: str = setting_field(
        "",
        "read only files with such names, as *T1w*; several with commas between",
        group=_DATA,
        allowed="patterns with * and ?, commas between",
    )
    axis: str = setting_field("axial", "which way volumes are cut into slices", group=_DATA, choices=AXES)
    slices: str = setting_field(
        "all",
        "which slices of a volume: a range such as 40-120 or 25%-75%; empty ones are left out",
        group=_DATA,
        check=is_slices,
        allowed="all, a range from 0 upwards such as 40-120, or shares such as 25%-75%",
    )
    window: str = setting_field(
        "auto",
        "values of a scan that become black and white: LOW,HIGH, file (its own), full, or auto",
        group=_DATA,
        check=is_window,
        allowed="LOW,HIGH such as -160,240 with LOW below HIGH, or file, full or auto",
    )
    mirror: bool = switch("mirror a random half of the pictures left to right", group=_DATA)
    labels: bool = switch("train a network with classes, one for each folder of pictures", group=_DATA)
    holdout: float = decimal(
        0.0,
        "share of the pictures that is kept out of the training, to see overfitting and for measures",
        group=_DATA,
        low=0.0,
        high=0.5,
    )

    # The networks
    channel_base: int = whole(
        16384, "channels of a layer are base / side, side rounded up to a power of two", group=_NET, low=1, high=2**20
    )
    channel_max: int = whole(512, "and never more than this", group=_NET, low=1, high=4096)
    filters: str = setting_field(
        "auto",
        "the channels themselves, coarse to fine, such as 256,128,64: one number a level",
        group=_NET,
        check=is_filters,
        allowed="whole numbers from 1 with commas between, one a level, or auto",
    )
    z_dim: int = whole(512, "numbers in z", group=_NET, low=1, high=4096)
    w_dim: int = whole(512, "numbers in w", group=_NET, low=1, high=4096)
    mapping_layers: int = whole(8, "layers from z to w", group=_NET, low=0, high=32)
    mapping_lr: float = decimal(
        0.01, "learning rate of those layers, as a share of the generator's", group=_NET, low=1e-6, high=1.0
    )
    g_architecture: str = setting_field(
        "skip", "how the generator's levels are joined", group=_NET, choices=("skip", "resnet", "orig")
    )
    d_architecture: str = setting_field(
        "resnet", "how the discriminator's levels are joined", group=_NET, choices=("resnet", "skip", "orig")
    )
    resample_filter: str = setting_field(
        "1,3,3,1",
        "taps of the filter between levels",
        group=_NET,
        check=is_taps,
        allowed="numbers with commas between, such as 1,3,3,1",
    )
    group: int = whole(
        4, "pictures whose spread the discriminator sees together (minibatch deviation)", group=_NET, low=1, high=1024
    )

    # How it grows
    grow_from: str = setting_field(
        "auto",
        "the first size trained on, such as 14x12; auto is the start shape",
        group=_GROW,
        check=is_size,
        allowed="a size that the network grows through, such as 14x12, or auto",
    )
    batches: str = setting_field(
        "auto",
        "images in one step, one number for each size trained on; auto is --batch everywhere",
        group=_GROW,
        check=is_batches,
        allowed="whole numbers with commas between, one a size, such as 32,32,16, or auto",
    )
    fade: str = setting_field(
        "600",
        "kimg in which a size fades in, for all or one a size; e behind a number is passes over the pictures",
        group=_GROW,
        check=is_lengths,
        allowed="numbers from 0 to 1000000000 with commas between, such as 20, 0,10,20 or 30e",
    )
    stable: str = setting_field(
        "600",
        "kimg in which a size is trained once it has faded in, for all or one a size; e as in --fade",
        group=_GROW,
        check=is_lengths,
        allowed="numbers from 0 to 1000000000 with commas between, such as 20, 40,10,20 or 30e",
    )

    # How it learns
    loss: str = setting_field(
        "auto",
        "logistic goes with R1, wgan-gp with a gradient penalty; auto is logistic",
        group=_TRAIN,
        choices=("auto", "logistic", "wgan-gp"),
    )
    gp_weight: float = decimal(10.0, "weight of the gradient penalty of wgan-gp", group=_TRAIN, low=0.0)
    drift: float = decimal(
        0.001,
        "weight of the squared logits of real pictures, which keeps those of wgan-gp near 0",
        group=_TRAIN,
        low=0.0,
    )
    g_lr: float = decimal(0.0025, "learning rate of the generator", group=_TRAIN, low=0.0, high=1.0)
    d_lr: float = decimal(0.0025, "learning rate of the discriminator", group=_TRAIN, low=0.0, high=1.0)
    beta1: float = decimal(0.0, "Adam's first decay", group=_TRAIN, low=0.0, high=0.9999)
    beta2: float = decimal(0.99, "Adam's second decay", group=_TRAIN, low=0.0, high=0.99999)
    gamma: float | str = decimal(
        "auto",
        "weight of R1 at full size, of which smaller sizes take their share by pixels; auto is 0.0002 x pixels / batch"
        ", stylegan begins with 10",
        group=_TRAIN,
        low=0.0,
        auto=True,
    )
    r1_every: int = whole(16, "steps from one R1 to the next", group=_TRAIN, low=1, high=1024)
    path_weight: float = decimal(
        2.0, "weight of the path length penalty; 0 turns it off, and is what stylegan has", group=_TRAIN, low=0.0
    )
    path_every: int = whole(4, "steps from one path length penalty to the next", group=_TRAIN, low=1, high=1024)
    path_decay: float = decimal(0.01, "how fast the mean path length follows", group=_TRAIN, low=0.0, high=1.0)
    path_shrink: int = whole(2, "path lengths are taken of batch / this many pictures", group=_TRAIN, low=1, high=64)
    style_mixing: float = decimal(
        0.9, "share of generated pictures made from two styles", group=_TRAIN, low=0.0, high=1.0
    )
    ema_kimg: float = decimal(10.0, "half-life of the generator's moving average, in kimg", group=_TRAIN, low=0.0)
    ema_ramp: float = decimal(
        0.05, "and never more than this share of the images seen; 0 is no ramp", group=_TRAIN, low=0.0, high=1.0
    )
    w_avg_beta: float = decimal(0.998, "how slowly the average w follows, a step", group=_TRAIN, low=0.0, high=1.0)
    reconstruct: float = decimal(
        0.0,
        "kimg in which the generator first learns to draw the pictures from their principal components",
        group=_TRAIN,
        low=0.0,
        high=LONGEST,
    )
    hold: float = decimal(
        0.0, "weight of holding samples, after it, to the principal components that w says", group=_TRAIN, low=0.0
    )
    freeze_d: int = whole(
        0, "levels of the discriminator, from the finest on, that are not trained", group=_TRAIN, low=0, high=16
    )

    # For small sets
    augment: str = setting_field(
        "none",
        "augment what the discriminator sees: never, each with probability P, or ada: as much as overfitting needs",
        group=_AUGMENT,
        check=is_augment,
        allowed="none, fixed:P with P from 0 to 1, or ada",
    )
    ada_target: float = decimal(
        0.6, "mean sign of the discriminator on real pictures that ada steers to", group=_AUGMENT, low=0.0, high=1.0
    )
    ada_kimg: float = decimal(500.0, "kimg in which ada's p can go from 0 to 1", group=_AUGMENT, low=0.001)
    ada_every: int = whole(4, "steps from one move of ada's p to the next", group=_AUGMENT, low=1, high=1024)

    # What it leaves
    tick: float = decimal(
        4.0, "kimg from one line of the log and sample sheet to the next", group=_REPORT, low=0.001, high=LONGEST
    )
    snapshot: int = whole(
        1,
        "ticks from one network file to the next; state for resuming is saved at every tick",
        group=_REPORT,
        low=1,
        high=10**6,
        meaning=False,
    )
    samples: int = whole(
        24, "pictures on the sample sheet, seeds 0 and up", group=_REPORT, low=1, high=256, meaning=False
    )

    metrics: str = setting_field(
        "",
        "measures taken while training, names with commas between",
        group=_REPORT,
        check=is_names,
        allowed="names of measures with commas between",
        meaning=False,
    )
    inception: str = setting_field(
        "", "Inception weights for FID and KID; where torch-fidelity keeps them, if none are named", group=_REPORT,
        allowed="a file that torch-fidelity or pytorch-fid keeps", meaning=False,
    )  # fmt: skip
    every: float = decimal(
        100.0, "kimg from one round of measures to the next", group=_REPORT, low=0.001, high=LONGEST, meaning=False
    )
    keep: int = whole(
        0,
        "network files kept; 0 keeps all, and the best, the newest and the last are never deleted",
        group=_REPORT,
        low=0,
        high=10**6,
        meaning=False,
    )
    best: str = setting_field(
        "",
        "the measure by which best.json names the best network; the first of --metrics where none is given",
        group=_REPORT,
        check=lambda value: is_names(value) and "," not in value,
        allowed="the name of one measure",
        meaning=False,
    )

    credit: str = setting_field(
        "", "whom the pictures are owed to; kept in every network file", group=_REPORT, meaning=False
    )

    # What it runs on
    device: str = setting_field(
        "auto",
        "auto takes a GPU where there is one",
        group=_MACHINE,
        choices=("auto", "cpu", "cuda", "mps"),
        meaning=False,
    )
    precision: str = setting_field(
        "auto",
        "auto measures both at the start and keeps the faster",
        group=_MACHINE,
        choices=("auto", "float32", "bfloat16"),
        meaning=False,
    )
    threads: int | str = whole(
        "auto", "threads on the CPU; auto is one a core", group=_MACHINE, low=1, high=1024, auto=True, meaning=False
    )
    compile: str = setting_field(
        "auto",
        "compile the networks' first derivatives with torch.compile; auto does so on a GPU",
        group=_MACHINE,
        choices=("auto", "on", "off"),
        meaning=False,
    )
    patience: float = decimal(
        30.0,
        "minutes that several processes wait for one that is late",
        group=_MACHINE,
        low=0.01,
        high=1440.0,
        meaning=False,
    )
    micro_batch: int | str = whole(
        "auto",
        "images computed at once, gradients accumulated; auto is the batch, halved when memory runs out",
        group=_MACHINE,
        low=1,
        high=65536,
        auto=True,
        meaning=False,
    )

    @classmethod
    def read(cls, values: Mapping[str, Any], *, fit: Callable[[Config], Config] = lambda one: one) -> Config:
        """Build from a mapping, defaults filled in, `fit`, everything checked. Raises SettingError naming the field."""
        refuse_unknown(values, known=[setting.name for setting in settings()])
        arch = values.get("arch", "stylegan2")
        preferred = dict(ARCHITECTURES.get(arch, {}) if isinstance(arch, str) else {})
        if values.get("loss") == "wgan-gp":  # which has no R1
            preferred.pop("gamma", None)
        config = fit(cls(**{**preferred, **values}))
        config.check()
        return config

    def check(self) -> None:
        """Raise SettingError for the first field that cannot be, alone or with the others."""
        for setting in settings():
            value = getattr(self, setting.name)
            if not setting.check(value):
                raise SettingError(setting.name, value, setting.allowed)
        self._check_arch()
        self._check_batches()
        if self.path_weight and self.batch // self.path_shrink < 1:
            raise SettingError("path_shrink", self.path_shrink, f"at most the batch, {self.batch}")
        if self.freeze_d and not self.init:
            raise SettingError(
                "freeze_d", self.freeze_d, "0 without --init: levels that begin at random would never learn"
            )
        if self.size != "auto":
            self.filters_for(parse_size(self.size))
            Growth.of(self, parse_size(self.size), pictures=10**6)  # their number comes later: epochs are long here

    def _check_arch(self) -> None:
        """Raise SettingError for a setting of the other architecture, or of the other loss."""
        foreign: tuple[str, ...] = ("g_architecture", "d_architecture", "resample_filter", "path_weight")
        if self.arch == "stylegan2":
            foreign = ("grow_from", "batches", "fade", "stable")
        defaults = {one.name: one.default for one in fields(self)} | ARCHITECTURES[self.arch]
        for name in foreign:
            if getattr(self, name) != defaults[name]:
                reason = "has no such choice" if self.arch == "stylegan" else "does not grow; --arch stylegan does"
                raise SettingError(name, getattr(self, name), f"{defaults[name]} with {self.arch}, which {reason}")
        if self.hold and (not self.head_start() or self.style_mixing == 1):
            raise SettingError("hold", self.hold, "0 without --reconstruct, whose codes hold, or with --style-mixing 1")
        if self.reconstruct and self.labels:
            raise SettingError("reconstruct", self.reconstruct, "0 with --labels: codes of pictures know no classes")
        if self.reconstruct and not self.mapping_layers:
            raise SettingError("reconstruct", self.reconstruct, "0 with --mapping-layers 0, since z is w there")
        if self.wasserstein and self.gamma != "auto":
            raise SettingError("gamma", self.gamma, "auto with --loss wgan-gp, which has --gp-weight in its place")
        if self.wasserstein and self.augment == "ada":
            allowed = "none or fixed:P with --loss wgan-gp, whose logits have no zero that ada could steer by"
            raise SettingError("augment", self.augment, allowed)

    def _check_batches(self) -> None:
        """Raise SettingError where a batch has no whole groups, or cannot be computed in the parts that are asked."""
        field = "batch" if self.batches == "auto" else "batches"
        for batch in self.every_batch():
            if batch % self.group:
                least = "a multiple of" if batch > self.group else "at least"
                raise SettingError(
                    field, batch, f"{least} the minibatch group, {self.group}; change --{field} or --group"
                )
            if self.micro_batch == "auto":
                continue
            micro = int(self.micro_batch)
            if micro % self.group or batch % (min(micro, batch) if len(self.every_batch()) > 1 else micro):
                raise SettingError(
                    "micro_batch",
                    self.micro_batch,
                    f"a multiple of the minibatch group, {self.group}, that divides the batch, {batch}",
                )

    def every_batch(self) -> list[int]:
        """The batch, or those of all sizes."""
        return [self.batch] if self.batches == "auto" else [int(part) for part in self.batches.split(",")]

    @property
    def wasserstein(self) -> bool:
        """Whether the loss is WGAN-GP's; else it is the logistic one, with R1."""
        return self.loss == "wgan-gp"

    def head_start(self) -> int:
        """Images of the head start."""
        return round(self.reconstruct * 1000)

    def alone(self) -> int:
        """Images after it in which the discriminator learns alone."""
        return self.head_start() // ALONE

    def images(self, *, auto: int = round(KIMG * 1000)) -> int:
        """Images to be shown; `auto` where --kimg leaves it open."""
        return auto if self.kimg == "auto" else max(1, round(float(self.kimg) * 1000))

    def start_for(self, size: tuple[int, int]) -> tuple[int, int]:
        """The start shape of a network of `size`. Raises SettingError."""
        start = None if self.start == "auto" else parse_size(self.start, field_name="start")
        return start_shape(size, start)[0]

    def filters_for(self, size: tuple[int, int]) -> tuple[int, ...]:
        """Channels a level, coarse to fine, of a network of `size`. Raises SettingError."""
        start = self.start_for(size)
        levels = start_shape(size, start)[1] + 1
        if self.filters == "auto":
            return filters(size, start, base=self.channel_base, maximum=self.channel_max)
        chosen = tuple(int(part) for part in self.filters.split(","))
        if len(chosen) != levels:
            raise SettingError(
                "filters",
                self.filters,
                f"{size[0]}x{size[1]} from {start[0]}x{start[1]} has {levels} levels, so {levels} numbers",
            )
        return chosen

    def gamma_for(
        self, size: tuple[int, int], batch: int | None = None, *, full: tuple[int, int] | None = None
    ) -> float:
        """The weight of R1 at `size`: what is given for the `full` size, by pixels, or 0.0002 x pixels / batch.

        A change of the picture that moves the logit as much at either size has a squared gradient that goes with
        1 / pixels, so a weight that goes with pixels means the same at both.
        """
        pixels = size[0] * size[1]
        if self.gamma == "auto":
            return 0.0002 * pixels / (self.batch if batch is None else batch)
        height, width = full or size
        return float(self.gamma) * pixels / (height * width)

    def fixed_p(self) -> float:
        """The p that augmentation begins with: P of fixed:P, else 0."""
        return float(self.augment.partition(":")[2]) if self.augment.startswith("fixed:") else 0.0

    def taps(self) -> tuple[float, ...]:
        """The taps of the resampling filter."""
        return tuple(float(tap) for tap in self.resample_filter.split(","))

    def values(self) -> dict[str, Any]:
        """Every setting by name, for config.json."""
        return dataclasses.asdict(self)


def settings() -> list[Setting]:
    """Every setting, in the order of the manual."""
    return [Setting(name=one.name, default=one.default, **one.metadata) for one in fields(Config)]
