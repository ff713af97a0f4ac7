"""A stack file: read, checked as a whole, resolved into plain data; and written for an existing cluster."""
