"""Label maps of files and folders: inputs, ground truth, outputs. Nothing here imports torch."""
