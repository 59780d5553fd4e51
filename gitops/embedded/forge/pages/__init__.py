"""The pages for people: repositories, commits, and pull requests with their Merge button."""
