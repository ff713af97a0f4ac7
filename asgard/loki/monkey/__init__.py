"""The monkey: takes away a member now and then, at random and within rules, so that losing one becomes routine.

`config` reads its file; `hours`, `health` and `choose` decide (pure); `past` is what the journal knows; `run` looks, records, acts.
"""
