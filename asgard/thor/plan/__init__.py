"""Plans for where replicas should be: a snapshot and limits in, a plan out. No clock, network, random or disk."""
