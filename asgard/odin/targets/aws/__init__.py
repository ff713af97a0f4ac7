"""Clusters on AWS as Pulumi programs on pulumi-aws: `ec2` (Kafka on instances of our own) and `msk` (Amazon MSK).

`network`, `protection` and `access` are what both kinds of cluster stand on,
`user_data` is the script that makes an instance a broker, `guardrails` looks at every resource before it is created, and `cost`
estimates what a month costs. Everything here describes; only Pulumi's engine calls AWS.
"""
