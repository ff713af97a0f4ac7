"""Where brokers run: processes on this machine, EC2 instances, Auto Scaling groups, containers.

`local` starts and stops broker processes; `member` describes anything that can be taken away. boto3 and docker are
extras, imported only when needed.
"""
