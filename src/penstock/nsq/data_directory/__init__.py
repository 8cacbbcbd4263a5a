"""The files in which nsqd keeps messages: read into a store, and written from one.

nsqd keeps what is not in its memory in queues, each a row of files of the library go-diskqueue, and the names of its
topics and channels in ``nsqd.dat``. `records`, `file_names`, `queue_position` and `catalogue` are the formats, pure;
`recovery` finds the records in a file that may be damaged; `queue_reading` decides what of a queue is still to be
delivered. `importing` and `exporting` are the two commands.
"""
