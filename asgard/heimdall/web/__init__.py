"""Heimdall's pages in a browser: `pages` is a Flask blueprint that any application can use, `app` is Heimdall's own application with a token."""
