"""What Loki can take away beside broker processes of a local stack: EC2 instances, Auto Scaling groups, containers.

`member` is the one shape of all of them; `brokers`, `ec2`, `asg` and `containers` list members and take them away; `actions`
are the same deeds by name, for experiments. boto3 and docker are extras, imported where they are needed.
"""
