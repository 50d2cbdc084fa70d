"""The HTTP way in: canonical events and vendors' webhooks, answered once Kafka has them."""
