"""The state of a cluster, shared by every service: a look at it, its health, its limits, and the one way to move
replicas."""
