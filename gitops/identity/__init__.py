"""Identity providers that people sign in at: any that speaks OpenID Connect, and GitHub."""

from gitops.identity.github import GitHubProvider
from gitops.identity.oidc import OidcProvider

__all__ = ["GitHubProvider", "OidcProvider"]
