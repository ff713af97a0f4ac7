"""What is run by hand and by CI: `nox -s lint tests` is the README's test command."""

import nox

nox.options.sessions = ["lint", "tests"]
nox.options.reuse_existing_virtualenvs = True


@nox.session
def lint(session: nox.Session) -> None:
    """Style, types, the layers of the architecture, and generated pages that are up to date."""
    session.install("-q", "-e", ".[local,dev]")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("mypy")
    session.run("lint-imports", "--no-cache")
    session.run("python", "tools/reference.py", "--check")


@nox.session
def tests(session: nox.Session) -> None:
    """Everything once, on a real Kafka, two files at a time. Arguments go to pytest: `nox -s tests -- tests/unit -k yaml`."""
    session.install("-q", "-e", ".[local,dev]")
    if session.posargs:
        session.run("pytest", "-q", *session.posargs)
        return
    # A file's tests share a cluster, and mostly wait for it.
    session.run("pytest", "-q", "-n", "2", "--dist", "loadfile", success_codes=[0, 1])
    # Two cores with fifteen brokers on them are late now and then: what failed is named above, and has to pass alone.
    session.run("pytest", "-q", "--last-failed", "--last-failed-no-failures", "none", success_codes=[0, 5])


@nox.session
def proof(session: nox.Session) -> None:
    """The full counts behind the claims, written to docs/proof. Arguments name the proofs to run."""
    session.install("-q", "-e", ".[local,dev]")
    session.run("python", "-m", "tests.proof", *session.posargs)


@nox.session
def bench(session: nox.Session) -> None:
    """Figures against peers in one run, printed as ratios. Arguments name the benchmarks to run."""
    session.install("-q", "-e", ".[local,dev]")
    session.run("python", "-m", "tests.benchmarks", *session.posargs)


@nox.session
def docs(session: nox.Session) -> None:
    """Write the pages that are generated from the code."""
    session.install("-q", "-e", ".[local,dev]")
    session.run("python", "tools/reference.py")


@nox.session
def demo(session: nox.Session) -> None:
    """`asgard demo` in an environment of its own."""
    session.install("-q", "-e", ".[local,load]")
    session.run("asgard", "demo", *session.posargs)
