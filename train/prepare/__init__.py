"""Folders and volumes as people have them -> a training zip: lossless, checked, resumable, a dataset.json inside."""
