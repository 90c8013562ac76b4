"""One file per dialect the sandbox speaks."""
