"""The forge and the mirrors of its repositories: GitHub's API by PyGithub, and Git by the `git` binary."""
