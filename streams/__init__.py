"""The motion: from Kafka through the Faust workers to shards in Redis."""
