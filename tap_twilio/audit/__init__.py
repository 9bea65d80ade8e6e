"""
Compare a warehouse with Twilio: `tap-twilio audit`.

commands/audit.py calls `audit.Audit`. The warehouse's side is one GROUP BY a table (dialects.py, warehouse.py).
Twilio's side is a first sync whose records are hashed and not written (twilio_side.py, canonical.py, spool.py).
compare.py finds the rows that differ, and repair.py writes what mends them.
"""
