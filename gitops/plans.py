"""What a merge would do, as a digest of desired inputs only. Pure.

Live state is a precondition that is read again at apply, and metrics are commentary; neither is in the digest.
"""

import hashlib
import re
from collections.abc import Mapping

import rfc8785

_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
_LOOKS_CHANGED = re.compile(r"-[0-9a-f]{8}\Z")
_LONGEST_SLUG = 60


def plan_digest(desired: Mapping[str, object]) -> str:
    """Return SHA-256 over the canonical JSON (RFC 8785) of the desired inputs.

    Args:
        desired: target, host, endpoint, environment, tracking URI, model, version, manifest digest, endpoint.yaml as
            parsed, and the serving environment.
    """
    return hashlib.sha256(rfc8785.dumps(dict(desired))).hexdigest()


def slug(name: str) -> str:
    """Return a name as part of a git ref, with eight digits of its SHA-256 where it had to be changed.

    A name that already ends as if it had been changed gets them too, so that none can pass for another.
    """
    safe = _UNSAFE.sub("-", name).strip("-.")[:_LONGEST_SLUG].rstrip("-.")
    is_legal = name != "" and safe == name and ".." not in name and not name.endswith(".lock")
    if is_legal and not _LOOKS_CHANGED.search(name):
        return name
    return f"{safe.replace('..', '-') or 'x'}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def promotion_branch(environment: str, model: str) -> str:
    """Return the branch on which a model's version is proposed to an environment."""
    return f"launchpin/{slug(environment)}/{slug(model)}"


def configuration_name(endpoint: str, manifest_sha256: str, settings_sha256: str) -> str:
    """Return a target's name for one version on one endpoint: at most 63 characters, always the same."""
    digest = hashlib.sha256(f"{endpoint}\n{manifest_sha256}\n{settings_sha256}".encode()).hexdigest()
    return f"{slug(endpoint)[:40].rstrip('-.')}-{digest[:16]}"
