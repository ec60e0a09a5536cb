"""A client that raises a drill SOS every few seconds and follows it to its end: whatever hop is late raises an alarm."""
