"""What is run by hand and by CI: `nox -s lint tests` is the README's test command.

Sessions run in the environment that nox itself is installed in, where `pip install -e '.[local,dev]'` put everything; only `demo`
makes one of its own, as a user would have it.
"""

import sys
from pathlib import Path

import nox

nox.options.sessions = ["lint", "tests"]
nox.options.reuse_existing_virtualenvs = True
HERE = Path(sys.executable).parent
SIDE_BY_SIDE = ("-n", "2", "--dist", "loadfile", "--no-loadscope-reorder")
"""A file's tests share a cluster, and mostly wait for it."""


def python(session: nox.Session, *arguments: str, **options: object) -> None:
    """Run this environment's Python."""
    session.run(sys.executable, *arguments, external=True, **options)  # type: ignore[arg-type]


@nox.session(venv_backend="none")
def lint(session: nox.Session) -> None:
    """Style, types, the layers of the architecture, and generated pages that are up to date."""
    python(session, "-m", "ruff", "check", ".")
    python(session, "-m", "ruff", "format", "--check", ".")
    python(session, "-m", "mypy")
    session.run(str(HERE / "lint-imports"), "--no-cache", external=True)
    python(session, "tools/reference.py", "--check")


@nox.session(venv_backend="none")
def tests(session: nox.Session) -> None:
    """Everything but the long tests, on a real Kafka, two files at a time. Arguments go to pytest: `nox -s tests -- tests/unit -k yaml`."""
    if session.posargs:
        python(session, "-m", "pytest", "-q", *session.posargs)
        return
    python(session, "-m", "pytest", "-q", "-m", "not long", *SIDE_BY_SIDE)


@nox.session(venv_backend="none")
def long(session: nox.Session) -> None:
    """The files with long tests, whole: some of their tests go on where the one before left the cluster."""
    files = [str(file) for file in sorted(Path("tests").rglob("test_*.py")) if "pytest.mark.long" in file.read_text()]
    python(session, "-m", "pytest", "-q", *SIDE_BY_SIDE, *files)


@nox.session(venv_backend="none")
def proof(session: nox.Session) -> None:
    """The full counts behind the claims, written to docs/proof. Arguments name the proofs to run."""
    python(session, "-m", "tests.proof", *session.posargs)


@nox.session(venv_backend="none")
def bench(session: nox.Session) -> None:
    """Figures against peers in one run, printed as ratios. Arguments name the benchmarks to run."""
    python(session, "-m", "tests.benchmarks", *session.posargs)


@nox.session(venv_backend="none")
def docs(session: nox.Session) -> None:
    """Write the pages that are generated from the code."""
    python(session, "tools/reference.py")


@nox.session
def demo(session: nox.Session) -> None:
    """`asgard demo` in an environment of its own."""
    session.install("-q", "-e", ".[local,load,archive]")
    session.run("asgard", "demo", *session.posargs)
