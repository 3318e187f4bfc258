"""What people see of records: timelines, failures, log lines. Pure: records in, text out."""
