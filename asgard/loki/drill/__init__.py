"""Disaster drills: what is broken and when, what a cluster's users felt of it, and the page that tells. All of it is pure.

`scenarios` makes a plan from a seed, `times` and `verdict` judge what came of it, `statistics` adds up several runs, `page` shows it.
`asgard.compose.drill` carries a plan out.
"""
