"""`asgard odin`: stack files in; changes shown, approved and applied. One module per group of commands."""

from asgard.cli.command import group

app = group()

from asgard.cli.odin import verbs  # noqa: E402, F401, I001  (its commands register with `app`)
from asgard.cli.odin import state  # noqa: E402, F401  (after the verbs, also in the help)
from asgard.cli.odin import checks  # noqa: E402, F401
