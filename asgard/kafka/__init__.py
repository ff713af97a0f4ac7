"""Everything that touches Kafka: the model of a cluster, the control plane, the data plane, and Kafka on this machine."""
