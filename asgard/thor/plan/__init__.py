"""Plans of where replicas are to be: a snapshot and limits in, a plan out. No clock, network, random or disk."""
