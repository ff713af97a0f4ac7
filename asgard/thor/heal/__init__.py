"""Healing: a look at the cluster, a decision with its reason, the effect, and a line in the journal; once or again and again."""
