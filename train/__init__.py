"""Training: a folder or zip of pictures becomes a StyleGAN or StyleGAN2. Knows core, and nothing of the explorer."""
