"""`asgard bifrost`: a team asks, policy answers, Odin creates it. One module per group of commands."""

from asgard.cli.command import group

app = group()

from asgard.cli.bifrost import request  # noqa: E402, F401, I001  (its commands register with `app`)
from asgard.cli.bifrost import decide  # noqa: E402, F401
from asgard.cli.bifrost import credentials  # noqa: E402, F401
from asgard.cli.bifrost import grants  # noqa: E402, F401
from asgard.cli.bifrost import catalog  # noqa: E402, F401
from asgard.cli.bifrost import policy  # noqa: E402, F401
from asgard.cli.bifrost import run  # noqa: E402, F401
from asgard.cli.bifrost import serve  # noqa: E402, F401
