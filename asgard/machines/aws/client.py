"""A client of an AWS service, and its errors as sentences.

Credentials come from where boto3 looks for them (environment, shared files, the instance's role), never from Asgard's
files. boto3 retries throttled calls, with growing pauses.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

from asgard.core.errors import AsgardError, Failed, Refused, Unreachable, WrongUsage

CONNECT_S = 5.0
READ_S = 20.0
_DENIED = frozenset({"UnauthorizedOperation", "AccessDenied", "AccessDeniedException", "OptInRequired"})
_LOGIN = frozenset(
    {
        "AuthFailure", "InvalidClientTokenId", "SignatureDoesNotMatch", "ExpiredToken", "ExpiredTokenException",
        "RequestExpired", "UnrecognizedClientException", "MissingAuthenticationToken", "IncompleteSignature",
    }
)  # fmt: skip
_SLOWED = frozenset(
    {"RequestLimitExceeded", "Throttling", "ThrottlingException", "ThrottledException", "TooManyRequestsException"}
)


def client(service: str, region: str | None = None) -> Any:
    """A boto3 client. Raises WrongUsage if boto3 is not installed, or no region is known."""
    try:
        import boto3
        from botocore.config import Config
    except ImportError as error:
        raise WrongUsage(
            "AWS needs the package boto3, which is not installed",
            "Install it with: pip install 'asgard-kafka[aws]'",
        ) from error
    config = Config(
        retries={"mode": "standard", "max_attempts": 5},
        connect_timeout=CONNECT_S,
        read_timeout=READ_S,
        user_agent_extra="asgard",
    )
    with errors("opening a connection to AWS"):
        return boto3.client(service, region_name=region, config=config)  # type: ignore[call-overload,unused-ignore]


@contextlib.contextmanager
def errors(doing: str) -> Iterator[None]:
    """boto3's exceptions as Asgard's errors: what was being done, and what to do next."""
    from botocore import exceptions as aws

    try:
        yield
    except (aws.NoCredentialsError, aws.PartialCredentialsError, aws.CredentialRetrievalError) as error:
        raise Unreachable(
            f"{doing}: no AWS credentials were found ({error})",
            "Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give this machine a role; cron starts without your shell's environment.",
        ) from error
    except (aws.SSOError, aws.TokenRetrievalError) as error:
        raise Unreachable(f"{doing}: the login of this profile has run out ({error})", "Run: aws sso login") from error
    except aws.NoRegionError as error:
        raise WrongUsage(
            f"{doing}: no AWS region is known", "Name one with `region:` in the file, or set AWS_DEFAULT_REGION."
        ) from error
    except aws.ProfileNotFound as error:
        raise WrongUsage(f"{doing}: {error}", "Check AWS_PROFILE and ~/.aws/config.") from error
    except aws.ClientError as error:
        raise _of_answer(doing, error.response.get("Error", {})) from error
    except (aws.EndpointConnectionError, aws.ConnectTimeoutError, aws.ReadTimeoutError, aws.HTTPClientError) as error:
        raise Unreachable(
            f"{doing}: AWS does not answer ({error})", "Check the network and the region, then run it again."
        ) from error
    except aws.BotoCoreError as error:
        raise Failed(f"{doing}: {error}") from error


def _of_answer(doing: str, answer: dict[str, Any]) -> AsgardError:
    code, said = str(answer.get("Code", "unknown")), str(answer.get("Message", ""))
    # The rest is the encoded refusal: hundreds of letters that only an administrator can decode.
    said = said.split("Encoded authorization failure message")[0].strip()
    what = f"{doing}: AWS says {code}" + (f": {said}" if said else "")
    if code in _DENIED:
        return Refused(what, "Give this identity the permission: docs/loki-monkey.md lists what is needed.")
    if code in _LOGIN:
        return Unreachable(
            what, "The credentials are wrong or have expired: get new ones, and check the machine's clock."
        )
    if code in _SLOWED:
        return Unreachable(what, "AWS is throttling this account's calls: run it again later, or less often.")
    if code == "OperationNotPermitted":
        return Refused(what, "It is protected against this; only its owner should remove the protection.")
    if code.startswith("InvalidInstanceID") or code == "ValidationError":
        return WrongUsage(what, "Check the id and the region.")
    return Failed(what)
