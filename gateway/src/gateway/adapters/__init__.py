"""What the edge offers beside plain transcoding."""
