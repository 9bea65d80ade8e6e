"""`tap | target` as two processes: the lock, what is copied from one to the other, and the STATE that is kept."""
