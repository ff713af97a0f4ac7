"""Archives: the records of topics in Avro container files, in a directory or an S3 bucket, with manifests that prove them complete.

`run` and `follow` write, `read` gives records back from verified files only, `verify`, `listing` and `prune` look after them.

An archive has two trees. `data/TOPIC/TOPIC-ID/PARTITION/` holds container files; a file appears complete or not at all.
`manifests/TOPIC/TOPIC-ID/PARTITION/` holds what counts: a file that no manifest names is not part of the archive. A topic that
was deleted and created again has another id, so its offsets never mix with the former ones.
"""
