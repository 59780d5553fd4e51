"""What HTTP reaches: the webhook receiver, the API and the dashboard."""
