"""The scrape configuration of Prometheus, for the services of docker-compose.yml."""

from typing import Any, Final

SCRAPE_INTERVAL: Final = "15s"
SCRAPE_TIMEOUT: Final = "10s"
JOBS: Final = {"dealpulse-exporter": "exporter:8402", "dealpulse-gateway": "gateway:8401"}
WORKERS: Final = ("worker", 8403)


def configuration() -> dict[str, Any]:
    """The document of `prometheus.yml`. No label but `instance` tells two processes of a job apart."""
    fixed = [{"job_name": job, "static_configs": [{"targets": [address]}]} for job, address in JOBS.items()]
    name, port = WORKERS
    # Workers come and go: the name resolves to all of them.
    found = {
        "job_name": "dealpulse-worker",
        "dns_sd_configs": [{"names": [name], "type": "A", "port": port, "refresh_interval": "15s"}],
    }
    return {
        "global": {
            "scrape_interval": SCRAPE_INTERVAL,
            "scrape_timeout": SCRAPE_TIMEOUT,
            "evaluation_interval": SCRAPE_INTERVAL,
        },
        "rule_files": ["rules/recording.yml", "rules/alerts.yml"],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": ["alertmanager:9093"]}]}]},
        "scrape_configs": [fixed[0], found, fixed[1]],
    }
