"""The networks: StyleGAN2 in plain PyTorch, their files, and what makes them ready for looking."""
