"""Python environments: locked with hashes, built once, shared by trainers and the endpoint host."""

from gitops.environments.uv_environments import UvEnvironments

__all__ = ["UvEnvironments"]
