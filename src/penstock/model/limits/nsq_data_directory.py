"""What an import from, or an export to, the files of an nsqd takes at once."""

from __future__ import annotations

from typing import Final

NSQ_IMPORT_MESSAGES: Final = 250
"""Messages of a queue in one request to the store, so that others who use it wait little. Beyond: several requests."""
NSQ_IMPORT_BYTES: Final = 4 * 1024 * 1024
"""Bodies in one request to the store, but for the last of them. Beyond: several requests."""
NSQ_READ_BYTES: Final = 1024 * 1024
"""What is read of a file at once. A longer record is read by itself."""
NSQ_LOSSES_TOLD_MAX: Final = 10_000
"""Losses that a report names one by one. Beyond: counted."""
NSQ_EXPORT_FILE_BYTES: Final = 100 * 1024 * 1024
"""What a file of a queue has at most, unless a message alone is longer, as nsqd's -max-bytes-per-file. Beyond: the next
file is begun."""
NSQ_EXPORT_MESSAGE_BYTES: Final = 1024 * 1024
"""A message, unless the export is told otherwise: nsqd's -max-msg-size. Beyond: the export is refused, since nsqd would
put the whole file aside."""
NSQ_EXPORT_MESSAGES: Final = 256
"""Messages whose bodies are asked for at once. Beyond: several requests."""
