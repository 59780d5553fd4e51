"""What HTTP reaches: the webhook receiver, the dashboard and health."""
