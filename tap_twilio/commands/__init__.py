"""What the tap can be told to do: a module a command, each with `run`, which returns the exit code."""
