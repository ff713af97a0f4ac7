"""What Heimdall measured: `writer` keeps samples and their rollups, `read` gives them back as data classes.

A sample (every 10 s) holds offsets by partition; minutes, hours and days hold records by topic and lag by group. Each is one
row whose arrays are packed, so that 200,000 partitions cost one row per sample, not 200,000.
"""
