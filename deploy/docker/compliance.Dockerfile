# The compliance service with its console; the database is another container's, by its URL.
#   docker build -f deploy/docker/compliance.Dockerfile -t lachan-compliance .
#   docker run -p 7443:7443 -v /etc/lachan:/etc/lachan:ro lachan-compliance

FROM python:3.11-slim-bookworm AS build
RUN apt-get update && apt-get install -y --no-install-recommends gcc libc6-dev && rm -rf /var/lib/apt/lists/*
ENV PIP_DISABLE_PIP_VERSION_CHECK=1 PIP_NO_CACHE_DIR=1
WORKDIR /src
COPY lock ./lock
# Cython and setuptools stand in the developers' lock; whoever runs this image needs neither.
RUN awk '/^(cython|setuptools)==/ { wanted = 1 } wanted { print } !/\\$/ { wanted = 0 }' lock/dev.txt > build.txt \
 && python -m venv /build && /build/bin/pip install --require-hashes -r build.txt \
 && python -m venv /opt/lachan && /opt/lachan/bin/pip install --require-hashes -r lock/central.txt
COPY pyproject.toml setup.py README.md LICENSE ./
COPY lachan ./lachan
COPY resolver ./resolver
COPY blocklist_sync ./blocklist_sync
COPY compliance_api ./compliance_api
RUN /build/bin/pip wheel --no-build-isolation --no-deps --wheel-dir /wheel . \
 && /opt/lachan/bin/pip install --no-deps --no-index /wheel/*.whl

FROM python:3.11-slim-bookworm
RUN groupadd --system --gid 953 lachan \
 && useradd --system --uid 953 --gid lachan --home-dir /var/lib/lachan-compliance lachan \
 && install -d -o lachan -g lachan -m 0700 /var/lib/lachan-compliance
COPY --from=build /opt/lachan /opt/lachan
ENV PATH=/opt/lachan/bin:$PATH PYTHONUNBUFFERED=1
USER lachan
EXPOSE 7443/tcp 8080/tcp 9154/tcp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8080/health', timeout=4)"]
ENTRYPOINT ["lachan-compliance", "serve", "--config", "/etc/lachan/compliance.yaml"]
