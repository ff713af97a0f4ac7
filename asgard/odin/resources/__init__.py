"""Odin's resource types as plain data: what they hold, problems in inputs, differences from the cluster.

Nothing here imports Pulumi or talks to Kafka by itself, so the fast path of `up` and `drift` can compare state and
cluster without the SDK. The provider wraps these with Pulumi's values; its effects live in `asgard/odin/provider`.
"""
