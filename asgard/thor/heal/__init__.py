"""Healing: look at the cluster, decide with a reason, act, and write it to the journal; once or repeatedly."""
