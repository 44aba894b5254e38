"""The batch pass: backlog, deferrable and spot work planned anew over all sites and the next time slots, by HiGHS."""
