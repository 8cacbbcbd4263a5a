"""What a store checks before it publishes messages and makes channels. Pure.

What topics and messages are: `penstock.model.topics`.
"""

from __future__ import annotations

from collections.abc import Sequence

from penstock.model import limits
from penstock.model.acceptance import CHECKSUM_MAX, check_headers, check_run_at
from penstock.model.errors import BodyTooLarge, InvalidOption, StoreFull
from penstock.model.ids import ID_BYTES
from penstock.model.topics import KEY_HEADER, RAW, MessageEntry, MessageGroup, check_topic
from penstock.model.wording import counted


def check_messages(topic: str, groups: Sequence[MessageGroup], now: float) -> int:
    """Pass when these messages are within the limits. Answers how many they are.

    Args:
        topic: to which they are published.
        groups: what a client asks to be published.
        now: Unix seconds by the store's clock.

    Raises:
        InvalidOption: an option is outside what it may be; ``field`` names it.
        BodyTooLarge: a body, or the number of messages, is over its limit.
    """
    check_topic(topic)
    count = 0
    body_bytes_max = limits.JOB_BODY_BYTES_MAX
    for group in groups:
        count += len(group.messages)
        if group.delay_s is not None:
            check_run_at(now + group.delay_s, now, "delay_s")
        if group.idempotency_s is not None:
            _check_idempotency_s(topic, group.idempotency_s)
        if group.headers is not None:
            check_headers(topic, group.headers)
            _check_one_key(group)
        for message in group.messages:
            body, job_id = message.body, message.id
            # Whoever is out of the ordinary is looked at closely.
            if (
                body[:1] != RAW
                or len(body) > body_bytes_max
                or len(job_id) != ID_BYTES
                or job_id[8] & 0x0F
                or job_id[9] & 0xE0
                or not 0 <= message.checksum <= CHECKSUM_MAX
                or message.idempotency_key is not None
                or message.key is not None
            ):
                _check_message(topic, group, message)
    if count > limits.BATCH_JOBS_MAX:
        raise BodyTooLarge(f"{count} messages in one request; the limit is {limits.BATCH_JOBS_MAX}.")
    return count


def _check_idempotency_s(topic: str, idempotency_s: float) -> None:
    if not 0 < idempotency_s <= limits.IDEMPOTENCY_S_MAX:
        raise InvalidOption(
            f"{topic}: idempotency keys count for more than 0 and at most {limits.IDEMPOTENCY_S_MAX:.0f} seconds, not "
            f"{idempotency_s} (IDEMPOTENCY_S_MAX).",
            field="idempotency_s",
        )


def _check_one_key(group: MessageGroup) -> None:
    """Pass when no message has one key of its own and another one in the headers."""
    told = (group.headers or {}).get(KEY_HEADER)
    if told is not None and any(message.key not in (None, told) for message in group.messages):
        raise InvalidOption(
            f"A message has a key, and another one in the header {KEY_HEADER!r}: give one of them.", field="key"
        )


def _check_message(topic: str, group: MessageGroup, message: MessageEntry) -> None:
    body = message.body
    if len(body) > limits.JOB_BODY_BYTES_MAX:
        raise BodyTooLarge(f"{topic}: a message of {len(body)} bytes; the limit is {limits.JOB_BODY_BYTES_MAX}.")
    if body[:1] != RAW:
        raise InvalidOption(f"{topic}: a message's body begins with {RAW!r}, its format.", field="body")
    if len(message.id) != ID_BYTES or message.id[8] & 0x0F or message.id[9] & 0xE0:
        raise InvalidOption(
            f"{topic}: a message's id has 16 bytes, and the bits of the slot are 0 (new_message_ids makes them).",
            field="id",
        )
    if not 0 <= message.checksum <= CHECKSUM_MAX:
        raise InvalidOption(f"{topic}: a body's checksum is a CRC-32, not {message.checksum}.", field="checksum")
    key = message.idempotency_key
    if key is not None and len(key.encode()) > limits.IDEMPOTENCY_KEY_BYTES_MAX:
        raise InvalidOption(
            f"{topic}: an idempotency key has at most {limits.IDEMPOTENCY_KEY_BYTES_MAX} bytes.",
            field="idempotency_key",
        )
    if message.key is not None:
        check_headers(topic, group.headers_of(message) or {})


def check_copies(messages: int, channels: int) -> None:
    """Pass when so many messages may be put into so many channels with one request.

    Raises:
        BodyTooLarge: there would be too many copies.
    """
    if messages * channels > limits.PUBLISH_COPIES_MAX:
        asked = f"{counted(messages, 'message')} to {counted(channels, 'channel')}"
        raise BodyTooLarge(
            f"{asked} are {messages * channels:,} copies; the limit of one request is "
            f"{limits.PUBLISH_COPIES_MAX:,} (PUBLISH_COPIES_MAX). Publish fewer messages at a time."
        )


def check_kept(topic: str, kept: int, more: int) -> None:
    """Pass when a topic without a channel may keep so many more messages.

    Raises:
        StoreFull: it may not.
    """
    if kept + more > limits.TOPIC_KEPT_MAX:
        raise StoreFull(
            f"The topic {topic!r} has no channel and keeps {counted(kept, 'message')}; with {more} more it would be "
            f"over {limits.TOPIC_KEPT_MAX} (TOPIC_KEPT_MAX). Create a channel, which takes them.",
            refused=True,
        )


def check_new_channels(topic: str, channels: int, known: int, more: int) -> None:
    """Pass when a topic may have one more channel, or be made without one.

    Args:
        topic: its name.
        channels: how many it has.
        known: how many channels there are in the store. A topic without a channel counts as one.
        more: how many there would be besides.

    Raises:
        InvalidOption: there are too many.
    """
    if channels >= limits.CHANNELS_OF_TOPIC_MAX:
        raise InvalidOption(
            f"The topic {topic!r} has {channels} channels already (CHANNELS_OF_TOPIC_MAX).", field="channel"
        )
    if known + more > limits.CHANNELS_MAX:
        raise InvalidOption(
            f"There are {known} channels and topics without one (CHANNELS_MAX); delete some first.",
            field="channel",
        )
