"""The whole directory in memory, with what finds things in it. Nothing in here changes: what is newer takes its place."""
