"""Code that needs more than one service, or a service and the data plane: the demo, settling what dead runs left."""
