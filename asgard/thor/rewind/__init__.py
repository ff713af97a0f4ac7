"""Consumer group offsets moved back or forward, with the way back recorded. `goal` decides, `rewind` carries it out."""
