"""Logins by AWS identities (Amazon MSK): a token that proves one, signed again whenever the client library asks.

The token is a signed URL (SigV4) that MSK checks with AWS; it is valid for 15 minutes. `aws-msk-iam-sasl-signer-python`
creates it, with the credentials that boto3 finds.
"""

from __future__ import annotations

import os
from collections.abc import Callable

from kafka.net.sasl.oauth import AbstractTokenProvider

from asgard.core.errors import Unreachable, WrongUsage


def token(region: str | None) -> tuple[str, float]:
    """A token and when it expires (s since 1970). Raises WrongUsage if the signer or a region is missing, Unreachable
    if credentials are."""
    try:
        from aws_msk_iam_sasl_signer import MSKAuthTokenProvider
        from botocore.exceptions import BotoCoreError, NoCredentialsError
        from botocore.session import get_session
    except ImportError as error:
        raise WrongUsage(
            "AWS IAM login needs the package aws-msk-iam-sasl-signer-python, which is not installed",
            "Install it with: pip install 'asgard-kafka[aws]'",
        ) from error
    where = region or os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not where:
        raise WrongUsage(
            "the AWS region to sign the login for is unknown", "Set asgard.aws.region or AWS_DEFAULT_REGION."
        )
    try:
        # The signer fails in its own way if there are none.
        if get_session().get_credentials() is None:
            raise NoCredentialsError
        signed, ends_ms = MSKAuthTokenProvider.generate_auth_token(where)
    except (BotoCoreError, ValueError) as error:
        raise Unreachable(
            f"no AWS credentials were found for the login ({error})",
            "Set AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or give this machine a role.",
        ) from error
    return str(signed), ends_ms / 1000


def librdkafka_token(region: str | None) -> Callable[[str], tuple[str, float]]:
    """confluent-kafka's `oauth_cb`."""
    return lambda config: token(region)


class TokenProvider(AbstractTokenProvider):  # type: ignore[misc]
    """kafka-python's `sasl_oauth_token_provider`."""

    def __init__(self, region: str | None) -> None:
        super().__init__()
        self._region = region

    def token(self) -> str:
        """A new token for each connection."""
        return token(self._region)[0]
