"""The directory by the Human Services Data Specification of Open Referral, version 3.0, to read alone."""
