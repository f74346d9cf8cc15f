"""WebSockets: text comes piece by piece, audio goes out as it is made."""
