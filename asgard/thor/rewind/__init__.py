"""The offsets of a consumer group set back, or on, with the way back recorded. `goal` decides, `rewind` carries it out."""
