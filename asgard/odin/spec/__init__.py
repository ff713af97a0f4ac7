"""A stack file: read, checked as a whole, resolved into plain data; and written for a cluster that exists."""
