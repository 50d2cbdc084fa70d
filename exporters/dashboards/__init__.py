"""The Grafana boards, generated: one file per board, their words in English and Traditional Chinese.

Only `exporters.monitoring` imports this package: it needs grafana-foundation-sdk, a development
dependency.
"""
