"""The gateway's HTTP/1.1 server: a protocol of our own on llhttp. Knows no routes."""
