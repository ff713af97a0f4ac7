"""What can be done with a stack (preview, up, refresh, drift, destroy, import), and what it leaves on disk and in the
journal."""
