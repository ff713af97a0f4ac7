"""Self-service access: teams ask for topics, users and access, policy answers, Odin creates it.

Pure here: who may do what, what policy says, how a request proceeds. What needs a cluster is in `asgard.compose.bifrost_*`.
"""
