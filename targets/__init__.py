"""
What targets make of the tap's output, tried for real: `python -m targets` runs each over the sandbox.

What it saw is kept in `docs/targets.json`, of which `docs/targets.md` is made. Nothing here is part of the tap.
"""
