"""The networks: StyleGAN and StyleGAN2 in plain PyTorch, their files, and what makes them ready for looking."""

from core import engine, foreign, latents, stylegan, stylegan2
from core.checkpoint import load, save
from core.generator import Discriminator, Generator, build_discriminator, build_generator
from core.header import Opened
from core.stylegan2 import DiscriminatorConfig, GeneratorConfig

__all__ = [
    "Discriminator",
    "DiscriminatorConfig",
    "Generator",
    "GeneratorConfig",
    "Opened",
    "build_discriminator",
    "build_generator",
    "engine",
    "foreign",
    "latents",
    "load",
    "save",
    "stylegan",
    "stylegan2",
]
