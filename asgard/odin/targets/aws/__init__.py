"""Clusters on AWS as Pulumi programs on pulumi-aws: `ec2` (Kafka on instances of our own) and `msk` (Amazon MSK).

Both kinds of cluster use `network`, `protection` and `access`, `user_data` is the script that turns an instance into a
broker, `guardrails` looks at every resource before it is created, and `cost` estimates what a month costs. Everything
here only describes; Pulumi's engine alone calls AWS.
"""
