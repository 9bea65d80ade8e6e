"""`make sync`: run the tap into a real Postgres, and report what changed there."""
