"""Recipes: when to act on a cluster, what to do, and what must hold afterwards; how they are read, judged and run."""
