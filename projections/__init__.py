"""What has happened, as rows to read: pure folds of events."""
