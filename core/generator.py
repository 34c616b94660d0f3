"""What a generator is to the outside world, whatever its architecture, and how networks are built."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor, nn

from core import latents, stylegan, stylegan2
from core.mapping import Mapping

__all__ = [
    "ARCHITECTURES",
    "Discriminator",
    "Generator",
    "AnyGeneratorConfig",
    "build_discriminator",
    "build_generator",
]

AnyGeneratorConfig = stylegan.GeneratorConfig | stylegan2.GeneratorConfig
AnyDiscriminatorConfig = stylegan.DiscriminatorConfig | stylegan2.DiscriminatorConfig
Discriminator = stylegan.Discriminator | stylegan2.Discriminator


@dataclass(frozen=True)
class Architecture:
    """What a network file's `arch` stands for."""

    generator: type  # of its configuration
    discriminator: type
    grows: bool


ARCHITECTURES = {
    "stylegan2": Architecture(stylegan2.GeneratorConfig, stylegan2.DiscriminatorConfig, grows=False),
    "stylegan": Architecture(stylegan.GeneratorConfig, stylegan.DiscriminatorConfig, grows=True),
}


class Generator(nn.Module):
    """A mapping and a synthesis network.

    g.mapping(z, label) [N, z_dim] -> [N, w_dim]; g.truncate(w, psi=, cutoff=) -> [N, num_ws, w_dim];
    g.synthesis(ws, noise=) -> [N, channels, H, W], about -1 .. 1; size= and alpha= where it grows.
    """

    def __init__(self, config: AnyGeneratorConfig) -> None:
        super().__init__()
        self.config = config
        self.mapping = Mapping(
            config.z_dim,
            config.w_dim,
            config.num_classes,
            layers=config.mapping_layers,
            lr=config.mapping_lr,
            embed=getattr(config, "embed_dim", None),
            hidden=getattr(config, "hidden_dim", None),
        )
        self.synthesis: stylegan.Synthesis | stylegan2.Synthesis = (
            stylegan.Synthesis(config) if isinstance(config, stylegan.GeneratorConfig) else stylegan2.Synthesis(config)
        )

    @property
    def arch(self) -> str:
        """stylegan or stylegan2."""
        return next(name for name, arch in ARCHITECTURES.items() if isinstance(self.config, arch.generator))

    @property
    def grows(self) -> bool:
        """Whether smaller sizes, too, can be asked of the synthesis."""
        return ARCHITECTURES[self.arch].grows

    @property
    def sizes(self) -> list[tuple[int, int]]:
        """Height and width of the pictures it can make, coarse to fine; one where it does not grow."""
        return self.config.level_sizes if self.grows else [self.size]

    @property
    def z_dim(self) -> int:
        """Width of z."""
        return self.config.z_dim

    @property
    def w_dim(self) -> int:
        """Width of w."""
        return self.config.w_dim

    @property
    def num_ws(self) -> int:
        """How many layers take a w."""
        return self.synthesis.num_ws

    @property
    def num_classes(self) -> int:
        """0 for a network without classes."""
        return self.config.num_classes

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the finished pictures."""
        return self.config.size

    @property
    def channels(self) -> int:
        """1 for gray, 3 for RGB."""
        return self.config.channels

    @property
    def noise_shapes(self) -> list[tuple[int, int]]:
        """Height and width of each noise map."""
        return self.synthesis.noise_shapes

    @property
    def w_avg(self) -> Tensor:
        """The average w [w_dim], towards which truncation pulls."""
        return self.mapping.w_avg

    def truncate(self, w: Tensor, psi: float = 0.7, cutoff: int | None = None) -> Tensor:
        """w [N, w_dim] (or ws [N, num_ws, w_dim]) -> ws [N, num_ws, w_dim], pulled towards w_avg by `psi`.

        Raises SettingError as `latents.truncate` does.
        """
        ws = w.unsqueeze(1).expand(-1, self.num_ws, -1) if w.ndim == 2 else w
        return latents.truncate(ws, self.w_avg.to(ws), psi, cutoff)

    def forward(self, z: Tensor, label: Tensor | None = None, *, psi: float = 1.0) -> Tensor:
        """z [N, z_dim] -> pictures [N, channels, H, W]: mapping, truncation and synthesis in one."""
        return self.synthesis(self.truncate(self.mapping(z, label), psi=psi))


def build_generator(config: AnyGeneratorConfig) -> Generator:
    """Return a fresh generator; its weights come from torch's global random stream."""
    return Generator(config)


def build_discriminator(config: AnyDiscriminatorConfig) -> Discriminator:
    """Return a fresh discriminator; its weights come from torch's global random stream."""
    if isinstance(config, stylegan.DiscriminatorConfig):
        return stylegan.Discriminator(config)
    return stylegan2.Discriminator(config)
