"""The embedded forge: a GitHub-shaped server over bare repositories, for one machine.

It answers the part of GitHub's REST API that PyGithub uses for Launchpin, serves clone and push, sends signed webhooks
and shows a page for each pull request. Launchpin talks to it by HTTP only, as it talks to GitHub.
"""
