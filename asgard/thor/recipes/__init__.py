"""Recipes: when something is to be done to a cluster, what, and what must hold afterwards; read, judged and carried out."""
