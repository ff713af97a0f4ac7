"""EC2 instances and Auto Scaling groups, through boto3 (the extra `aws`)."""
