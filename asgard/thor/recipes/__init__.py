"""Recipes: when to act on a cluster, what to do, and what must hold afterwards; read, judged and carried out."""
