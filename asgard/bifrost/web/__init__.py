"""Bifrost's portal: pages and a REST API over the same functions that the command line calls."""
