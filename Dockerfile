# One image for every process: docker build -t dealpulse . && docker run --rm dealpulse --help
FROM python:3.12.8-slim-bookworm AS build
WORKDIR /src
RUN python -m venv /opt/dealpulse
COPY requirements/runtime.lock requirements/runtime.lock
RUN /opt/dealpulse/bin/pip install --no-cache-dir --require-hashes -r requirements/runtime.lock
COPY pyproject.toml README.md LICENSE ./
COPY events events
COPY aggregators aggregators
COPY streams streams
COPY exporters exporters
COPY dealpulse dealpulse
COPY monitoring/runbooks monitoring/runbooks
RUN /opt/dealpulse/bin/pip install --no-cache-dir --no-deps --no-build-isolation .

FROM python:3.12.8-slim-bookworm
RUN useradd --system --uid 10001 --no-create-home --shell /usr/sbin/nologin dealpulse
COPY --from=build /opt/dealpulse /opt/dealpulse
ENV PATH=/opt/dealpulse/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1
# A dealpulse.toml mounted here is found without a word; there is no other state on disk.
WORKDIR /etc/dealpulse
USER 10001:10001
EXPOSE 8401 8402 8403
STOPSIGNAL SIGTERM
ENTRYPOINT ["dealpulse"]
CMD ["--help"]
