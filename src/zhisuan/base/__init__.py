"""What every package stands on: time, ids, exact numbers, errors, settings, the database and its events."""
