"""`heimdall top`: the cluster live in a terminal. `sheets` says what is shown (pure), `app` draws it with textual."""
