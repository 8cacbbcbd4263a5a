"""What NSQ's daemons and clients say to each other over TCP, version 2. Pure: no sockets, no clock."""
