"""Run `tap | target` as two processes: the lock, the pipe between them, and the STATE that is kept."""
