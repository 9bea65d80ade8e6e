"""What `make sync` runs: the tap into a real Postgres, and a look at what the warehouse holds then."""
