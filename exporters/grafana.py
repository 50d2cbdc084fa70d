"""The provisioning of Grafana: its data source and its two folders of boards."""

from typing import Any, Final

from exporters.prometheus import SCRAPE_INTERVAL

DATASOURCE_UID: Final = "prometheus"
FOLDERS: Final = {"en": "dealpulse", "zh-TW": "dealpulse 繁中"}


def provisioning() -> dict[str, dict[str, Any]]:
    """Path below `monitoring/grafana/provisioning` -> document."""
    source = {
        "name": "Prometheus",
        "uid": DATASOURCE_UID,
        "type": "prometheus",
        "access": "proxy",
        "url": "http://prometheus:9090",
        "isDefault": True,
        "editable": False,
        "jsonData": {"timeInterval": SCRAPE_INTERVAL, "httpMethod": "POST"},
    }
    providers = [
        {
            "name": folder,
            "folder": folder,
            "type": "file",
            "allowUiUpdates": False,
            "disableDeletion": True,
            "updateIntervalSeconds": 30,
            "options": {"path": f"/var/lib/grafana/dashboards/{lang}"},
        }
        for lang, folder in FOLDERS.items()
    ]
    return {
        "datasources/dealpulse.yml": {"apiVersion": 1, "datasources": [source]},
        "dashboards/dealpulse.yml": {"apiVersion": 1, "providers": providers},
    }
