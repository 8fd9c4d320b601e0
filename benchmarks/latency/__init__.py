"""How long a call, a launch and a cold start take, and how sure that is."""
