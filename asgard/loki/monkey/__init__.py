"""The monkey: takes away a member now and then, at random and within rules, so that losing one is nothing special.

`config` reads its file; `hours`, `health` and `choose` decide (pure); `past` is what the journal knows; `run` looks, records, acts.
"""
