"""The daily report: `day` is its data (pure), `gather` collects it, `page`, `markdown` and `files` write it."""
