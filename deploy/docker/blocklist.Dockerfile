# The list authority's server. It signs nothing: releases and repository are made elsewhere and mounted.
#   docker build -f deploy/docker/blocklist.Dockerfile -t lachan-blocklist .
#   docker run -p 443:443 -p 7444:7444 -p 7445:7445 -v /etc/lachan:/etc/lachan:ro \
#     -v lachan-blocklist:/var/lib/lachan-blocklist lachan-blocklist

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
 && useradd --system --uid 953 --gid lachan --home-dir /var/lib/lachan-blocklist lachan \
 && install -d -o lachan -g lachan -m 0700 /var/lib/lachan-blocklist
COPY --from=build /opt/lachan /opt/lachan
ENV PATH=/opt/lachan/bin:$PATH PYTHONUNBUFFERED=1
USER lachan
VOLUME /var/lib/lachan-blocklist
EXPOSE 443/tcp 7444/tcp 7445/tcp
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=30s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python", "-c", "import socket; socket.create_connection(('127.0.0.1', 443), 4).close()"]
ENTRYPOINT ["lachan-blocklist", "serve", "--config", "/etc/lachan/list.yaml"]
