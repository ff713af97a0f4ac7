"""What keeps a stack's data safe at rest: one KMS key, and one bucket for the Kafka distribution and for archives."""

from __future__ import annotations

import json
from dataclasses import dataclass

import pulumi
import pulumi_aws as aws

from asgard.odin.targets.aws.scope import Scope

NONCURRENT_DAYS = 30
UPLOAD_DAYS = 7
"""Parts of unfinished uploads are removed after so many days: an interrupted archive resumes well before."""
ARCHIVES = "archive/"
DISTRIBUTION = "distribution/"


def key(scope: Scope) -> aws.kms.Key:
    """The key that encrypts volumes, secrets and the bucket; rotated every year. IAM policies of the account decide who uses it."""
    made = aws.kms.Key(
        scope.stack,
        description=f"Kafka data of {scope.stack}",
        enable_key_rotation=True,
        deletion_window_in_days=30,
        tags=dict(scope.tags),
        opts=scope.options(protect=True),
    )
    aws.kms.Alias(scope.stack, name=f"alias/asgard-{scope.stack}", target_key_id=made.key_id, opts=scope.options())
    return made


@dataclass(frozen=True)
class Bucket:
    """The stack's bucket, usable once `ready` exists: before that it may lack encryption or a policy."""

    bucket: aws.s3.Bucket
    ready: list[pulumi.Resource]


def bucket(scope: Scope, kms: aws.kms.Key, archive_after_days: int) -> Bucket:
    """Versioned, encrypted, closed to the public, TLS only. Archives move to infrequent access after `archive_after_days`."""
    made = aws.s3.Bucket(
        scope.stack,
        bucket_prefix=f"asgard-{scope.stack}-"[:37],
        tags={**scope.tags, "Name": scope.stack},
        opts=scope.options(protect=True),
    )
    ready: list[pulumi.Resource] = [
        aws.s3.BucketPublicAccessBlock(
            scope.stack,
            bucket=made.id,
            block_public_acls=True,
            block_public_policy=True,
            ignore_public_acls=True,
            restrict_public_buckets=True,
            opts=scope.options(),
        ),
        aws.s3.BucketVersioning(
            scope.stack, bucket=made.id, versioning_configuration={"status": "Enabled"}, opts=scope.options()
        ),
        aws.s3.BucketServerSideEncryptionConfiguration(
            scope.stack,
            bucket=made.id,
            rules=[
                {
                    "apply_server_side_encryption_by_default": {
                        "sse_algorithm": "aws:kms",
                        "kms_master_key_id": kms.arn,
                    },
                    "bucket_key_enabled": True,
                }
            ],
            opts=scope.options(),
        ),
        aws.s3.BucketLifecycleConfiguration(
            scope.stack,
            bucket=made.id,
            rules=[
                {
                    "id": "unfinished-uploads",
                    "status": "Enabled",
                    "filter": {"prefix": ""},
                    "abort_incomplete_multipart_upload": {"days_after_initiation": UPLOAD_DAYS},
                    "noncurrent_version_expiration": {"noncurrent_days": NONCURRENT_DAYS},
                },
                {
                    # Instant retrieval: a restore at 3 a.m. must not wait hours for a thaw.
                    "id": "archives-get-cheaper",
                    "status": "Enabled",
                    "filter": {"prefix": ARCHIVES},
                    "transitions": [{"days": archive_after_days, "storage_class": "GLACIER_IR"}],
                },
            ],
            opts=scope.options(),
        ),
    ]
    ready.append(
        aws.s3.BucketPolicy(
            scope.stack, bucket=made.id, policy=made.arn.apply(tls_only), opts=scope.options(depends_on=ready[:1])
        )
    )
    return Bucket(made, ready)


def tls_only(arn: str) -> str:
    """A bucket policy that denies every request without TLS."""
    statement = {
        "Sid": "TlsOnly",
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:*",
        "Resource": [arn, f"{arn}/*"],
        "Condition": {"Bool": {"aws:SecureTransport": "false"}},
    }
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})
