"""Disaster drills: what is broken and when, what a cluster's users noticed, and the page about it. All of it is pure.

`scenarios` makes a plan from a seed, `times` and `verdict` judge the outcome, `statistics` adds up several runs, `page` shows it.
`asgard.compose.drill` carries a plan out.
"""
