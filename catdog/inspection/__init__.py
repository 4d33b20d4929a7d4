"""A classifier's file from elsewhere: looked through and tried, before anything here trusts it."""
