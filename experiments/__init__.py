"""One script for each table or figure of the paper; copy one to make a new one."""
