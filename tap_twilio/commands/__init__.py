"""The commands of the tap, one module each; `run` returns the exit code."""
