"""The command line: one thin module per service. Parse, call one function, render; no decisions."""
