"""The daily report: `day` is what it knows (pure), `gather` collects it, `page`, `markdown` and `files` write it."""
