"""Webhooks: telling others what happens here, and letting others ask for something."""
