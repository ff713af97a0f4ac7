"""What a cluster is like, once for every service: a look at it, its health, its limits, and the one way in which replicas are moved."""
