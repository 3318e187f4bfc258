"""The gateway: from a request to the function it is for."""
