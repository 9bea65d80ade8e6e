"""The parts of `run-sync`: the processes and the pipe between them, the lock, and where the STATE is saved."""
