"""NSQ's door: the daemons ``nsqd`` and ``nsqlookupd`` as NSQ's clients and tools know them, in front of a store.

`protocol` is what travels, `door` the process that clients talk to, `lookup` the directory of who has which topic.
`options` are the flags and the configuration file of both, with NSQ's own names.
"""
