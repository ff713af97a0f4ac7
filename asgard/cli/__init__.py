"""The command line: one thin module a service. Parse, call one function, render; no decision."""
