"""What runs inside the sandbox before and beside the tenant's work. Trusts nothing the tenant can reach."""
