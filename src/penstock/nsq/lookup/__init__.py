"""nsqlookupd: which nsqd has which topics. All that it knows is told by nsqds, and told again when it starts anew.

`registry`, `conversation`, `identify_body` and `http_api` are pure: they take bytes and the time, and answer bytes.
`tcp_server` and `lookup_process` are the sockets and the process around them.
"""
