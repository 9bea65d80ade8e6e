"""
Tests of real targets with the tap's output: `python -m targets` runs each with the sandbox.

What it saw is kept in `docs/targets.json`, of which `docs/targets.md` is made. Nothing here is part of the tap.
"""
