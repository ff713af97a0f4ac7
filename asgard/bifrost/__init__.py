"""Self-service access: teams ask for topics, users and access, policy answers, Odin makes it.

Pure here: who may do what, what policy says, how a request goes on. What needs a cluster is in `asgard.compose.bifrost_*`.
"""
