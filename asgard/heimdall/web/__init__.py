"""Heimdall's pages in a browser: `pages` is a Flask blueprint that any application can carry, `app` one of its own with a token."""
