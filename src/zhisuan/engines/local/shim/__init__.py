"""The supervisor process of one run. Standard library only, and few modules of it: its import time is the tenant's wait."""
