"""A client of the door, as statistics show it."""

from __future__ import annotations

from penstock.nsq.door.client import Client
from penstock.nsq.door.statistics import ShownClient

__all__ = ["shown_client"]


def shown_client(client: Client) -> ShownClient:
    """A client as it is now."""
    agreed, consumer, session = client.negotiated, client.consumer, client.session
    facts = None if client.layers is None else client.layers.tls
    host = client.remote_address.rpartition(":")[0].strip("[]")
    authorization = client.authorization
    permissions = None if authorization is None else authorization.permissions
    return ShownClient(
        client_id=host if agreed is None else agreed.client_id,
        hostname=host if agreed is None else agreed.hostname,
        user_agent="" if agreed is None else agreed.user_agent,
        remote_address=client.remote_address,
        state=int(session.state),
        topic=session.topic or None,
        channel=session.channel or None,
        ready_count=session.ready_count,
        in_flight_count=0 if consumer is None else len(consumer.in_flight),
        message_count=0 if consumer is None else consumer.message_count,
        finish_count=0 if consumer is None else consumer.finish_count,
        requeue_count=0 if consumer is None else consumer.requeue_count,
        connected_at=client.connected_at,
        sample_rate=0 if agreed is None else agreed.sample_rate,
        deflate=agreed is not None and agreed.deflate,
        snappy=agreed is not None and agreed.snappy,
        tls=facts is not None,
        tls_version="" if facts is None else facts.version,
        tls_cipher_suite="" if facts is None else facts.cipher_suite,
        authed=bool(permissions and permissions.permissions),
        auth_identity="" if permissions is None else permissions.identity,
        auth_identity_url="" if permissions is None else permissions.identity_url,
        published=client.published,
    )
