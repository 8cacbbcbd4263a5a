"""Bodies to post: small ones, and webhooks as GitHub sends them, made up here in the sizes and nesting of real ones."""

from __future__ import annotations

import random
from typing import Any, Final

import msgspec

SMALL_BYTES: Final = 300
WEBHOOK_BYTES: Final = 8_000
"""The median of a real collection."""
_SPREAD: Final = 0.35
_TASK: Final = "bench.webhook"
_LINKS: Final = (
    "html_url forks_url keys_url collaborators_url teams_url hooks_url issue_events_url events_url assignees_url "
    "branches_url tags_url blobs_url git_tags_url git_refs_url trees_url statuses_url languages_url stargazers_url "
    "contributors_url subscribers_url subscription_url commits_url git_commits_url comments_url issue_comment_url "
    "contents_url compare_url merges_url archive_url downloads_url issues_url pulls_url milestones_url "
    "notifications_url labels_url releases_url deployments_url".split()
)
_WORDS: Final = "fix the queue when a worker dies during settle; add tests, docs and a changelog entry for it".split()


def small(count: int, seed: int = 1) -> list[bytes]:
    """Requests for one job each, of about `SMALL_BYTES`."""
    chance = random.Random(seed)
    found = []
    for number in range(count):
        payload: dict[str, Any] = {"number": number, "user": f"user-{chance.randrange(10**6)}", "note": ""}
        payload["note"] = _text(chance, SMALL_BYTES - len(_request(payload)))
        found.append(_request(payload))
    return found


def webhooks(count: int, seed: int = 2) -> list[bytes]:
    """Requests for one job each, whose payload is a webhook of about `WEBHOOK_BYTES`; they vary as real ones do."""
    chance = random.Random(seed)
    return [_request(_webhook(chance, WEBHOOK_BYTES * chance.lognormvariate(0, _SPREAD))) for _ in range(count)]


def _request(payload: dict[str, Any]) -> bytes:
    return msgspec.json.encode({"task": _TASK, "kwargs": {"payload": payload}})


def _webhook(chance: random.Random, size_bytes: float) -> dict[str, Any]:
    repository = _repository(chance)
    commits: list[dict[str, Any]] = []
    payload = {
        "ref": "refs/heads/main",
        "before": _hex(chance),
        "after": _hex(chance),
        "repository": repository,
        "sender": _user(chance),
        "forced": False,
        "base_ref": None,
        "commits": commits,
    }
    left = size_bytes - len(msgspec.json.encode(payload))
    while left > 0:
        commits.append(_commit(chance, repository["html_url"]))
        left -= len(msgspec.json.encode(commits[-1]))
    return payload


def _repository(chance: random.Random) -> dict[str, Any]:
    name = f"project-{chance.randrange(10_000)}"
    owner = _user(chance)
    full_name = f"{owner['login']}/{name}"
    return {
        "id": chance.randrange(10**9),
        "node_id": _hex(chance)[:20],
        "name": name,
        "full_name": full_name,
        "private": False,
        "owner": owner,
        "description": _text(chance, 60),
        "fork": chance.random() < 0.3,
        **{link: f"https://api.example.com/repos/{full_name}/{link.removesuffix('_url')}{{/sha}}" for link in _LINKS},
        "created_at": "2023-05-13T22:09:38Z",
        "pushed_at": 1_684_030_178 + chance.randrange(10**6),
        "size": chance.randrange(10**5),
        "stargazers_count": chance.randrange(10**4),
        "language": "Python",
        "license": None,
        "topics": ["queue", "jobs", "durable"],
        "default_branch": "main",
    }


def _user(chance: random.Random) -> dict[str, Any]:
    login = f"user{chance.randrange(10**6)}"
    return {
        "login": login,
        "id": chance.randrange(10**7),
        "avatar_url": f"https://avatars.example.com/u/{chance.randrange(10**7)}?v=4",
        "gravatar_id": "",
        "url": f"https://api.example.com/users/{login}",
        "followers_url": f"https://api.example.com/users/{login}/followers",
        "gists_url": f"https://api.example.com/users/{login}/gists{{/gist_id}}",
        "repos_url": f"https://api.example.com/users/{login}/repos",
        "type": "User",
        "site_admin": False,
    }


def _commit(chance: random.Random, url: str) -> dict[str, Any]:
    person = {"name": _text(chance, 14), "email": f"user{chance.randrange(10**6)}@example.com"}
    return {
        "id": (sha := _hex(chance)),
        "message": _text(chance, chance.randrange(30, 120)),
        "timestamp": "2023-05-13T22:09:38-04:00",
        "url": f"{url}/commit/{sha}",
        "author": person,
        "committer": person,
        "added": [],
        "removed": [],
        "modified": [f"src/{_text(chance, 8).replace(' ', '_')}.py" for _ in range(chance.randrange(4))],
    }


def _hex(chance: random.Random) -> str:
    return f"{chance.getrandbits(160):040x}"


def _text(chance: random.Random, length: int) -> str:
    text = ""
    while len(text) < length:
        text += chance.choice(_WORDS) + " "
    return text[: max(length, 0)].strip()
